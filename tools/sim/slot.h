// What is to happen at one place of the stream: decided by the schedule, made by a repository.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "schema/seq.h"

namespace standpipe::tools::sim {

// What real streams have and samples of them lack: made only when asked for.
enum class Odd : std::uint8_t {
  legacy,    // a commit as before 2025: no prevData, no ops[].prev, no nodes of neighbours
  empty,     // a commit without operations: a new rev for the same tree
  too_big,   // a commit as of 2024 that says tooBig: no ops, the commit block alone, no prevData
  long_key,  // a record whose path has 1000 bytes
  non_canonical,  // an envelope whose keys are not sorted, with a seq that is longer than it need
                  // be
  did_web,        // accounts, not frames: their DIDs are did:web
  big_record,     // a record of 100 to 900 KB
  many_ops,       // a commit of 200 operations
  takedown,       // #account takendown; nothing more of the account
  deletion,       // #account deleted; nothing more of the account
  rev_back,       // a commit whose rev is below the one before
  info,           // #info OutdatedCursor, which has no seq
};
inline constexpr std::size_t kOddKinds = 12;
inline constexpr std::array<std::string_view, kOddKinds> kOddNames = {
    "legacy",     "empty",    "too-big",  "long-key", "non-canonical", "did-web",
    "big-record", "many-ops", "takedown", "deletion", "rev-back",      "info"};

enum class SlotKind : std::uint8_t {
  commit,
  identity,
  account_active,
  account_deactivated,
  account_takendown,
  account_deleted,
  sync,
  info,
};

struct Slot {
  SlotKind kind = SlotKind::commit;
  std::optional<Odd> odd;
  Seq seq = kSeqNone;            // none of an #info
  std::uint64_t micros = 0;      // since 1970
  std::uint64_t account = 0;     // accounts count from 0 in the order in which they appear
  bool is_first = false;         // of the account
  bool is_last = false;          // of the account: it may be forgotten
  bool is_new_repo = false;      // with is_first: the account has only just been made
  std::uint64_t gap_micros = 0;  // with is_first: since the commit before, which nobody saw
};

}  // namespace standpipe::tools::sim
