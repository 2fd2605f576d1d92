// Undoing the operations of a commit on the tree that it leads to.
// Spec: atproto sync, "Commit Validation: MST Operation Inversion".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/mst.h"

namespace standpipe {

enum class MstAction : std::uint8_t { create, update, erase };

struct MstOp {
  MstAction action = MstAction::create;
  std::string_view key;
  ByteView after;   // binary CID; empty for an erase
  ByteView before;  // binary CID; empty for a create
};

enum class InversionFault : std::uint8_t {
  bad_op,         // no MST key, no CID, or a key that another operation has, too
  value_differs,  // the tree holds another value than the operation gave the key
  key_absent,     // created or updated, but not in the tree
  key_present,    // erased, but in the tree
  node_missing,   // the tree lacks a node that is needed; the detail names its CID
  limit,          // the tree before would pass a limit of MstLimits
};

struct InversionFinding {
  InversionFault fault = InversionFault::bad_op;
  std::size_t op = 0;  // in the order given
  std::string detail;
};

// Undoes `ops` on `tree`, which becomes the tree before them, and whose root is then to be
// compared. The order of `ops` does not matter. nullopt when all went well; else why not, with the
// tree somewhere in between.
std::optional<InversionFinding> invert_ops(Mst& tree, std::span<const MstOp> ops);

}  // namespace standpipe
