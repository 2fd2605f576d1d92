// The server of tools/play as an upstream of tests: it plays frames to whoever connects, and breaks
// in exactly the way a test asks for. What it can do is said there; here are the waits of a test.
//
// All public calls may be made from any thread. A wait that is not fulfilled within kTestDeadline
// throws std::runtime_error, which gtest shows as the test's failure, with what there was instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "tests/support/certificates.h"
#include "tools/play/connection_plan.h"
#include "tools/play/server.h"

namespace standpipe::test {

using tools::play::ConnectionEnd;
using tools::play::ConnectionPlan;
using tools::play::ConnectionRecord;
using tools::play::CursorMode;
using UpstreamFrame = tools::play::PlayFrame;
using UpstreamOptions = tools::play::PlayOptions;

class ScriptedUpstream {
 public:
  explicit ScriptedUpstream(UpstreamOptions options = {});

  std::uint16_t port() const { return server_->port(); }
  std::string url(std::string_view path = "") const { return server_->url(path); }

  void append(std::vector<UpstreamFrame> frames) { server_->append(std::move(frames)); }
  void append(std::int64_t seq, Bytes bytes);
  void forget(std::int64_t seq) { server_->forget(seq); }
  void release(std::uint64_t frames) { server_->release(frames); }
  void release_all() { server_->release_all(); }
  void plan_next(ConnectionPlan plan) { server_->plan_next(std::move(plan)); }

  std::vector<ConnectionRecord> connections() const { return server_->connections(); }
  ConnectionRecord connection(std::size_t number) const;
  std::size_t open_connections() const { return server_->open_connections(); }

  // Each of the first `count` connections has sent its request, or has ended, or is a silent one.
  void wait_for_connections(std::size_t count) const;
  // A frame with this seq or above has been handed to TCP whole, on some connection.
  void wait_until_sent(std::int64_t seq) const;
  void wait_until_sent(std::size_t number, std::int64_t seq) const;  // on this one
  ConnectionRecord wait_for_end(std::size_t number) const;           // its end is not `open`
  void wait_for_pongs(std::size_t number, std::size_t count) const;
  // Any other state of one connection. `what` completes "waited in vain for ...".
  ConnectionRecord wait_for(std::size_t number, std::string_view what,
                            const std::function<bool(const ConnectionRecord&)>& holds) const;

 private:
  void wait(const tools::play::Server::Holds& holds, const std::string& what) const;

  std::unique_ptr<tools::play::Server> server_;
};

}  // namespace standpipe::test
