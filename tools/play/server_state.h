// What the connections of a Server share: the list of frames, the pace, the records. Used by
// server.cc and connection.cc alone.
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
#include <vector>

#include "tools/play/net_stream.h"
#include "tools/play/server.h"

namespace standpipe::tools::play {

using SharedFrame = std::shared_ptr<const PlayFrame>;

// Where a connection begins.
struct StartPosition {
  std::size_t index = 0;  // of the next frame, counted over all that were ever in the list
  bool is_future = false;
  bool is_outdated = false;
};

// Thread-safe.
class ServerState {
 public:
  ServerState(PlayOptions options, TlsContext tls);

  const PlayOptions& options() const { return options_; }  // without its frames
  const TlsContext& tls() const { return tls_; }           // null: plain

  void append(std::vector<PlayFrame> frames);
  void forget(std::int64_t seq);
  void release(std::uint64_t frames);
  void release_all();
  StartPosition start_of(std::optional<std::int64_t> cursor) const;
  // Up to `count` frames from `index` on, which is moved past them (and first to the oldest that is
  // held). Fewer, or none, if they are not there or may not go yet.
  std::vector<SharedFrame> take(std::size_t& index, std::size_t count);
  bool is_at_end(std::size_t index) const;  // nothing is held from `index` on, released or not

  void plan_next(ConnectionPlan plan);
  std::optional<ConnectionPlan> take_plan();

  // The number of a new connection. nullopt: too many there have been.
  std::optional<std::size_t> add_connection();
  void update(std::size_t number, const std::function<void(ConnectionRecord&)>& change);
  std::vector<ConnectionRecord> records() const;

  void add_waker(const WakeEvent* event);
  void remove_waker(const WakeEvent* event);
  void stop();
  bool is_stopping() const;
  void finish();
  bool is_finishing() const;

  bool wait(const Server::Holds& holds, std::chrono::steady_clock::time_point deadline) const;
  void touch() const;
  std::string summary() const;

 private:
  void wake_all_locked() const;

  PlayOptions options_;
  const TlsContext tls_;

  mutable std::mutex mutex_;  // guards everything below
  mutable std::condition_variable changed_;
  std::deque<SharedFrame> frames_;
  std::size_t forgotten_ = 0;  // frames that were at the front of the list
  std::int64_t floor_ = 0;
  std::int64_t newest_seq_ = 0;
  std::optional<std::uint64_t> released_;  // frames of the list that may go; nullopt: all
  std::deque<ConnectionPlan> plans_;
  std::vector<ConnectionRecord> records_;
  std::set<const WakeEvent*> wakers_;
  bool is_stopping_ = false;
  bool is_finishing_ = false;
};

}  // namespace standpipe::tools::play
