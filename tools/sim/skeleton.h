// The tree of a repository of many records, of which only the places are held where its account
// will write.
//
// A node's hash is over the hashes of its children, so nothing can be added below a hash that has
// been committed to. But of a subtree that no commit ever enters, nothing but its hash is ever
// seen, and any 32 bytes will do. So the tree is drawn top down, as positions of keys among
// `records` records that are never made: in a node of layer l, one record in (4^(l+1) - 1) / 3 of
// those below is one of its keys. Children in which no wanted place lies become random hashes; the
// others are drawn in turn, and encoded bottom up. Keys are made for the positions that come up,
// with a time that fits the position and a hash that fits the layer. What is held is a tree like
// any other as far as one can see, at the cost of a path.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "schema/mst.h"
#include "tools/sim/collections.h"
#include "tools/sim/key_pool.h"
#include "tools/sim/random.h"

namespace standpipe::tools::sim {

struct SkeletonPlan {
  std::uint64_t records = 0;
  std::uint64_t first_micros = 0;  // when the repository's first record was made
  std::uint64_t end_micros = 0;    // all its records are of before
  // Of each, the place behind its last record is held, with the keys left and right of it.
  std::vector<Collection> written;
  // Of each, so many records at random places are held so that they can be deleted.
  Collection deleted_from = Collection::follow;
  std::uint32_t deletable = 0;
};

struct Skeleton {
  Mst tree;
  std::vector<std::string> deletable;  // keys
};

Skeleton make_skeleton(const KeyPool& pool, const SkeletonPlan& plan, Random& random);

// So that trees do not grow with every commit: the same tree with nothing held but the paths to
// `keys` (and to their neighbours), whether or not they are there.
Mst prune(Mst& tree, const std::vector<std::string>& keys);

}  // namespace standpipe::tools::sim
