// Short words for tests of the client library against a ScriptedUpstream.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <string>
#include <vector>

#include "archiver/firehose/client_options.h"
#include "archiver/firehose/message_frame.h"
#include "tests/support/scale.h"
#include "tests/support/scripted_upstream.h"

namespace standpipe::test {

// A client of `upstream` that waits as good as not at all between two dials.
inline firehose::ClientOptions client_of(const ScriptedUpstream& upstream) {
  firehose::ClientOptions options;
  options.base_uri = upstream.url();
  options.reconnect.delay_min = std::chrono::milliseconds(1);
  options.reconnect.delay_max = std::chrono::milliseconds(4);
  options.reconnect.jitter = 0;
  options.hooks.on_skip = [](const firehose::Skip&) {};
  return options;
}

// What was seen, in short, by whichever thread.
class Sightings {
 public:
  void add(std::string what) {
    {
      const std::lock_guard lock(mutex_);
      seen_.push_back(std::move(what));
    }
    changed_.notify_all();
  }
  void add(std::int64_t seq) { add(std::to_string(seq)); }

  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return seen_.size();
  }
  // Throws where it takes longer than a test may.
  void wait_for(std::size_t count) const {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kWaitMax, [&] { return seen_.size() >= count; })) {
      throw std::runtime_error("waited in vain for " + std::to_string(count) + " sightings; had " +
                               std::to_string(seen_.size()));
    }
  }

 private:
  static constexpr std::chrono::seconds kWaitMax{120};
  mutable std::mutex mutex_;  // guards seen_
  mutable std::condition_variable changed_;
  std::vector<std::string> seen_;
};

inline std::vector<std::string> numbers(std::int64_t first, std::int64_t last) {
  std::vector<std::string> made;
  for (std::int64_t n = first; n <= last; ++n) made.push_back(std::to_string(n));
  return made;
}

inline std::int64_t seq_of(const firehose::MessageFrame& frame) {
  return frame.seq() ? to_int(*frame.seq()) : -1;
}

inline std::string what_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  }
}

// "closed 1008", "http_status 503", "lost".
inline std::string end_of(const firehose::WsEnd& end) {
  std::string said(to_string(end.kind));
  if (end.http_status != 0) said += " " + std::to_string(end.http_status);
  if (end.close_code != 0) said += " " + std::to_string(end.close_code);
  return said;
}

// "-" for none, of each connection so far.
inline std::vector<std::string> cursors_of(const ScriptedUpstream& upstream) {
  std::vector<std::string> cursors;
  for (const ConnectionRecord& seen : upstream.connections()) {
    cursors.push_back(seen.cursor ? std::to_string(*seen.cursor) : "-");
  }
  return cursors;
}

}  // namespace standpipe::test
