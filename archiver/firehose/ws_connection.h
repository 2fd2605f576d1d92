// One WebSocket connection on an executor of the caller's: what WsClient is on a thread.
//
// Free of storage/: part of the client library.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>

#include "archiver/firehose/upstream_url.h"
#include "archiver/firehose/ws_client.h"
#include "schema/seq.h"

namespace standpipe::firehose {

class WsConnection {
 public:
  // `executor` runs one handler at a time (a strand, or a context with one thread), and its context
  // outlives us.
  WsConnection(const boost::asio::any_io_executor& executor, WsOptions options);
  ~WsConnection();
  WsConnection(const WsConnection&) = delete;
  WsConnection& operator=(const WsConnection&) = delete;

  // As WsClient::run(), to be awaited on `executor`; once per object. This object and `handler`
  // outlive it. What a handler throws ends the connection, as `protocol`.
  boost::asio::awaitable<WsEnd> run(UpstreamUrl url, std::optional<Seq> cursor, WsHandler& handler);

  // Any thread, also before run():
  void stop();
  void resume();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace standpipe::firehose
