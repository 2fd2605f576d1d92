#include "tools/sim/skeleton.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "schema/base/assert.h"
#include "schema/car.h"
#include "schema/car_blocks.h"
#include "schema/mst_node.h"

namespace standpipe::tools::sim {
namespace {

// Where the pool has no key in range, one is searched for up to this layer, at 5,000 tries. Of
// those above there is one among four thousand records; without it the tree is a little flatter.
constexpr int kSoughtLayerMax = 5;
constexpr int kLayerMax = 12;  // of a root: 4^12 records are sixteen million

// The records of a collection among all of the repository.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t slot_micros = 1;  // from one record to the next
};

struct Placed {
  std::uint64_t position = 0;
  Collection collection{};
  std::uint64_t tid = 0;
};

class Builder {
 public:
  Builder(const KeyPool& pool, const SkeletonPlan& plan, Random& random)
      : pool_(pool), plan_(plan), random_(random) {
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < kCollections.size(); ++i) {
      const std::uint64_t count = plan.records * kCollections[i].per_myriad / 10'000;
      ranges_[i] = {at, at + count,
                    std::max<std::uint64_t>(1, (plan.end_micros - plan.first_micros) /
                                                   std::max<std::uint64_t>(1, count))};
      at += count;
    }
    records_ = at;
    for (const Collection collection : plan.written) places_.push_back(range(collection).end);
    choose_deletable();
    std::sort(places_.begin(), places_.end());
    places_.erase(std::unique(places_.begin(), places_.end()), places_.end());
  }

  Skeleton build() {
    Skeleton skeleton;
    if (records_ == 0) return skeleton;
    std::vector<Placed> keys;
    int layer = kLayerMax;
    while (keys.empty()) {
      STANDPIPE_ASSERT(layer >= 0, "every record is a key of layer 0 if of none above");
      keys = draw_keys(0, records_, layer--);
    }
    const Sha256Digest root = build_node(0, records_, layer + 1, keys);
    CarWriter writer(car_, {});
    for (const auto& [digest, block] : blocks_) writer.write_block(blessed_cid(digest), block);
    const CarBlocks blocks = CarBlocks::read(car_).value();
    skeleton.tree = Mst::load(blocks, root).value();
    skeleton.deletable = std::move(deletable_keys_);
    return skeleton;
  }

 private:
  const Range& range(Collection collection) const {
    return ranges_[static_cast<std::size_t>(collection)];
  }

  void choose_deletable() {
    const Range& from = range(plan_.deleted_from);
    if (from.first == from.end) return;
    for (std::uint32_t i = 0; i < plan_.deletable; ++i) {
      const std::uint64_t position = from.first + random_.below(from.end - from.first);
      deletable_.push_back(position);
      // With the places on both sides of it held, both its neighbours are.
      places_.push_back(position);
      places_.push_back(position + 1);
    }
  }

  Collection collection_at(std::uint64_t position) const {
    for (std::size_t i = 0; i < ranges_.size(); ++i) {
      if (position < ranges_[i].end) return static_cast<Collection>(i);
    }
    STANDPIPE_ASSERT(false, "position beyond the last record");
    return Collection::teal_play;
  }

  std::uint64_t first_tid(Collection collection, std::uint64_t position) const {
    const Range& within = range(collection);
    return (plan_.first_micros + (position - within.first) * within.slot_micros) << 10;
  }

  // A key of this layer at the position or, if the layer is a high one, near it: from `from` on,
  // below `end`. Nothing where no key of a very high layer is to be had.
  std::optional<Placed> make_key(std::uint64_t position, std::uint64_t from, std::uint64_t end,
                                 int layer) {
    const Collection collection = collection_at(position);
    if (layer > kSearchedLayerMax) {
      const Range& within = range(collection);
      const std::uint64_t after = first_tid(collection, std::max(from, within.first));
      const std::uint64_t before = first_tid(collection, std::min(end, within.end));
      const auto found =
          pool_.find(collection, layer, first_tid(collection, position), after, before);
      if (found) {
        const std::uint64_t micros = (*found >> 10) - plan_.first_micros;
        return Placed{within.first + micros / within.slot_micros, collection, *found};
      }
      if (layer > kSoughtLayerMax) return std::nullopt;
    }
    return search_key(position, collection, layer);
  }

