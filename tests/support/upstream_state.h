// What the connections of a ScriptedUpstream share: the list of frames, the pace, the records.
// Used by scripted_upstream.cc and upstream_connection.cc alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/net_stream.h"
#include "tests/support/scripted_upstream.h"

namespace standpipe::test {

// A descriptor that poll() reports from wake() until clear().
class WakeEvent {
 public:
  WakeEvent();
  int fd() const { return fd_.get(); }
  void wake() const;
  void clear() const;

 private:
  FileDescriptor fd_;
};

using SharedFrame = std::shared_ptr<const UpstreamFrame>;

// Where a connection begins.
struct StartPosition {
  std::size_t index = 0;  // of the next frame, counted over all that were ever in the list
  bool is_future = false;
  bool is_outdated = false;
};

// Thread-safe.
class UpstreamState {
 public:
  explicit UpstreamState(UpstreamOptions options);

  const UpstreamOptions& options() const { return options_; }
  const TlsContext& tls() const { return tls_; }  // null: plain

  void append(std::vector<UpstreamFrame> frames);
  void forget(std::int64_t seq);
  void release(std::uint64_t frames);
  void release_all();
  StartPosition start_of(std::optional<std::int64_t> cursor) const;
  // Up to `count` frames from `index` on, which is moved past them (and first to the oldest that is
  // held). Fewer, or none, if they are not there or may not go yet.
  std::vector<SharedFrame> take(std::size_t& index, std::size_t count);

  void plan_next(ConnectionPlan plan);
  std::optional<ConnectionPlan> take_plan();

  // nullopt: too many there have been.
  std::optional<std::size_t> add_connection();
  void update(std::size_t number, const std::function<void(ConnectionRecord&)>& change);
  void end(std::size_t number, ConnectionEnd how);  // unless it has ended
  std::vector<ConnectionRecord> records() const;
  ConnectionRecord record(std::size_t number) const;

  void add_waker(const WakeEvent* event);
  void remove_waker(const WakeEvent* event);
  void stop();
  bool is_stopping() const;

  // Until `holds` (under the lock) or throws.
  void wait(const std::function<bool(const std::vector<ConnectionRecord>&)>& holds,
            const std::string& what) const;

 private:
  void wake_all_locked() const;
  std::string summary_locked() const;

  const UpstreamOptions options_;
  const TlsContext tls_;

  mutable std::mutex mutex_;  // guards everything below
  mutable std::condition_variable changed_;
  std::deque<SharedFrame> frames_;
  std::size_t forgotten_ = 0;  // frames that were at the front of the list
  std::int64_t forgotten_seq_ = 0;
  std::int64_t newest_seq_ = 0;
  std::optional<std::uint64_t> permits_;  // nullopt: not paced
  std::deque<ConnectionPlan> plans_;
  std::vector<ConnectionRecord> records_;
  std::set<const WakeEvent*> wakers_;
  bool is_stopping_ = false;
};

}  // namespace standpipe::test
