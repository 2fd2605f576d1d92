#include "replay/filter_index.h"

#include <algorithm>
#include <random>

#include "schema/base/assert.h"

namespace standpipe::replay {
namespace {

constexpr std::size_t kBucketsMin = 64;
// Longer than any NSID, and so than any collection that can be asked for. Spec: NSID, "length".
constexpr std::size_t kCollectionBytesMax = 317;

// Of this process alone: nobody can prepare thousands of DIDs that meet in one bucket.
std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::random_device random;
    return (std::uint64_t{random()} << 32) | random();
  }();
  return seed;
}

// FNV-1a: hashes every prefix of a text on the way to the whole.
class KeyHash {
 public:
  KeyHash& add(char byte) {
    state_ = (state_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    return *this;
  }
  std::uint32_t value() const { return static_cast<std::uint32_t>(state_ ^ (state_ >> 32)); }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325U ^ hash_seed();
};

// DIDs hold a colon, prefixes end with a dot, NSIDs do neither: one table takes them all.
std::uint32_t hash_of(std::string_view key) {
  KeyHash hash;
  for (const char byte : key) hash.add(byte);
  return hash.value();
}

// The key of every filter by collection: what is no commit passes them all.
std::uint32_t any_collection() {
  static const std::uint32_t hash = hash_of("*");
  return hash;
}

}  // namespace

FilterIndex::Id FilterIndex::add(std::shared_ptr<const FrameFilter> filter) {
  STANDPIPE_ASSERT(filter != nullptr && !filter->passes_all(), "what is indexed has a key");
  Id id = static_cast<Id>(slots_.size());
  if (free_slots_.empty()) {
    slots_.emplace_back();
  } else {
    id = free_slots_.back();
    free_slots_.pop_back();
  }
  const FrameFilter& wanted = *filter;
  slots_[id].filter = std::move(filter);
  ++count_;
  if (!wanted.dids().empty()) {
    slots_[id].entries.reserve(wanted.dids().size());
    for (const std::string& did : wanted.dids()) add_key(id, hash_of(did));
  } else {
    ++by_collection_;
    add_key(id, any_collection());
    for (const std::string& collection : wanted.collections()) add_key(id, hash_of(collection));
    for (const std::string& prefix : wanted.prefixes()) add_key(id, hash_of(prefix));
  }
  return id;
}

void FilterIndex::remove(Id id) {
  STANDPIPE_ASSERT(id < slots_.size() && slots_[id].filter != nullptr, "the filter is indexed");
  Slot& slot = slots_[id];
  for (const std::uint32_t at : slot.entries) {
    unlink(at);
    entries_[at].next = free_entry_;
    free_entry_ = at;
    --entries_used_;
  }
  if (slot.filter->dids().empty()) --by_collection_;
  slot = Slot();
  free_slots_.push_back(id);
  --count_;
  if (count_ == 0) *this = FilterIndex();  // what thousands of DIDs took is given back
}

void FilterIndex::add_key(Id id, std::uint32_t hash) {
  if (entries_used_ >= buckets_.size()) grow();
  std::uint32_t at = free_entry_;
  if (at == kNone) {
    at = static_cast<std::uint32_t>(entries_.size());
    STANDPIPE_ASSERT(at != kNone, "entries are numbered in 32 bits");
    entries_.emplace_back();
  } else {
    free_entry_ = entries_[at].next;
  }
  entries_[at] = {hash, id, kNone, kNone};
  link(at);
  slots_[id].entries.push_back(at);
  ++entries_used_;
}

void FilterIndex::link(std::uint32_t at) {
  std::uint32_t& head = buckets_[entries_[at].hash & (buckets_.size() - 1)];
  entries_[at].before = kNone;
  entries_[at].next = head;
  if (head != kNone) entries_[head].before = at;
  head = at;
}

void FilterIndex::unlink(std::uint32_t at) {
  const Entry& entry = entries_[at];
  if (entry.next != kNone) entries_[entry.next].before = entry.before;
  if (entry.before != kNone) {
    entries_[entry.before].next = entry.next;
  } else {
    buckets_[entry.hash & (buckets_.size() - 1)] = entry.next;
  }
}

void FilterIndex::grow() {
  buckets_.assign(std::max(kBucketsMin, buckets_.size() * 2), kNone);
  for (const Slot& slot : slots_) {
    for (const std::uint32_t at : slot.entries) link(at);
  }
}

void FilterIndex::ask(std::uint32_t hash, const Envelope& envelope, std::span<const EnvelopeOp> ops,
                      std::vector<Id>& ids) {
  std::uint32_t at = buckets_[hash & (buckets_.size() - 1)];
  for (; at != kNone; at = entries_[at].next) {
    const Entry& entry = entries_[at];
    if (entry.hash != hash) continue;
    Slot& slot = slots_[entry.id];
    if (slot.asked == frame_) continue;  // found by another of its collections
    slot.asked = frame_;
    if (slot.filter->passes(envelope, ops)) ids.push_back(entry.id);
  }
}

void FilterIndex::ask_by_collection(std::string_view collection, const Envelope& envelope,
                                    std::span<const EnvelopeOp> ops, std::vector<Id>& ids) {
  KeyHash hash;
  for (std::size_t i = 0; i < collection.size(); ++i) {
    if (i == kCollectionBytesMax) return;
    hash.add(collection[i]);
    if (collection[i] == '.') ask(hash.value(), envelope, ops, ids);
  }
  ask(hash.value(), envelope, ops, ids);
}

void FilterIndex::match(const FrameSpan& span, std::size_t i, std::vector<Id>& ids) {
  ids.clear();
  if (count_ == 0 || span.frames[i].length == 0) return;  // erased: passes no filter
  ++frame_;
  const FrameKeys keys = span.keys != nullptr ? span.keys[i] : frame_keys(span.frame_of(i));
  const Envelope envelope = envelope_of(keys);
  std::span<const EnvelopeOp> ops(&keys.first_op, std::min<std::size_t>(keys.ops_total, 1));
  if (keys.ops_total > 1) {
    ops_.resize(keys.ops_total);
    scan_frame(span.frame_of(i), ops_);
    ops = ops_;
  }
  if (!keys.did.empty()) ask(hash_of(keys.did), envelope, ops, ids);
  if (by_collection_ == 0) return;
  if (keys.kind != FrameKind::commit) {
    ask(any_collection(), envelope, ops, ids);
    return;
  }
  for (const EnvelopeOp& op : ops) ask_by_collection(op.collection(), envelope, ops, ids);
}

}  // namespace standpipe::replay
