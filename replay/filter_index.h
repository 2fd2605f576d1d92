// Which of many filters let a frame through, without asking each of them.
//
// A filter is found by what is rarer in it: by its DIDs if it names any, else by its collections. A
// frame then costs one look-up per DID, and one per segment of each of its collections, however
// many filters there are; those that are found are asked, so the answer is exact.
//
// Memory: 16 bytes and a share of a bucket for each DID or collection of each filter; no text is
// kept but in the filters themselves. Neither is limited here: FrameFilter::kDidsMax,
// kCollectionsMax and the server's limit of subscribers do that. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "replay/frame_span.h"
#include "schema/frame_filter.h"

namespace standpipe::replay {

class FilterIndex {
 public:
  // Small, and given again once its filter is removed.
  using Id = std::uint32_t;

  // Aborts if `filter` is null or passes everything.
  Id add(std::shared_ptr<const FrameFilter> filter);
  // Aborts if `id` is not of a filter that is here.
  void remove(Id id);
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }

  // Sets `ids` to those whose filter lets frame `i` of the span through: each once, in no order.
  void match(const FrameSpan& span, std::size_t i, std::vector<Id>& ids);

 private:
  // One key of one filter; those in the same bucket are chained both ways, so that a filter leaves
  // in the time that its own keys take.
  struct Entry {
    std::uint32_t hash = 0;  // of the key. The same of another key: the filter says no
    Id id = 0;
    std::uint32_t next = kNone;  // of the chain, or of the free entries
    std::uint32_t before = kNone;
  };
  struct Slot {
    std::shared_ptr<const FrameFilter> filter;  // null: free
    std::vector<std::uint32_t> entries;
    std::uint64_t asked = 0;  // the frame that it was asked about last
  };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  void add_key(Id id, std::uint32_t hash);
  void link(std::uint32_t at);
  void unlink(std::uint32_t at);
  void grow();
  void ask(std::uint32_t hash, const Envelope& envelope, std::span<const EnvelopeOp> ops,
           std::vector<Id>& ids);
  void ask_by_collection(std::string_view collection, const Envelope& envelope,
                         std::span<const EnvelopeOp> ops, std::vector<Id>& ids);

  std::vector<Slot> slots_;
  std::vector<Id> free_slots_;
  std::vector<Entry> entries_;
  std::uint32_t free_entry_ = kNone;
  std::size_t entries_used_ = 0;
  std::vector<std::uint32_t> buckets_;  // a power of two, or none yet
  std::size_t count_ = 0;
  std::size_t by_collection_ = 0;  // filters that name no DID
  std::uint64_t frame_ = 0;        // counts those that were looked up
  std::vector<EnvelopeOp> ops_;    // of a commit of more than one
};

}  // namespace standpipe::replay
