#include "tools/admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <utility>
#include <variant>

#include "replay/listen_address.h"
#include "schema/hash.h"
#include "tools/prometheus_text.h"
#include "tools/ready_file.h"

namespace standpipe::tools {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kConnectionsMax = 32;
constexpr std::size_t kHeadBytesMax = 8 << 10;
constexpr std::chrono::seconds kIoTimeout{5};

HttpAnswer refusal(int status, std::string_view name, std::string_view message) {
  replay::HttpReply reply = replay::reply_of({status, {}, std::string(name), std::string(message)});
  return {reply.status, std::move(reply.content_type), std::move(reply.body),
          std::move(reply.headers)};
}

// In a time that says nothing of where the two differ: digests of one length are compared whole.
bool is_token(std::string_view given, std::string_view token) {
  const Sha256Digest a = sha256(as_bytes(given));
  const Sha256Digest b = sha256(as_bytes(token));
  std::byte difference{};
  for (std::size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{};
}

bool has_token(const HttpRequest& request, std::string_view token) {
  constexpr std::string_view kScheme = "bearer ";
  const std::string_view field = request.fields.authorization;
  const bool is_bearer =
      field.size() > kScheme.size() &&
      std::equal(kScheme.begin(), kScheme.end(), field.begin(), [](char wanted, char c) {
        return wanted == ((c >= 'A' && c <= 'Z') ? c - 'A' + 'a' : c);
      });
  return is_token(is_bearer ? field.substr(kScheme.size()) : std::string_view(), token);
}

// "127.0.0.1:2481", "[::1]:2481", "localhost:2481", or any of them without a port.
bool names_an_address(std::string_view host) {
  if (host.starts_with('[')) return true;  // nothing but an address is written so
  host = host.substr(0, host.find(':'));
  if (host == "localhost") return true;
  error_code ec;
  asio::ip::make_address(std::string(host), ec);
  return !ec;
}

// What a page of another origin makes a browser ask. Spec: Fetch, "Origin"; Fetch Metadata.
bool is_from_another_page(const HttpFields& fields) {
  if (!fields.origin.empty()) return true;
  const std::string& site = fields.sec_fetch_site;
  return !site.empty() && site != "same-origin" && site != "none";
}

HttpAnswer answer_health(const AdminPages& pages, std::string_view query) {
  const std::string target = fmt::format("/xrpc/_health{}", query);
  replay::RequestHead head;
  head.method = "GET";
  head.target = target;
  const replay::Route route = replay::route(head);
  replay::HttpReply reply;
  if (const auto* refused = std::get_if<replay::Refusal>(&route)) {
    reply = replay::reply_of(*refused);
  } else {
    const auto& asked = std::get<replay::HealthRequest>(std::get<replay::PlainRoute>(route));
    reply = replay::health_reply(pages.health(), asked.max_lag_s);
  }
  return {reply.status, std::move(reply.content_type), std::move(reply.body),
          std::move(reply.headers)};
}

Error needs_token(std::string_view address) {
  return Error{Errc::invalid,
               fmt::format("{} can be reached from other machines: give --admin-token-file FILE, "
                           "or an address of loopback, or none",
                           address)};
}

Result<tcp::endpoint> endpoint_of(const AdminOptions& options) {
  STANDPIPE_TRY(const tcp::endpoint endpoint, replay::parse_listen_address(options.address));
  if (!endpoint.address().is_loopback() && options.token.empty()) {
    return needs_token(options.address);
  }
  return endpoint;
}

}  // namespace

Result<std::string> read_token_file(const std::string& path) {
  STANDPIPE_TRY(std::string text, read_whole_file(path, kTokenBytesMax + 2));
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_space(text.back())) text.pop_back();
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  const bool is_printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
  if (!is_printable || text.size() < kTokenBytesMin || text.size() > kTokenBytesMax) {
    return Error{Errc::invalid, fmt::format("{}: a token has {} to {} characters of ASCII, and no "
                                            "space in between",
                                            path, kTokenBytesMin, kTokenBytesMax)};
  }
  return text;
}

HttpAnswer answer_admin(const AdminPages& pages, std::string_view token,
                        const HttpRequest& request) {
  if (is_from_another_page(request.fields)) {
    return refusal(403, "Forbidden", "this listener answers no other page");
  }
  // Without a token, a page whose host name was made to lead here would be of our own origin.
  if (token.empty() && !request.fields.host.empty() && !names_an_address(request.fields.host)) {
    return refusal(403, "Forbidden", "ask by address, not by name, where no token is asked for");
  }
  if (!token.empty() && !has_token(request, token)) {
    HttpAnswer answer = refusal(401, "AuthMissing", "wanted: Authorization: Bearer TOKEN");
    answer.headers.emplace_back("WWW-Authenticate", "Bearer");
    return answer;
  }
  const std::string_view target = request.target;
  const std::size_t path_end = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, path_end);
  if (path != "/metrics" && path != "/healthz") {
    return refusal(404, "NotFound", "here are /metrics and /healthz");
  }
  if (request.method != "GET" && request.method != "HEAD") {
    HttpAnswer answer = refusal(405, "MethodNotAllowed", "GET and HEAD alone");
    answer.headers.emplace_back("Allow", "GET, HEAD");
    return answer;
  }
  if (path == "/healthz") return answer_health(pages, target.substr(path_end));
  return {
      200, std::string(kPrometheusContentType), pages.metrics(), {{"Cache-Control", "no-store"}}};
}

Result<void> check_admin_options(const AdminOptions& options) {
  STANDPIPE_CHECK(endpoint_of(options));
  return {};
}

Result<std::unique_ptr<AdminServer>> AdminServer::start(const AdminOptions& options,
                                                        AdminPages pages) {
  STANDPIPE_TRY(const tcp::endpoint endpoint, endpoint_of(options));
  asio::io_context io{1};
  tcp::acceptor acceptor(io);
  error_code ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(static_cast<int>(kConnectionsMax), ec);
  if (ec) {
    return Error{Errc::io,
                 fmt::format("cannot listen at {} for metrics: {}; --admin gives another address, "
                             "or none",
                             options.address, ec.message())};
  }
  std::unique_ptr<AdminServer> admin(new AdminServer);
  admin->address_ = replay::to_text(acceptor.local_endpoint());
  HttpServerOptions serving;
  serving.connections_max = kConnectionsMax;
  serving.head_bytes_max = kHeadBytesMax;
  serving.body_bytes_max = 0;
  serving.io_timeout = kIoTimeout;
  serving.handler_threads = 1;  // one page is made at a time, however many ask
  serving.when_full = WhenFull::make_room;
  serving.name = "admin listener";
  admin->server_ = std::make_unique<HttpServer>(
      acceptor.release(), endpoint.protocol().family(),
      [pages = std::move(pages), token = options.token](const HttpRequest& request) {
        return answer_admin(pages, token, request);
      },
      std::move(serving));
  return admin;
}

AdminServer::~AdminServer() = default;

}  // namespace standpipe::tools
