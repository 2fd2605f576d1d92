#include "archiver/firehose/upstream_url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace standpipe::firehose {
namespace {

constexpr std::string_view kXrpc = "/xrpc";
constexpr std::size_t kHostBytesMax = 253;  // RFC 1035, 2.3.4, as text
constexpr std::string_view kAllowed =
    "a host (bsky.network), a base (wss://bsky.network/xrpc) or the whole URL of the endpoint";

Error not_a_url(std::string_view text, std::string_view why) {
  return Error{Errc::invalid, fmt::format("upstream '{}': {}; what is allowed is {}",
                                          text.substr(0, 200), why, kAllowed)};
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_hex_digit(char c) { return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f'); }

std::uint16_t default_port(bool is_tls) { return is_tls ? 443 : 80; }

// What may stand in a request line as it is (RFC 3986, 2): printable, and none of these.
bool is_url_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < '\x7f' &&
           std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos;
  });
}

// Takes "scheme://" off `rest`; nullopt where there is none.
std::optional<std::string> take_scheme(std::string_view& rest) {
  const std::size_t end = rest.find("://");
  // In front of it stand no path and no query; else it is part of them.
  if (end == std::string_view::npos || rest.find_first_of("/?#") < end) return std::nullopt;
  std::string scheme = lower(rest.substr(0, end));
  rest.remove_prefix(end + 3);
  return scheme;
}

// ws and http, wss and https; nullopt for all others.
std::optional<bool> is_tls_scheme(std::string_view scheme) {
  if (scheme == "wss" || scheme == "https") return true;
  if (scheme == "ws" || scheme == "http") return false;
  return std::nullopt;
}

struct Authority {
  std::string host;
  std::uint16_t port = 0;
};

// "host", "host:port", "[v6]", "[v6]:port". The reason in words where it is none of them.
Result<Authority> parse_authority(std::string_view text, bool is_tls) {
  const auto wrong = [](std::string_view why) { return Error{Errc::invalid, std::string(why)}; };
  if (text.find('@') != std::string_view::npos) return wrong("it has a user name");
  Authority out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return wrong("its '[' has no ']'");
    const std::string_view address = text.substr(1, end - 1);
    const bool is_address = address.find(':') != std::string_view::npos && address.size() <= 45 &&
                            std::all_of(address.begin(), address.end(), [](char c) {
                              return is_hex_digit(c) || c == ':' || c == '.';
                            });
    if (!is_address) return wrong("what stands in brackets is no IPv6 address");
    out.host = lower(address);
    rest = text.substr(end + 1);
  } else {
    const std::size_t end = std::min(text.find(':'), text.size());
    const std::string_view host = text.substr(0, end);
    if (host.empty()) return wrong("it has no host");
    const bool is_host = host.size() <= kHostBytesMax && is_letter_or_digit(host.front()) &&
                         std::all_of(host.begin(), host.end(), [](char c) {
                           return is_letter_or_digit(c) || c == '-' || c == '.' || c == '_';
                         });
    if (!is_host) {
      return wrong("its host is not made of letters, digits, '-', '_' and '.' (or [IPv6])");
    }
    out.host = lower(host);
    rest = text.substr(end);
  }
  out.port = default_port(is_tls);
  if (rest.empty()) return out;
  unsigned port = 0;
  const char* const last = rest.data() + rest.size();
  const auto [end, ec] = std::from_chars(rest.data() + 1, last, port);
  if (!rest.starts_with(':') || ec != std::errc() || end != last || port < 1 || port > 65535) {
    return wrong("its port is not a number from 1 to 65535");
  }
  out.port = static_cast<std::uint16_t>(port);
  return out;
}

// Of `query`, all parameters but the cursor.
std::string without_cursor(std::string_view query) {
  std::string out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view parameter = query.substr(0, end);
    if (!parameter.empty() && parameter != "cursor" && !parameter.starts_with("cursor=")) {
      if (!out.empty()) out += '&';
      out += parameter;
    }
    query.remove_prefix(std::min(end + 1, query.size()));
  }
  return out;
}

// Completes the path by "/xrpc/NSID", as much of it as is missing.
Result<std::string> complete_path(std::string_view path, UpstreamKind kind) {
  while (path.ends_with('/')) path.remove_suffix(1);
  const std::size_t method = path.rfind("/xrpc/");
  if (method != std::string_view::npos) {
    const std::string_view name = path.substr(method + kXrpc.size() + 1);
    if (name == nsid(kind)) return std::string(path);
    return Error{Errc::invalid, fmt::format("its path asks for {}, but the endpoint of a stream of "
                                            "kind {} is {}",
                                            name, to_string(kind), nsid(kind))};
  }
  if (path.ends_with(kXrpc)) return fmt::format("{}/{}", path, nsid(kind));
  return fmt::format("{}{}/{}", path, kXrpc, nsid(kind));
}

