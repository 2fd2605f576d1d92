#include "storage/codec.h"

#include <algorithm>
#include <string>
#include <utility>

namespace standpipe::storage {
namespace {

// Spreads neighbouring numbers over all 64 bits (the finalizer of MurmurHash3).
constexpr std::uint64_t mix64(std::uint64_t value) {
  value ^= value >> 33U;
  value *= 0xFF51AFD7ED558CCDULL;
  value ^= value >> 33U;
  value *= 0xC4CEB9FE1A85EC53ULL;
  return value ^ (value >> 33U);
}

// At 19 KB a group, the live size, twelve groups are about one run of 256 KiB.
constexpr std::uint64_t kGroupsPerAnchor = 12;

// Codec 0: a payload is the wire form of its frames, one after the other.
class FramesDecoder final : public PartitionDecoder {
 public:
  FramesDecoder(const DecoderOptions& options, std::unique_ptr<GroupSource> source)
      : options_(options), source_(std::move(source)) {}

  Result<std::optional<Seq>> find(Seq after) override {
    if (stands_after(after)) return std::optional<Seq>(source_->first());
    STANDPIPE_TRY(const bool found, seek(next(after)));
    if (!found) return std::optional<Seq>();
    STANDPIPE_TRY(const GroupView group, header());
    if (group.frames.back().seq > after) return std::optional<Seq>(source_->first());
    STANDPIPE_TRY(const bool has_next, advance(group.frames.back().seq));
    return has_next ? std::optional<Seq>(source_->first()) : std::nullopt;
  }

  Result<DecodedRun> run_at(Seq first) override {
    if (!is_on_group_ || source_->first() != first) {
      before_.reset();
      is_on_group_ = false;
      STANDPIPE_TRY(is_on_group_, source_->seek_exactly(first));
      if (!is_on_group_) {
        return Error{Errc::not_found, "partition " + std::to_string(to_int(options_.partition)) +
                                          ": no group begins at seq " +
                                          std::to_string(to_int(first))};
      }
    }
    auto run = std::make_shared<WireRun>();
    run->partition = options_.partition;
    run->epoch = options_.epoch;
    std::size_t stored_bytes = 0;
    bool has_next = true;
    do {
      stored_bytes += source_->value().size();
      STANDPIPE_CHECK(append_group(*run));
      STANDPIPE_TRY(has_next, advance(run->last()));
    } while (has_next && !is_run_anchor(source_->first()) &&
             stored_bytes + source_->value().size() <= options_.run_bytes_target);
    DecodedRun decoded;
    decoded.run = std::move(run);
    if (has_next) decoded.next = source_->first();
    decoded.ends_at_tail = !has_next && !options_.is_final;
    return decoded;
  }

  Result<WireRunPtr> frame(Seq seq) override {
    STANDPIPE_TRY(const bool found, seek(seq));
    if (!found) return WireRunPtr();
    STANDPIPE_TRY(const GroupView group, whole());
    const auto& frames = group.frames;
    const auto at = std::lower_bound(frames.begin(), frames.end(), seq,
                                     [](const RunFrame& a, Seq b) { return a.seq < b; });
    if (at == frames.end() || at->seq != seq) return WireRunPtr();
    auto run = std::make_shared<WireRun>();
    run->partition = options_.partition;
    run->epoch = options_.epoch;
    run->received_first_ms = group.times.received_first_ms;
    run->received_last_ms = group.times.received_last_ms;
    run->clock_ms = group.times.clock_ms;
    run->frames = {{seq, 0, at->length, at->hash}};
    run->wire = group.payload.substr(at->offset, at->length);
    return WireRunPtr(std::move(run));
  }

