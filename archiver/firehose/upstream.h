// A connection to an upstream that is kept up: dial, read, wait, dial again.
//
// UpstreamLink does so on an executor of the caller's, Upstream on a thread of its own. Everything
// that reads an upstream is built on them: the archiver, and the library's four clients.
// Free of storage/: part of the client library.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "archiver/firehose/reconnect.h"
#include "archiver/firehose/upstream_url.h"
#include "archiver/firehose/ws_client.h"
#include "schema/seq.h"

namespace standpipe::firehose {

struct Dial {
  std::optional<Seq> cursor;  // what to ask for; none: what comes next
  std::string query = {};     // and what else: UpstreamUrl::query
};

// What follows on a message.
enum class Next : std::uint8_t {
  read,    // the next one
  wait,    // nothing, until resume()
  redial,  // end this connection and dial at once
  fail,    // end it, and wait before the next dial as after any other end
};

// Whoever takes what arrives. All calls come from the upstream's thread or executor, one at a time,
// in the order before_dial, then on_connected if it succeeded and on_message for each that came,
// then on_disconnected; and again. Only stop() may leave the last of them out.
class UpstreamSink {
 public:
  virtual ~UpstreamSink() = default;
  // nullopt: no more frames are wanted, ever; it all ends. May block until some are, where the
  // thread is its own; its owner sees to it that stop() is not kept waiting here, nor in
  // on_message().
  virtual std::optional<Dial> before_dial() = 0;
  virtual Next on_connected(const WsOpened& opened, const Dial& dial) = 0;
  // May block likewise, which is the back-pressure.
  virtual Next on_message(const WsMessage& message) = 0;
  // The dial failed, or the connection ended. `delay`: before the next before_dial(). False: no
  // more frames are wanted, ever; it all ends, without the wait.
  virtual bool on_disconnected(const WsEnd& end, std::chrono::milliseconds delay) = 0;
};

struct UpstreamOptions {
  WsOptions ws;
  ReconnectOptions reconnect;
};

// On an executor: nothing of it blocks but what the sink does.
class UpstreamLink {
 public:
  // `executor` runs one handler at a time (a strand, or a context with one thread), and its context
  // outlives us. `sink` is not ours and outlives the run.
  UpstreamLink(const boost::asio::any_io_executor& executor, UpstreamUrl url,
               UpstreamOptions options, UpstreamSink& sink);
  ~UpstreamLink();
  UpstreamLink(const UpstreamLink&) = delete;
  UpstreamLink& operator=(const UpstreamLink&) = delete;

  // Once. `on_end` is called on the executor when all is over: the sink wanted no more, or stop().
  // With what the sink threw, if it did. This object may go before that.
  void start(std::function<void(std::exception_ptr)> on_end);

  // Any thread:
  void stop();    // ends the connection or the wait; returns at once
  void resume();  // after Next::wait
  // Ends the wait before the next dial, as if nothing had failed so far.
  void redial_now();
  // Ends the connection that is up or being made. `is_failure`: the next one waits as after any
  // other end; else it is dialled at once.
  void hang_up(bool is_failure);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

// On a thread of its own, on which the sink is called.
class Upstream {
 public:
  // `sink` is not ours and outlives stop(). Nothing happens before start().
  Upstream(UpstreamUrl url, UpstreamOptions options, UpstreamSink& sink);
  ~Upstream();  // stop()
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  void start();  // once
  // Ends the connection or the wait, and the thread. Waits for a sink that blocks: unblock it
  // first. Not from the sink. May be called again.
  void stop();

  // Any thread, as UpstreamLink's:
  void redial_now();
  void hang_up(bool is_failure);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::firehose
