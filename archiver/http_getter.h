// GET requests to one server, one after the other, over one connection as long as it lasts.
//
// Free of storage/. Redirects are not followed: a status of 3xx is an answer like any other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "archiver/firehose/upstream_url.h"
#include "archiver/firehose/ws_client.h"
#include "schema/base/result.h"

namespace standpipe::archiver {

// Of an answer.
inline constexpr std::uint32_t kHttpGetHeadBytesMax = 16 << 10;
inline constexpr std::size_t kHttpGetBodyBytesMax = 64 << 10;

struct HttpGetOptions {
  std::chrono::milliseconds deadline{10'000};  // of a request, with name, TCP and TLS if need be
  std::string user_agent = "standpipe";        // the program adds its version
  std::string tls_ca_file;                     // PEM; trusted besides what the system trusts
  firehose::ResolveHost resolve;               // a seam; empty: getaddrinfo
};

struct HttpAnswer {
  int status = 0;
  std::string body;
  std::optional<std::chrono::milliseconds> retry_after;
};

class HttpGetter {
 public:
  HttpGetter(firehose::UpstreamUrl server, HttpGetOptions options);
  ~HttpGetter();
  HttpGetter(const HttpGetter&) = delete;
  HttpGetter& operator=(const HttpGetter&) = delete;

  // Blocks; one thread at a time. `path` follows that of the server's URL and begins with '/'. io:
  // no answer, with the reason; limit: an answer that is too large; closed: stop().
  Result<HttpAnswer> get(const std::string& path);

  void stop();  // ends get(), and all later ones. Any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::archiver
