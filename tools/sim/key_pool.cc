#include "tools/sim/key_pool.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "tools/sim/tid.h"

namespace standpipe::tools::sim {
namespace {

// So many tries give 128 keys of layer 5, and four times as many of the layer below.
constexpr std::uint64_t kTriesPerWeight = 128 * 1365;

std::size_t place(Collection collection, int layer, int layers) {
  return static_cast<std::size_t>(collection) * static_cast<std::size_t>(layers) +
         static_cast<std::size_t>(layer);
}

}  // namespace

KeyText::KeyText(Collection collection)
    : text_(as_bytes(std::string(traits(collection).nsid) + '/' + std::string(kTidBytes, '2'))) {}

void KeyText::set_tid(std::uint64_t tid) {
  const TidText digits(tid >> 10, static_cast<unsigned>(tid & 1023U));
  std::memcpy(text_.text().last(kTidBytes).data(), digits.view().data(), kTidBytes);
}

KeyPool::KeyPool(std::uint64_t seed, std::uint64_t end_micros)
    : tids_(kCollections.size() * std::size_t{kLayers}) {
  for (std::size_t i = 0; i < kCollections.size(); ++i) {
    fill(static_cast<Collection>(i), mix(seed, i), end_micros);
  }
}

void KeyPool::fill(Collection collection, std::uint64_t seed, std::uint64_t end_micros) {
  Random random(seed);
  KeyText key(collection);
  const std::uint64_t history = std::min<std::uint64_t>(kHistoryMicros, end_micros);
  const std::uint64_t tries = kTriesPerWeight * traits(collection).pool_weight;
  for (std::uint64_t i = 0; i < tries; ++i) {
    const std::uint64_t word = random.next();
    const std::uint64_t micros = end_micros - 1 - (word >> 10) % history;
    const std::uint64_t tid = (micros << 10) | (word & 31U);
    key.set_tid(tid);
    const int layer = key.layer();
    if (layer <= kSearchedLayerMax || layer >= kLayers) continue;
    tids_[place(collection, layer, kLayers)].push_back(tid);
  }
  for (int layer = kSearchedLayerMax + 1; layer < kLayers; ++layer) {
    auto& tids = tids_[place(collection, layer, kLayers)];
    std::sort(tids.begin(), tids.end());
  }
}

std::optional<std::uint64_t> KeyPool::find(Collection collection, int layer, std::uint64_t tid,
                                           std::uint64_t after, std::uint64_t before) const {
  if (layer >= kLayers) return std::nullopt;
  const auto& tids = tids_[place(collection, layer, kLayers)];
  const auto above = std::lower_bound(tids.begin(), tids.end(), tid);
  std::optional<std::uint64_t> found;
  if (above != tids.end() && *above > after && *above < before) found = *above;
  if (above == tids.begin()) return found;
  const std::uint64_t below = *(above - 1);
  if (below <= after || below >= before) return found;
  if (!found || tid - below < *found - tid) found = below;
  return found;
}

}  // namespace standpipe::tools::sim
