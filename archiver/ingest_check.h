// Judging frames while they are ingested, behind the writer's back: nothing waits for it.
//
// The check is a reader of the archive of its own: it follows what is durable, one run at a time,
// and holds no queue. Where it is slower than ingest it falls behind and catches up later; where
// retention overtakes it, what it missed is counted. Whatever it finds, frames stay as they are and
// are served as they are: verdicts are counted, and told in the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "schema/base/clock.h"
#include "schema/frame_verdict.h"
#include "schema/key_source.h"
#include "schema/seq.h"
#include "storage/archive.h"

namespace standpipe::archiver {

enum class VerifyIngest : std::uint8_t {
  off,
  structure,  // each frame by itself, without trees and keys; a third of the work, no memory
  full,       // all that `verify` does
};
std::string_view to_string(VerifyIngest verify);

struct IngestCheckOptions {
  VerifyIngest verify = VerifyIngest::off;
  KeySource* keys = nullptr;        // not ours; null: of nobody
  std::size_t repos_max = 500'000;  // whose last commit is remembered; some 200 bytes each
  const Clock* clock = &SystemClock::instance();  // not ours
};

// Since the start.
struct IngestCheckStats {
  VerifyIngest verify = VerifyIngest::off;
  Seq checked = kSeqNone;     // of the newest epoch looked at: all up to here
  std::uint64_t frames = 0;   // judged
  std::uint64_t invalid = 0;  // of these, with a finding
  std::map<std::string_view, std::uint64_t> by_finding;
  SignatureCounts signatures;         // of commits and #syncs; of a labeler's stream, of labels
  std::uint64_t missed = 0;           // times that retention took frames before they were judged
  std::uint64_t repos_forgotten = 0;  // for want of room: their next commit is held against none
  std::string error;                  // why it has ended; empty: it has not
};

class IngestCheck {
 public:
  // Begins behind what is durable now. `archive` is not ours and outlives us. Has no thread where
  // there is nothing to verify.
  IngestCheck(const storage::Archive& archive, const storage::StreamInfo& stream,
              const IngestCheckOptions& options);
  ~IngestCheck();  // stop()
  IngestCheck(const IngestCheck&) = delete;
  IngestCheck& operator=(const IngestCheck&) = delete;

  // Everything up to `newest` can be read. Any thread; returns at once.
  void on_durable(storage::EpochNumber epoch, Seq newest);
  void stop();  // what has not been judged stays so

  IngestCheckStats stats() const;  // any thread

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::archiver
