#include "tests/support/archive_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace standpipe::test {
namespace {

Error wrong(std::string what) { return Error{Errc::corrupt, std::move(what)}; }

template <typename T>
Result<void> check_equal(const char* what, const T& actual, const T& expected) {
  if (actual == expected) return {};
  return wrong(fmt::format("{} is {} instead of {}", what, actual, expected));
}

using Frames = std::map<std::int64_t, std::string>;

// Takes the frames of a slice off the front of what is expected.
Result<void> check_slice(const storage::RunSlice& slice, Frames::const_iterator& expected,
                         const Frames& all) {
  for (std::size_t i = slice.first_frame; i < slice.run->frames.size(); ++i, ++expected) {
    const std::int64_t seq = to_int(slice.run->frames[i].seq);
    if (expected == all.end()) return wrong(fmt::format("seq {} is read, nothing expected", seq));
    if (expected->first != seq) {
      return wrong(fmt::format("seq {} is read instead of {}", seq, expected->first));
    }
    if (as_text(slice.run->frame_of(i)) != expected->second) {
      return wrong(fmt::format("seq {} has other bytes", seq));
    }
  }
  return {};
}

}  // namespace

Result<void> check_frames(const EpochUnderTest& epoch, std::int64_t position,
                          std::size_t frames_max) {
  const EpochModel& model = epoch.model;
  STANDPIPE_TRY(storage::Reader reader, epoch.archive.reader(epoch.stream, epoch.number));
  auto expected = model.frames().upper_bound(position);
  for (std::size_t seen = 0; seen < frames_max;) {
    STANDPIPE_TRY(const storage::ReadStep step, reader.read_after(Seq{position}));
    if (const auto* caught_up = std::get_if<storage::CaughtUp>(&step)) {
      if (expected != model.frames().end()) {
        return wrong(fmt::format("seq {} is not there", expected->first));
      }
      return check_equal("newest of a caught-up reader", to_int(caught_up->newest), model.newest());
    }
    if (const auto* passed = std::get_if<storage::WindowPassed>(&step)) {
      if (position >= model.window_floor()) {
        return wrong(fmt::format("the window passed {}, which is inside of it", position));
      }
      position = to_int(passed->gap.before) - 1;
      STANDPIPE_CHECK(check_equal("where the window goes on", position, model.window_floor()));
      continue;
    }
    const auto& slice = std::get<storage::RunSlice>(step);
    STANDPIPE_CHECK(check_slice(slice, expected, model.frames()));
    position = to_int(slice.run->last());
    seen += slice.run->frames.size() - slice.first_frame;
  }
  return {};
}

Result<void> check_find(const EpochUnderTest& epoch, std::int64_t seq) {
  STANDPIPE_TRY(storage::Reader reader, epoch.archive.reader(epoch.stream, epoch.number));
  STANDPIPE_TRY(const std::optional<storage::RunSlice> found, reader.find(Seq{seq}));
  const auto expected = epoch.model.frames().find(seq);
  const bool is_expected = expected != epoch.model.frames().end();
  if (found.has_value() != is_expected) {
    return wrong(fmt::format("seq {} is {}found", seq, is_expected ? "not " : ""));
  }
  if (found && as_text(found->run->frame_of(found->first_frame)) != expected->second) {
    return wrong(fmt::format("seq {} is found with other bytes", seq));
  }
  return {};
}

namespace {

// Between two groups there are several ways to say the same position.
std::int64_t seq_after(const EpochModel& model, std::int64_t position) {
  const auto it = model.frames().upper_bound(position);
  return it == model.frames().end() ? 0 : it->first;
}

}  // namespace

std::int64_t first_seq_at(const EpochModel& model, std::int64_t clock_ms) {
  return seq_after(model, model.position_at(clock_ms));
}

Result<std::int64_t> first_seq_at(const EpochUnderTest& epoch, std::int64_t clock_ms) {
  STANDPIPE_TRY(storage::Reader reader, epoch.archive.reader(epoch.stream, epoch.number));
  STANDPIPE_TRY(const Seq position, reader.position_at(clock_ms));
  return seq_after(epoch.model, to_int(position));
}

Result<void> check_gaps(const EpochUnderTest& epoch) {
  STANDPIPE_TRY(const std::vector<storage::Gap> gaps,
                epoch.archive.gaps(epoch.stream, epoch.number, kSeqNone, kSeqMax, SIZE_MAX));
  GapModel ledger;
  for (auto gap = gaps.begin(); gap != gaps.end(); ++gap) {
    if (distance(gap->after, gap->before) < 2) return wrong("the ledger has a gap of nothing");
    if (gap != gaps.begin()) {
      const storage::Gap& left = *std::prev(gap);
      if (next(gap->after) < left.before) return wrong("two gaps of the ledger overlap");
      const bool is_same = left.reason == gap->reason && left.detail == gap->detail;
      if (is_same && left.before == next(gap->after)) return wrong("two neighbours are apart");
    }
    ledger.add(to_int(gap->after), to_int(gap->before), gap->reason);
  }
  const std::vector<std::string> actual = ledger.to_texts();
  const std::vector<std::string> expected = epoch.model.gaps();
  const auto [a, e] = std::mismatch(actual.begin(), actual.end(), expected.begin(), expected.end());
  if (a == actual.end() && e == expected.end()) return {};
  return wrong(fmt::format("the ledger says `{}` instead of `{}`",
                           a == actual.end() ? "nothing more" : *a,
                           e == expected.end() ? "nothing more" : *e));
}

Result<void> check_epoch(const storage::EpochInfo& epoch, const EpochModel& model) {
  STANDPIPE_CHECK(check_equal("floor", to_int(epoch.floor), model.floor()));
  STANDPIPE_CHECK(check_equal("newest", to_int(epoch.newest), model.newest()));
  STANDPIPE_CHECK(check_equal("window floor", to_int(epoch.window_floor), model.window_floor()));
  STANDPIPE_CHECK(
      check_equal("the number of frames", epoch.frames, std::uint64_t{model.frames().size()}));
  STANDPIPE_CHECK(check_equal("whether upstream was reset", epoch.was_reset, model.is_reset()));
  return check_equal("origin", epoch.origin ? to_int(*epoch.origin) : -1,
                     model.origin().value_or(-1));
}

Result<void> check_partition(const storage::PartitionInfo& partition, const EpochModel& model,
                             std::uint64_t bytes_max) {
  const auto begin = model.frames().lower_bound(to_int(partition.first));
  const auto end = model.frames().upper_bound(to_int(partition.last));
  STANDPIPE_CHECK(check_equal("the number of frames of a partition", partition.frames,
                              static_cast<std::uint64_t>(std::distance(begin, end))));
  if (begin == end || begin->first != to_int(partition.first) ||
      std::prev(end)->first != to_int(partition.last)) {
    return wrong(fmt::format("partition {} ends elsewhere", to_int(partition.id)));
  }
  if (partition.groups > 1 && partition.raw_bytes > bytes_max) {
    return wrong(fmt::format("partition {} is too large", to_int(partition.id)));
  }
  return {};
}

}  // namespace standpipe::test
