// Which frames a reader asked for: by the DID they concern, by the collections they write to.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/frame.h"

namespace standpipe {

// Compiled once, then judged per frame without allocation. Immutable: any thread.
//
//   dids         a frame passes if the DID that it concerns is one of them. A frame without a DID,
//                or whose DID is none by syntax, never passes.
//   collections  judge #commit alone: whole, if any of its ops is in one of them. Every other kind
//                of frame passes.
//   both         must pass. An empty list asks nothing.
class FrameFilter {
 public:
  static constexpr std::size_t kDidsMax = 10'000;
  static constexpr std::size_t kCollectionsMax = 100;

  struct Wanted {
    std::vector<std::string> dids;
    std::vector<std::string> collections;  // an NSID, or a prefix of one: "app.bsky.feed.*"
  };

  // Passes every frame.
  FrameFilter() = default;
  // invalid, naming the entry and what is allowed; limit for too many.
  static Result<FrameFilter> compile(const Wanted& wanted);

  bool passes_all() const { return dids_.empty() && !has_collections(); }

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using TextSet = std::unordered_set<std::string, TextHash, std::equal_to<>>;

  // What is asked for, each once but for prefixes.
  const TextSet& dids() const { return dids_; }
  const TextSet& collections() const { return collections_; }             // whole NSIDs
  const std::vector<std::string>& prefixes() const { return prefixes_; }  // "app.bsky.feed."

  // `ops` must be all ops of the frame: ops.size() == envelope.ops_total.
  bool passes(const Envelope& envelope, std::span<const EnvelopeOp> ops) const;
  // The same from the bytes. Allocates only for a commit of more than 256 ops.
  bool passes(ByteView frame) const;

 private:
  bool has_collections() const { return !collections_.empty() || !prefixes_.empty(); }
  bool passes_did(const Envelope& envelope) const;
  bool is_wanted_collection(std::string_view collection) const;

  TextSet dids_;
  TextSet collections_;
  std::vector<std::string> prefixes_;  // with the last dot: "app.bsky.feed."
};

}  // namespace standpipe
