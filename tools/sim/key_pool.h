// Record keys that stand high in a tree, found once for all accounts.
//
// A key's layer follows from its hash alone, so a key for layer 7 takes twenty thousand tries. An
// account needs a few such keys for the upper nodes of its tree, and there is a new account every
// five frames: up to kSearchedLayerMax it tries for itself, above it takes the key from here whose
// time is nearest. So two accounts may share record keys (TIDs) of their highest nodes, and those
// alone; no hash, no other key is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "schema/hash.h"
#include "schema/mst_node.h"
#include "tools/sim/collections.h"
#include "tools/sim/random.h"

namespace standpipe::tools::sim {

inline constexpr int kSearchedLayerMax = 3;
inline constexpr std::int64_t kHistoryMicros = std::int64_t{1000} * 86'400 * 1'000'000;

// "app.bsky.feed.like/3jzfcijpj2z2a", to be given one TID after the other.
class KeyText {
 public:
  explicit KeyText(Collection collection);

  void set_tid(std::uint64_t tid);  // as Tid::Parts, in one word
  std::string_view view() const { return as_text(text_.text()); }
  int layer() const { return mst_layer(text_.digest()); }

 private:
  ShortSha256 text_;
};

// Not changed after it is made: any thread.
class KeyPool {
 public:
  // Keys of the kHistoryMicros before `end_micros`. Takes a quarter of a second.
  KeyPool(std::uint64_t seed, std::uint64_t end_micros);

  // The TID nearest to `tid` with after < TID < before, of a key that stands in `layer`, above
  // kSearchedLayerMax; nullopt where there is none.
  std::optional<std::uint64_t> find(Collection collection, int layer, std::uint64_t tid,
                                    std::uint64_t after, std::uint64_t before) const;

 private:
  static constexpr int kLayers = 16;
  void fill(Collection collection, std::uint64_t seed, std::uint64_t end_micros);

  std::vector<std::vector<std::uint64_t>> tids_;  // by collection and layer, each rising
};

}  // namespace standpipe::tools::sim
