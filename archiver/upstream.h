// A connection to an upstream that is kept up: dial, read, wait, dial again.
//
// One thread of its own, on which the sink is called. Free of storage/: part of the client library.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "archiver/reconnect.h"
#include "archiver/upstream_url.h"
#include "archiver/ws_client.h"
#include "schema/seq.h"

namespace standpipe::archiver {

struct Dial {
  std::optional<Seq> cursor;  // what to ask for; none: what comes next
};

// Whoever takes what arrives. All calls come from the upstream's thread, one at a time, in the
// order before_dial, then on_connected if it succeeded and on_message for each that came, then
// on_disconnected; and again. Only stop() may leave the last of them out.
class UpstreamSink {
 public:
  virtual ~UpstreamSink() = default;
  // Blocks until frames are wanted. nullopt: no more of them, ever; the thread ends. Its owner sees
  // to it that stop() is not kept waiting here, nor in on_message().
  virtual std::optional<Dial> before_dial() = 0;
  // False ends this connection; the next one is dialled at once.
  virtual bool on_connected(const WsOpened& opened, const Dial& dial) = 0;
  // May block, which is the back-pressure. False as above.
  virtual bool on_message(const WsMessage& message) = 0;
  // The dial failed, or the connection ended. `delay`: before the next before_dial().
  virtual void on_disconnected(const WsEnd& end, std::chrono::milliseconds delay) = 0;
};

struct UpstreamOptions {
  WsOptions ws;
  ReconnectOptions reconnect;
};

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

  // Any thread:
  // Ends the wait before the next dial, as if nothing had failed so far.
  void redial_now();
  // Ends the connection that is up or being made. `is_failure`: the next one waits as after any
  // other end; else it is dialled at once.
  void hang_up(bool is_failure);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::archiver
