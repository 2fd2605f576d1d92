// Where a stream is read from: the URL, in all forms in which people write it.
// Spec: atproto event-stream, "Streaming Wire Protocol": wss://HOST/xrpc/NSID?cursor=N.
//
// Pure functions; any thread. Free of storage/: part of the client library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "schema/base/result.h"
#include "schema/seq.h"

namespace standpipe::firehose {

enum class UpstreamKind : std::uint8_t { repos, labels };
std::string_view to_string(UpstreamKind kind);  // "repos", "labels"
// "com.atproto.sync.subscribeRepos", "com.atproto.label.subscribeLabels"
std::string_view nsid(UpstreamKind kind);

inline constexpr std::size_t kUrlBytesMax = 2048;

struct UpstreamUrl {
  bool is_tls = true;
  std::string host;  // a name in lower case, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = 443;
  std::string path;   // begins with '/'
  std::string query;  // without '?' and cursor; only a redirect or a Dial brings one
  bool operator==(const UpstreamUrl&) const = default;
};

// Accepts
//   a bare host    bsky.network   127.0.0.1:2480   [::1]:80: always wss, loopback included
//   a base         ws://HOST   https://HOST/xrpc   wss://HOST/stream/repos
//   the full path  wss://HOST/xrpc/com.atproto.sync.subscribeRepos
// and completes the path. http and https stand for ws and wss. invalid, with what is allowed: other
// schemes, a user name, a query (the cursor is ours, nothing else is defined), a fragment, a path
// that names another endpoint than that of `kind`.
Result<UpstreamUrl> parse_upstream_url(std::string_view text, UpstreamKind kind);

// A server that is asked by HTTP: a bare host (https), or http:// or https:// with a host and
// perhaps a path, of which slashes at the end are dropped. invalid, with what is wrong.
Result<UpstreamUrl> parse_http_url(std::string_view text);

// The whole URL, and the same for every way of writing it: what is kept with a stream. A port that
// goes without saying is left out.
std::string to_string(const UpstreamUrl& url);

// Host, and port where it is not that of the scheme: the Host header.
std::string host_header(const UpstreamUrl& url);
// Path and query of the request; without `cursor` the stream begins with what comes next.
std::string target(const UpstreamUrl& url, std::optional<Seq> cursor);

// Where a redirect of `from` leads: `location` may be absolute or relative. A cursor in it is
// dropped: ours goes with every request. invalid: not ws, wss, http or https; from wss to ws.
Result<UpstreamUrl> redirect_url(const UpstreamUrl& from, std::string_view location);

}  // namespace standpipe::firehose
