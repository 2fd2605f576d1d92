// The tree of a commit as far as its CAR holds it, for people and as JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "schema/car_blocks.h"
#include "schema/event.h"

namespace standpipe::tools {

// {cid, held, layer, ops, entries}: of a node that the CAR lacks only {cid, held}; one that is no
// MST node has an `error` in place of `layer` and `entries`. `ops` are the operations whose paths
// lead through the node, found in it or not. An entry is {key, value, ops}, with the operations on
// the key, or {child}, a node. The tree is cut off, with `more`, at 1,000 nodes or 10,000 entries.
nlohmann::ordered_json tree_as_json(const Commit& commit, const CarBlocks& blocks, ByteView root);

// What tree_as_json returned, as lines with an indent of two a level. CIDs are their last eight
// characters, which differ; nodes and keys of operations are marked with their numbers.
std::string tree_as_text(const nlohmann::ordered_json& tree);

}  // namespace standpipe::tools
