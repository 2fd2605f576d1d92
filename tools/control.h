// The control socket: DIR/control.sock, by which other processes reach the one that holds DIR.
//
// HTTP/1.1 over a Unix socket, one request per connection, mode 0600: who may open the directory's
// files may ask.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

#include "schema/base/result.h"
#include "tools/http_server.h"

namespace standpipe::tools {

using ControlRequest = HttpRequest;
using ControlReply = HttpAnswer;
using ControlOptions = HttpServerOptions;
// Called on threads of the server's own, several at a time.
using ControlHandler = HttpServerHandler;

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
