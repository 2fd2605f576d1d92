#include "schema/frame_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "schema/ids.h"

namespace standpipe {
namespace {

constexpr std::size_t kOpsWithoutAllocation = 256;

Error too_many(std::string_view what, std::size_t count, std::size_t max) {
  return Error{Errc::limit, fmt::format("{} {}: at most {} are allowed", count, what, max)};
}

// A prefix ends where a segment does: what could follow it is at least one more segment.
bool is_collection_prefix(std::string_view text) {
  if (!text.ends_with(".*")) return false;
  const std::string_view segments = text.substr(0, text.size() - 2);
  return Nsid::is_valid(std::string(segments) + ".x.x");
}

}  // namespace

Result<FrameFilter> FrameFilter::compile(const Wanted& wanted) {
  if (wanted.dids.size() > kDidsMax) return too_many("DIDs", wanted.dids.size(), kDidsMax);
  if (wanted.collections.size() > kCollectionsMax) {
    return too_many("collections", wanted.collections.size(), kCollectionsMax);
  }
  FrameFilter filter;
  for (const std::string& did : wanted.dids) {
    if (!Did::is_valid(did)) {
      return Error{Errc::invalid,
                   fmt::format("{} is not a DID, as in did:plc:z72i7hdynmk6r22z27h6tvur",
                               quoted_for_error(did))};
    }
    filter.dids_.insert(did);
  }
  for (const std::string& collection : wanted.collections) {
    if (Nsid::is_valid(collection)) {
      filter.collections_.insert(collection);
    } else if (is_collection_prefix(collection)) {
      filter.prefixes_.push_back(collection.substr(0, collection.size() - 1));
    } else {
      return Error{Errc::invalid,
                   fmt::format("{} is not a collection: an NSID as in app.bsky.feed.post, or the "
                               "start of one as in app.bsky.feed.*",
                               quoted_for_error(collection))};
    }
  }
  return filter;
}

bool FrameFilter::passes_did(const Envelope& envelope) const {
  // Only valid DIDs are in the set: a frame whose DID is none by syntax cannot be found.
  return dids_.empty() || dids_.find(envelope.did) != dids_.end();
}

bool FrameFilter::is_wanted_collection(std::string_view collection) const {
  if (collections_.find(collection) != collections_.end()) return true;
  return std::any_of(prefixes_.begin(), prefixes_.end(), [&](const std::string& prefix) {
    return collection.size() > prefix.size() && collection.starts_with(prefix);
  });
}

bool FrameFilter::passes(const Envelope& envelope, std::span<const EnvelopeOp> ops) const {
  if (!passes_did(envelope)) return false;
  if (!has_collections() || envelope.kind != FrameKind::commit) return true;
  return std::any_of(ops.begin(), ops.end(),
                     [&](const EnvelopeOp& op) { return is_wanted_collection(op.collection()); });
}

bool FrameFilter::passes(ByteView frame) const {
  if (passes_all()) return true;
  std::array<EnvelopeOp, kOpsWithoutAllocation> few;
  const FrameScan scan = scan_frame(frame, few);
  const std::size_t ops_total = scan.envelope.ops_total;
  if (ops_total <= few.size()) return passes(scan.envelope, std::span(few).first(ops_total));
  std::vector<EnvelopeOp> all(ops_total);
  const FrameScan again = scan_frame(frame, all);
  return passes(again.envelope, all);
}

}  // namespace standpipe