// All but the end of the path, which is as it stands. The reason in words where it is no URL.
Result<UpstreamUrl> parse_parts(std::string_view text) {
  const auto wrong = [](std::string why) { return Error{Errc::invalid, std::move(why)}; };
  if (text.empty()) return wrong("it is empty");
  if (text.size() > kUrlBytesMax) {
    return wrong(fmt::format("it is longer than {} bytes", kUrlBytesMax));
  }
  if (!is_url_text(text)) return wrong("it holds a character that no URL has");
  std::string_view rest = text;
  UpstreamUrl url;
  if (const std::optional<std::string> scheme = take_scheme(rest)) {
    const std::optional<bool> is_tls = is_tls_scheme(*scheme);
    if (!is_tls) return wrong("its scheme is none of wss, ws, https and http");
    url.is_tls = *is_tls;
  }
  if (rest.find('#') != std::string_view::npos) return wrong("it has a fragment");
  if (rest.find('?') != std::string_view::npos) {
    return wrong(
        "it has a query, but where to begin is read from the archive and no other "
        "parameter is defined");
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  STANDPIPE_TRY(Authority authority, parse_authority(rest.substr(0, slash), url.is_tls));
  url.host = std::move(authority.host);
  url.port = authority.port;
  url.path = rest.substr(slash);
  return url;
}

// Sets path and query of `url` to those of `reference`, which begins with '/' or is empty.
void set_path(UpstreamUrl& url, std::string_view reference) {
  const std::size_t query = std::min(reference.find('?'), reference.size());
  url.path = query == 0 ? "/" : std::string(reference.substr(0, query));
  url.query = without_cursor(reference.substr(std::min(query + 1, reference.size())));
}

}  // namespace

std::string_view to_string(UpstreamKind kind) {
  return kind == UpstreamKind::repos ? "repos" : "labels";
}

std::string_view nsid(UpstreamKind kind) {
  return kind == UpstreamKind::repos ? "com.atproto.sync.subscribeRepos"
                                     : "com.atproto.label.subscribeLabels";
}

Result<UpstreamUrl> parse_upstream_url(std::string_view text, UpstreamKind kind) {
  auto url = parse_parts(text);
  if (!url) return not_a_url(text, url.error().detail);
  Result<std::string> path = complete_path(url->path, kind);
  if (!path) return not_a_url(text, path.error().detail);
  url->path = std::move(*path);
  return url;
}

Result<UpstreamUrl> parse_http_url(std::string_view text) {
  auto url = parse_parts(text);
  if (!url) {
    return Error{Errc::invalid,
                 fmt::format("'{}' is no URL to ask: {}", text.substr(0, 200), url.error().detail)};
  }
  while (url->path.ends_with('/')) url->path.pop_back();
  return url;
}

std::string to_string(const UpstreamUrl& url) {
  return fmt::format("{}://{}{}", url.is_tls ? "wss" : "ws", host_header(url),
                     target(url, std::nullopt));
}

std::string host_header(const UpstreamUrl& url) {
  const bool is_v6 = url.host.find(':') != std::string::npos;
  std::string out = is_v6 ? fmt::format("[{}]", url.host) : url.host;
  if (url.port != default_port(url.is_tls)) out += fmt::format(":{}", url.port);
  return out;
}

std::string target(const UpstreamUrl& url, std::optional<Seq> cursor) {
  std::string out = url.path;
  if (!url.query.empty()) out += "?" + url.query;
  if (cursor) out += fmt::format("{}cursor={}", url.query.empty() ? '?' : '&', to_int(*cursor));
  return out;
}

Result<UpstreamUrl> redirect_url(const UpstreamUrl& from, std::string_view location) {
  const auto wrong = [&](std::string_view why) {
    return Error{Errc::invalid,
                 fmt::format("a redirect to '{}': {}", location.substr(0, 200), why)};
  };
  if (location.empty() || location.size() > kUrlBytesMax || !is_url_text(location)) {
    return wrong("not a URL");
  }
  std::string_view rest = location.substr(0, location.find('#'));
  UpstreamUrl url = from;
  const std::optional<std::string> scheme = take_scheme(rest);
  if (scheme) {
    const std::optional<bool> is_tls = is_tls_scheme(*scheme);
    if (!is_tls) return wrong("its scheme is none of wss, ws, https and http");
    if (from.is_tls && !*is_tls)
      return wrong("it leads from an encrypted connection to an open one");
    url.is_tls = *is_tls;
  }
  if (scheme || rest.starts_with("//")) {
    if (!scheme) rest.remove_prefix(2);
    const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
    Result<Authority> authority = parse_authority(rest.substr(0, end), url.is_tls);
    if (!authority) return wrong(authority.error().detail);
    url.host = std::move(authority->host);
    url.port = authority->port;
    set_path(url, rest.substr(end));
  } else if (rest.starts_with('/')) {
    set_path(url, rest);
  } else if (rest.starts_with('?')) {
    set_path(url, url.path + std::string(rest));
  } else {
    // RFC 3986, 5.2.3: beside what was asked for.
    set_path(url, url.path.substr(0, url.path.rfind('/') + 1) + std::string(rest));
  }
  return url;
}

}  // namespace standpipe::firehose
