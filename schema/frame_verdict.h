// What is wrong with one frame, by itself: whatever can be told without another frame.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/event.h"
#include "schema/frame.h"
#include "schema/key_source.h"
#include "schema/seq.h"

namespace standpipe {

struct FrameFinding {
  // Of CommitFault, ChainFault, Unarchivable, or one of: event_malformed, not_canonical,
  // time_invalid, rev_absent, since_absent, too_big, rebase, label_unsigned, label_version_absent,
  // label_signature_wrong, seq_not_rising.
  std::string_view what;          // lives for ever
  std::optional<std::size_t> op;  // the operation, or the label, that it is about
  std::string detail;             // for people
};

enum class SignatureOutcome : std::uint8_t {
  none,        // nothing that is signed
  unreadable,  // no commit object to look at; a finding says why
  valid,
  wrong,
  no_document,
  no_key,       // in the document, or none that can be used
  key_changed,  // by no key of documents that differ: it may be by one in between
  no_answer,    // whoever knows the keys could not be asked
};

enum class JudgeDepth : std::uint8_t {
  structure,  // what needs no tree and no key: about a third of the work
  full,
};

// What commits were checked for, each true where it could be.
struct CommitChecks {
  bool has_blocks = false;  // CAR, and the hash of every block
  bool has_object = false;  // commit object against the envelope
  bool has_ops = false;     // against the tree
  bool is_inverted = false;
};

// Owns all that it says, so the frame may go.
struct FrameVerdict {
  FrameKind kind = FrameKind::unknown;
  std::optional<Seq> seq;
  std::string did;
  std::size_t bytes = 0;
  bool is_decoded = false;  // else a finding says why
  std::vector<FrameFinding> findings;

  CommitChecks checks;
  bool lacks_prev_data = false;  // a commit of before Sync v1.1: not inverted
  bool is_too_big = false;       // likewise: without what it changed
  SignatureOutcome signature = SignatureOutcome::none;  // of a commit or #sync
  std::string signature_detail;                         // if it is wrong
  std::vector<SignatureOutcome> labels;                 // of each label

  // For the chain; of commits and #syncs.
  std::optional<std::string> rev;
  Nullable<std::string> since;
  Bytes prev_data;
  Bytes data;
};

// How many signatures came to what.
struct SignatureCounts {
  std::uint64_t valid = 0;
  std::uint64_t wrong = 0;
  std::uint64_t unreadable = 0;
  std::uint64_t no_document = 0;
  std::uint64_t no_key = 0;
  std::uint64_t key_changed = 0;
  std::uint64_t no_answer = 0;

  void add(SignatureOutcome outcome);
  std::uint64_t unchecked() const {
    return unreadable + no_document + no_key + key_changed + no_answer;
  }
};

// Frames whose `time` is of 2026 or later must be of Sync v1.1; in older ones the forms of their
// age are no findings.
inline constexpr std::int64_t kSyncV11FromMs = 1'767'225'600'000;  // 2026-01-01T00:00:00Z

// Any thread. `keys` may be of nobody; it is not asked where `depth` is structure.
FrameVerdict judge_frame(ByteView frame, KeySource& keys, JudgeDepth depth = JudgeDepth::full);

}  // namespace standpipe
