// HTTP/1.1 for the few who look after the process: the control socket and the admin listener.
//
// One request per connection, answered by a handler on threads of the server's own, which may
// block. Whoever is slow to ask or to take the answer holds one connection, for a limited time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace standpipe::tools {

// Of the fields of a request, those by which it is judged. Empty: it has not come.
struct HttpFields {
  std::string host, origin, sec_fetch_site, authorization;
};

struct HttpRequest {
  std::string method = "GET";
  std::string target;  // path and query: "/frames?stream=repos&after=0"
  std::string body;
  HttpFields fields = {};
};

struct HttpAnswer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

// What happens to the connection above the limit.
enum class WhenFull : std::uint8_t {
  refuse,     // it is answered 503
  make_room,  // it takes the place of the one that has waited longest for its peer; 503 if none
              // does
};

struct HttpServerOptions {
  std::size_t connections_max = 8;
  std::size_t head_bytes_max = 16 << 10;
  std::size_t body_bytes_max = 64 << 10;
  // For a whole request to arrive, and for a whole reply to be taken.
  std::chrono::milliseconds io_timeout{30'000};
  std::size_t handler_threads = 2;  // so that one slow request does not hold up the others
  WhenFull when_full = WhenFull::refuse;
  std::string name = "control socket";  // what errors call it
};

// Called on threads of the server's own, several at a time. Must not throw.
using HttpServerHandler = std::function<HttpAnswer(const HttpRequest&)>;

// Serves from construction to destruction. That answers who has asked already, for a few seconds at
// most, and waits for handlers that run.
class HttpServer {
 public:
  // `descriptor`: a stream socket that listens, of address family `family`. It becomes ours.
  HttpServer(int descriptor, int family, HttpServerHandler handler, HttpServerOptions options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::tools
