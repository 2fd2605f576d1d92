// Between the writer, who knows from where to go on, and the upstream, which dials: at most one
// session at a time, and none that the writer has not asked for.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "archiver/firehose/upstream.h"

namespace standpipe::archiver {

// The writer opens the gate; the upstream passes it, which begins a session (the dial included);
// the session's last entry, taken by the writer, ends it; and the writer may open the gate again.
// A gate, not a flag: were the next dial made before the writer has seen the last entry of this
// session, it would ask again for what is still queued. Thread-safe.
class DialGate {
 public:
  // -- The writer ---------------------------------------------------------------------------------
  // Neither open nor passed: the next dial can be offered.
  bool is_idle() const;
  void open(firehose::Dial dial);
  // The dial that was offered is withdrawn, or the session that came of it is over for the writer.
  // Returns whether there is a session: its end is still to come.
  bool end_session();
  void session_ended();

  // -- The upstream -------------------------------------------------------------------------------
  std::optional<firehose::Dial> wait();  // nullopt once refused

  // -- Any thread ---------------------------------------------------------------------------------
  void refuse();
  // Asked for every message: no lock.
  bool is_session_over() const { return is_session_over_.load(std::memory_order_relaxed); }

 private:
  mutable std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::optional<firehose::Dial> offered_;
  bool has_session_ = false;
  bool is_refused_ = false;
  std::atomic<bool> is_session_over_ = false;
};

}  // namespace standpipe::archiver
