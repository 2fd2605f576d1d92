#include "storage/reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "storage/codec.h"
#include "storage/reader_impl.h"

namespace standpipe::storage {
namespace {

// Partitions change hands between a look at the directory and a look into them; more often than
// this in one read means that something is wrong with the directory.
constexpr int kViewsMax = 16;
// What a reader that goes on decodes at a time, at most: opening a scan costs as much as decoding a
// run.
constexpr std::size_t kReadAheadBytesMax = 2 << 20;

bool is_final(const PartitionInfo& partition) {
  return partition.state == PartitionState::sealing || partition.state == PartitionState::sealed;
}

// Whether `now` has every partition that `then` had between two seqs. One that went meanwhile looks
// empty where partitions share a family, and what follows it is not what comes next.
bool has_all(const EpochView& now, const EpochView& then, Seq after, Seq up_to) {
  return std::all_of(then.partitions.begin(), then.partitions.end(), [&](const PartitionInfo& one) {
    if (one.first > up_to || (is_final(one) && one.last <= after)) return true;
    return std::any_of(now.partitions.begin(), now.partitions.end(),
                       [&one](const PartitionInfo& other) { return other.id == one.id; });
  });
}

}  // namespace

Reader::Impl::Impl(Core& core, std::shared_ptr<EpochChannel> channel)
    : core_(&core),
      channel_(std::move(channel)),
      ahead_(std::min(kReadAheadBytesMax, core.options.run_cache_bytes / 8)) {}

Result<std::unique_ptr<PartitionDecoder>> Reader::Impl::open_decoder(const PartitionInfo& partition,
                                                                     bool bulk) const {
  auto scan = bulk ? core_->store->scan(partition.container, /*bulk=*/true)
                   : core_->store->scan_few(partition.container);
  if (!scan) return std::move(scan).error();
  const DecoderOptions options{partition.id, partition.epoch, core_->options.run_bytes_target,
                               is_final(partition)};
  return make_decoder(partition.codec, options,
                      make_group_source(std::move(scan).value(), partition.id));
}

Result<WireRunPtr> Reader::Impl::read_partition(const PartitionInfo& partition, Seq after) {
  // Before the decoder, and so longer than it: while one lives, the database behind it is open, and
  // could not be opened anew.
  const std::shared_lock lock(core_->store_mutex);
  std::unique_ptr<PartitionDecoder> decoder;
  std::optional<Seq> first;
  const bool goes_on = next_ && next_->partition == partition.id && next_->after == after;
  if (core_->store == nullptr) return Error{Errc::closed, "the archive is closed"};
  if (after < partition.first) {
    first = partition.first;
  } else if (goes_on) {
    first = next_->first;
  } else {
    STANDPIPE_TRY(decoder, open_decoder(partition, /*bulk=*/false));
    STANDPIPE_TRY(first, decoder->find(after));
    if (!first) return WireRunPtr();
  }
  const auto decode = [&]() -> Result<DecodedRun> {
    if (decoder == nullptr) {
      STANDPIPE_TRY(decoder, open_decoder(partition, /*bulk=*/goes_on));
    }
    return decoder->run_at(*first);
  };
  STANDPIPE_TRY(const DecodedRun decoded, core_->cache.get({partition.id, *first}, decode));
  if (!goes_on) {
    ahead_.restart();
  } else if (decoder != nullptr) {
    read_ahead(*decoder, {partition.id, *first}, decoded.next);
  }
  next_.reset();
  if (decoded.next) next_ = NextRun{partition.id, decoded.run->last(), *decoded.next};
  return decoded.run;
}

void Reader::Impl::read_ahead(PartitionDecoder& decoder, const RunKey& missed,
                              std::optional<Seq> first) {
  const std::size_t bytes_max = ahead_.bytes_after(missed);
  for (std::size_t bytes = 0; first && bytes < bytes_max;) {
    const RunKey key{missed.partition, *first};
    const std::optional<DecodedRun> decoded =
        core_->cache.read_ahead(key, [&] { return decoder.run_at(key.first); });
    if (!decoded) return;
    if (!decoded->ends_at_tail) ahead_.keep(key);
    bytes += decoded->run->wire.size();
    first = decoded->next;
  }
}

// The first run after `after` in any partition of the view; nullptr if there is none.
Result<WireRunPtr> Reader::Impl::read_view(const EpochView& view, Seq after) {
  // The last partition that begins at or before the wanted seq may hold it; else the one after.
  auto partition = std::upper_bound(
      view.partitions.begin(), view.partitions.end(), next(after),
      [](Seq wanted, const PartitionInfo& candidate) { return wanted < candidate.first; });
  if (partition != view.partitions.begin()) --partition;
  for (; partition != view.partitions.end(); ++partition) {
    if (is_final(*partition) && partition->last <= after) continue;
    // A partition below `after` has nothing for us; one above is read from its beginning.
    const Seq from = std::max(after, previous(partition->first));
    STANDPIPE_TRY(WireRunPtr run, read_partition(*partition, from));
    if (run != nullptr) return run;
  }
  return WireRunPtr();
}

Result<ReadStep> Reader::Impl::read_after(Seq after) {
  Error last_error{Errc::corrupt, {}};
  for (int attempt = 0; attempt < kViewsMax; ++attempt) {
    const Seq newest = channel_->newest();  // before the view, which then knows its partition
    const std::shared_ptr<const EpochView> view = channel_->view();
    if (after < view->window_floor) {
      return ReadStep(
          WindowPassed{Gap{after, next(view->window_floor), GapReason::retention, 0, {}}});
    }
    if (after >= newest) return ReadStep(CaughtUp{newest});
    Result<WireRunPtr> run = read_view(*view, after);
    if (run && *run != nullptr) {
      const std::shared_ptr<const EpochView> now = channel_->view();
      if (now != view && !has_all(*now, *view, after, (*run)->last())) continue;
      // The store may hold more than what is published.
      const WireRunPtr shown = run_up_to(*run, std::max(newest, channel_->newest()));
      if (shown != nullptr) return ReadStep(RunSlice{shown, shown->index_after(after)});
    }
    if (!run && run.error().code == Errc::corrupt) core_->fail(run.error());
    if (!run && run.error().code != Errc::not_found) return run.error();
    if (channel_->view() == view && run) {
      // Nothing after `after`, though newest says otherwise, and nobody changed anything.
      Error error{Errc::corrupt, "nothing is stored after seq " + std::to_string(to_int(after)) +
                                     ", but the newest is " + std::to_string(to_int(newest))};
      core_->fail(error);
      return error;
    }
    if (!run) last_error = run.error();
  }
  return last_error;
}

// A look-up of one frame: nothing is joined, and nothing kept.
Result<WireRunPtr> Reader::Impl::find_in(const EpochView& view, Seq seq) const {
  auto partition = std::upper_bound(
      view.partitions.begin(), view.partitions.end(), seq,
      [](Seq wanted, const PartitionInfo& candidate) { return wanted < candidate.first; });
  if (partition == view.partitions.begin()) return WireRunPtr();
  --partition;
  if (is_final(*partition) && partition->last < seq) return WireRunPtr();
  const std::shared_lock lock(core_->store_mutex);
  if (core_->store == nullptr) return Error{Errc::closed, "the archive is closed"};
  STANDPIPE_TRY(const auto decoder, open_decoder(*partition, /*bulk=*/false));
  return decoder->frame(seq);
}

Result<std::optional<RunSlice>> Reader::Impl::find(Seq seq) {
  Error last_error{Errc::corrupt, {}};
  for (int attempt = 0; attempt < kViewsMax; ++attempt) {
    const Seq newest = channel_->newest();
    const std::shared_ptr<const EpochView> view = channel_->view();
    if (seq > newest || seq <= view->window_floor) return std::optional<RunSlice>();
    Result<WireRunPtr> frame = find_in(*view, seq);
    if (frame) {
      if (*frame == nullptr) return std::optional<RunSlice>();
      return std::optional<RunSlice>(RunSlice{std::move(frame).value(), 0});
    }
    if (frame.error().code == Errc::corrupt) core_->fail(frame.error());
    if (frame.error().code != Errc::not_found) return frame.error();
    last_error = std::move(frame).error();  // dropped meanwhile: look again
  }
  return last_error;
}

Result<Seq> Reader::Impl::position_at(std::int64_t clock_ms) {
  for (int attempt = 0; attempt < kViewsMax; ++attempt) {
    const Seq newest = channel_->newest();
    const std::shared_ptr<const EpochView> view = channel_->view();
    std::int64_t open_clock_ms = std::numeric_limits<std::int64_t>::min();
    for (const PartitionInfo& partition : view->partitions) {
      open_clock_ms = is_final(partition) ? partition.clock_last_ms : core_->clock_of(partition.id);
      if (open_clock_ms < clock_ms) continue;
      const Result<std::optional<Seq>> first = [&]() -> Result<std::optional<Seq>> {
        const std::shared_lock lock(core_->store_mutex);
        if (core_->store == nullptr) return Error{Errc::closed, "the archive is closed"};
        STANDPIPE_TRY(const auto decoder, open_decoder(partition, /*bulk=*/false));
        return decoder->find_clock(clock_ms);
      }();
      if (first && *first) {
        return std::max(std::min(previous(**first), newest), view->window_floor);
      }
      if (!first && first.error().code != Errc::not_found) return first.error();
      break;  // dropped meanwhile: look again
    }
    if (open_clock_ms < clock_ms) return newest;
  }
  return Error{Errc::corrupt, "the partitions of the epoch do not hold still"};
}

Result<Seq> Reader::Impl::step_back(Seq after, std::size_t frames) {
  const std::shared_ptr<const EpochView> view = channel_->view();
  for (auto partition = view->partitions.rbegin();
       partition != view->partitions.rend() && frames > 0; ++partition) {
    if (partition->first > after) continue;
    const Result<Seq> before = [&]() -> Result<Seq> {
      const std::shared_lock lock(core_->store_mutex);
      if (core_->store == nullptr) return Error{Errc::closed, "the archive is closed"};
      STANDPIPE_TRY(const auto decoder, open_decoder(*partition, /*bulk=*/false));
      return decoder->step_back(after, frames);
    }();
    // Dropped meanwhile, and so is all that lies before it.
    if (!before && before.error().code == Errc::not_found) break;
    if (!before) return before.error();
    after = *before;
  }
  const Seq floor = channel_->view()->window_floor;
  return frames > 0 ? floor : std::max(after, floor);
}

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader& Reader::operator=(Reader&&) noexcept = default;
Reader::~Reader() = default;

Result<ReadStep> Reader::read_after(Seq after) { return impl_->read_after(after); }
Result<Seq> Reader::position_at(std::int64_t clock_ms) { return impl_->position_at(clock_ms); }
Result<Seq> Reader::step_back(Seq after, std::size_t frames) {
  return impl_->step_back(after, frames);
}
Result<std::optional<RunSlice>> Reader::find(Seq seq) { return impl_->find(seq); }

}  // namespace standpipe::storage
