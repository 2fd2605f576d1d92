// Trees for tests, and what they come to.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "schema/mst.h"
#include "tests/support/mst_twin.h"

namespace standpipe::test {

// The root as text, "bafyrei...".
std::string root_text(Mst& mst);

// The blocks of a tree as a CAR with the root's CID as its root. `left_out`: CIDs, as text, of
// nodes that it lacks.
Bytes to_car(Mst& mst, const std::vector<std::string>& left_out = {});

// A CAR of the blocks of `twin`, without those in `left_out`.
Bytes to_car(const MstTwin& twin, const std::vector<std::string>& left_out = {});

// The tree under `root` (as text) in a CAR, which may lack nodes.
Result<Mst> load_tree(ByteView car, std::string_view root, const MstLimits& limits = {});

// What the tree holds. Ends the process where a subtree is not held.
MstModel contents(const Mst& mst);

// A binary CID for a record that there need not be; another for each number.
Bytes record_cid(std::uint64_t number);

}  // namespace standpipe::test