  Placed search_key(std::uint64_t position, Collection collection, int layer) {
    const std::uint64_t slot_micros = range(collection).slot_micros;
    const std::uint64_t tid = first_tid(collection, position);
    KeyText key(collection);
    for (;;) {
      const std::uint64_t word = random_.next();
      const std::uint64_t tried = tid + (((word >> 10) % slot_micros) << 10) + (word & 31U);
      key.set_tid(tried);
      if (key.layer() == layer) return {position, collection, tried};
    }
  }

  // The keys of layer `layer` among positions `first` up to `end`, of which none stands higher.
  std::vector<Placed> draw_keys(std::uint64_t first, std::uint64_t end, int layer) {
    std::vector<Placed> keys;
    const std::uint64_t one_in = ((std::uint64_t{4} << (2 * layer)) - 1) / 3;
    std::uint64_t from = first;
    std::uint64_t at = first;
    for (;;) {
      at += random_.geometric(one_in) - 1;
      if (at >= end) return keys;
      if (const auto key = make_key(at, from, end, layer)) {
        keys.push_back(*key);
        from = key->position + 1;
        at = std::max(at + 1, from);
      } else {
        ++at;
      }
    }
  }

  // Whether a place that is wanted lies in the child that covers these positions.
  bool is_entered(std::uint64_t first, std::uint64_t end) const {
    const auto place = std::lower_bound(places_.begin(), places_.end(), first);
    return place != places_.end() && *place <= end;
  }

  std::optional<Sha256Digest> build_child(std::uint64_t first, std::uint64_t end, int layer) {
    if (first == end) return std::nullopt;
    if (is_entered(first, end)) return build_node(first, end, layer, draw_keys(first, end, layer));
    return random_digest();
  }

  Sha256Digest build_node(std::uint64_t first, std::uint64_t end, int layer,
                          const std::vector<Placed>& keys) {
    std::vector<std::optional<Sha256Digest>> children;
    std::uint64_t from = first;
    for (const Placed& key : keys) {
      children.push_back(build_child(from, key.position, layer - 1));
      from = key.position + 1;
    }
    children.push_back(build_child(from, end, layer - 1));
    // The writer looks back at the key before.
    std::vector<KeyText> texts;
    texts.reserve(keys.size());
    Bytes block;
    MstNodeWriter writer(block, keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      texts.emplace_back(keys[i].collection).set_tid(keys[i].tid);
      const std::string_view key = texts.back().view();
      const BlessedCid value = blessed_cid(random_digest());
      writer.write_entry(key, value, children[i + 1] ? &*children[i + 1] : nullptr);
      if (std::find(deletable_.begin(), deletable_.end(), keys[i].position) != deletable_.end()) {
        deletable_keys_.emplace_back(key);
      }
    }
    writer.finish(children[0] ? &*children[0] : nullptr);
    const Sha256Digest digest = sha256(block);
    blocks_.emplace_back(digest, std::move(block));
    return digest;
  }

  Sha256Digest random_digest() {
    Sha256Digest digest;
    random_.fill(digest);
    return digest;
  }

  const KeyPool& pool_;
  const SkeletonPlan& plan_;
  Random& random_;
  std::array<Range, kCollections.size()> ranges_{};
  std::uint64_t records_ = 0;
  std::vector<std::uint64_t> places_;     // p: between positions p - 1 and p. Rising
  std::vector<std::uint64_t> deletable_;  // positions
  std::vector<std::string> deletable_keys_;
  std::vector<std::pair<Sha256Digest, Bytes>> blocks_;
  Bytes car_;
};

}  // namespace

Skeleton make_skeleton(const KeyPool& pool, const SkeletonPlan& plan, Random& random) {
  return Builder(pool, plan, random).build();
}

Mst prune(Mst& tree, const std::vector<std::string>& keys) {
  std::vector<std::string_view> views(keys.begin(), keys.end());
  Bytes car;
  CarWriter writer(car, {});
  const auto visited = tree.visit_proof(
      views,
      [&](const Sha256Digest& digest, ByteView block) {
        writer.write_block(blessed_cid(digest), block);
      },
      MstUnknown::skip);
  STANDPIPE_ASSERT(visited.has_value(), visited.error().detail);
  return Mst::load(CarBlocks::read(car).value(), tree.root()).value();
}

}  // namespace standpipe::tools::sim