  Result<std::optional<Seq>> find_clock(std::int64_t clock_ms) override {
    // Clocks never fall from group to group. `high` is a group that is late enough, and no group at
    // or below `low` is.
    STANDPIPE_TRY(const bool found, seek(kSeqMax));
    if (!found) return std::optional<Seq>();
    STANDPIPE_TRY(const GroupView last, header());
    if (last.times.clock_ms < clock_ms) return std::optional<Seq>();
    Seq high = source_->first();
    Seq low = kSeqNone;
    while (distance(low, high) > 1) {
      const Seq middle{to_int(low) + distance(low, high) / 2};
      STANDPIPE_CHECK(seek(middle));
      STANDPIPE_TRY(const GroupView group, header());
      if (group.times.clock_ms >= clock_ms) {
        high = std::min(high, source_->first());
        if (high > middle) break;  // it is the first group
      } else {
        low = std::max(middle, source_->first());
      }
    }
    return std::optional<Seq>(high);
  }

  Result<Seq> step_back(Seq after, std::size_t& frames) override {
    while (frames > 0) {
      STANDPIPE_TRY(const bool found, seek(after));
      if (!found || source_->first() > after) return after;
      STANDPIPE_TRY(const GroupView group, header());
      const auto passed = std::count_if(group.frames.begin(), group.frames.end(),
                                        [&](const RunFrame& frame) { return frame.seq <= after; });
      frames -= std::min(frames, static_cast<std::size_t>(passed));
      after = previous(source_->first());
    }
    return after;
  }

 private:
  // The source stands on the first group with a frame after `after`, known without a look.
  bool stands_after(Seq after) const {
    return is_on_group_ && before_ && *before_ <= after && source_->first() > after;
  }

  Result<bool> seek(Seq seq) {
    before_.reset();
    is_on_group_ = false;
    STANDPIPE_TRY(is_on_group_, source_->seek(seq));
    return is_on_group_;
  }

  // `last`: last seq of the group that is left.
  Result<bool> advance(Seq last) {
    is_on_group_ = false;
    STANDPIPE_TRY(is_on_group_, source_->next());
    before_ = last;
    if (is_on_group_ && source_->first() <= last) {
      return Error{Errc::corrupt, place() + ": the group before it reaches to seq " +
                                      std::to_string(to_int(last))};
    }
    return is_on_group_;
  }

  Result<GroupView> header() const { return checked(parse_group_header(source_->value())); }
  Result<GroupView> whole() const { return checked(parse_group(source_->value())); }

  Result<GroupView> checked(Result<GroupView> group) const {
    if (!group) return Error{group.error().code, place() + ": " + group.error().detail};
    if (group->frames.front().seq != source_->first()) {
      return Error{Errc::corrupt, place() + ": holds a group that begins at seq " +
                                      std::to_string(to_int(group->frames.front().seq))};
    }
    return group;
  }

  std::string place() const {
    return "partition " + std::to_string(to_int(options_.partition)) + ", group at seq " +
           std::to_string(to_int(source_->first()));
  }

  Result<void> append_group(WireRun& run) const {
    STANDPIPE_TRY(const GroupView group, whole());
    const std::size_t base = run.wire.size();
    if (run.frames.empty()) run.received_first_ms = group.times.received_first_ms;
    run.received_last_ms = group.times.received_last_ms;
    run.clock_ms = group.times.clock_ms;
    run.frames.reserve(run.frames.size() + group.frames.size());
    for (RunFrame frame : group.frames) {
      frame.offset += static_cast<std::uint32_t>(base);
      run.frames.push_back(frame);
    }
    run.wire.append(group.payload);
    return {};
  }

  DecoderOptions options_;
  std::unique_ptr<GroupSource> source_;
  bool is_on_group_ = false;
  std::optional<Seq> before_;  // last seq of the group before the source's, where that is known
};

}  // namespace

bool is_run_anchor(Seq first) {
  return mix64(static_cast<std::uint64_t>(to_int(first))) % kGroupsPerAnchor == 0;
}

Result<std::unique_ptr<PartitionDecoder>> make_decoder(std::uint8_t codec,
                                                       const DecoderOptions& options,
                                                       std::unique_ptr<GroupSource> source) {
  if (codec != kCodecFrames) {
    return Error{Errc::unsupported, "partition " + std::to_string(to_int(options.partition)) +
                                        ": codec " + std::to_string(codec) +
                                        " is not known to this build"};
  }
  return std::unique_ptr<PartitionDecoder>(
      std::make_unique<FramesDecoder>(options, std::move(source)));
}

}  // namespace standpipe::storage
