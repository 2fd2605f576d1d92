// A host on loopback whose answers to HTTP a test gives by hand, byte by byte and when it likes.
// Whoever wants its stream is hung up on.
//
// What does not happen within kTestDeadline throws std::runtime_error.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "tests/support/loopback_listener.h"
#include "tests/support/net_stream.h"
#include "tools/play/http_wire.h"

namespace standpipe::test {

// A request that has come whole, and the way back. One thread.
class AskedByHand {
 public:
  AskedByHand(NetStream stream, std::string first_line, tools::play::HttpHeaders headers,
              std::string body);

  const std::string first_line;
  const tools::play::HttpHeaders headers;
  const std::string body;
  std::optional<std::string> header(std::string_view name) const;

  bool send(std::string_view bytes);  // false: the connection is gone
  // As much as the connection takes up to `size`; ends when it has taken nothing for as long as
  // `quiet`. How much it took.
  std::size_t send_what_is_taken(std::size_t size, std::chrono::milliseconds quiet);
  void end();           // FIN
  void wait_for_end();  // until whoever asked has gone

 private:
  NetStream stream_;
};

class HostByHand {
 public:
  HostByHand();
  ~HostByHand();
  HostByHand(const HostByHand&) = delete;
  HostByHand& operator=(const HostByHand&) = delete;

  std::uint16_t port() const { return listener_.port; }
  std::string url() const { return "ws://127.0.0.1:" + std::to_string(listener_.port); }

  AskedByHand take();  // the next request; waits for it

 private:
  void accept_all();
  void serve(NetStream stream);

  const LoopbackListener listener_;
  const WakeEvent wake_;
  std::mutex mutex_;  // guards the lines up to the next empty one
  std::condition_variable changed_;
  std::deque<AskedByHand> asked_;

  std::thread thread_;
};

}  // namespace standpipe::test
