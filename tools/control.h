// The control socket: DIR/control.sock, by which other processes reach the one that holds DIR.
//
// HTTP/1.1 over a Unix socket, one request per connection, mode 0600: who may open the directory's
// files may ask. control.cc is the one file of this folder that knows Beast.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::tools {

struct ControlRequest {
  std::string method = "GET";
  std::string target;  // path and query: "/frames?stream=repos&after=0"
  std::string body;
};

struct ControlReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
};

struct ControlOptions {
  std::size_t connections_max = 8;  // more are answered 503
  std::size_t head_bytes_max = 16 << 10;
  std::size_t body_bytes_max = 64 << 10;
  std::chrono::milliseconds io_timeout{
      30'000};                      // for a request to arrive, and for a reply to be taken
  std::size_t handler_threads = 2;  // so that one slow request does not hold up the others
};

// Called on threads of the server's own, several at a time.
using ControlHandler = std::function<ControlReply(const ControlRequest&)>;

// Listens from start() to destruction. That answers who has asked already, for a few seconds at
// most, and waits for handlers that run.
class ControlServer {
 public:
  // The caller holds the archive, so a socket that is already there is a dead process's: replaced.
  static Result<std::unique_ptr<ControlServer>> start(const std::filesystem::path& dir,
                                                      ControlHandler handler,
                                                      ControlOptions options = {});
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  class Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Asks the process that holds `dir`. not_found where nobody listens; io where the exchange broke;
// limit after `timeout` without progress (zero: none). A reply of any status is a value.
Result<ControlReply> control_call(const std::filesystem::path& dir, const ControlRequest& request,
                                  std::chrono::milliseconds timeout = std::chrono::seconds{30});

}  // namespace standpipe::tools
