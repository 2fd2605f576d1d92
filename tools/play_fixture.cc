#include "tools/play_fixture.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "schema/datetime.h"
#include "schema/frame.h"
#include "storage/frame_file.h"
#include "storage/group_clock.h"
#include "tools/selection.h"
#include "tools/sim/network.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

constexpr std::uint64_t kFrameCost = 100;  // what holding one takes beside its bytes, about

class Loader {
 public:
  Loader(std::uint64_t bytes_max, const StopSignal& signal)
      : bytes_max_(bytes_max), signal_(signal) {}

  int stop_fd() const { return signal_.fd(); }

  Result<void> add(ByteView bytes) {
    if (signal_.was_raised()) {
      return Error{Errc::closed, "stopped by a signal, before anything was served"};
    }
    cost_ += bytes.size() + kFrameCost;
    if (cost_ > bytes_max_) {
      return Error{Errc::limit,
                   fmt::format("the fixture does not fit into --memory-max {}: {} frames do; take "
                               "a shorter range, or allow more",
                               format_size(bytes_max_), format_count(fixture_.frames.size()))};
    }
    const Envelope envelope = scan_frame(bytes).envelope;
    if (envelope.seq && to_int(*envelope.seq) > newest_) {
      newest_ = to_int(*envelope.seq);
      if (unplaced_ > 0) {
        fixture_.first_numbered = unplaced_;
        place_beginning();
      }
    } else if (newest_ == 0) {
      ++unplaced_;
    }
    fixture_.frames.push_back({newest_, to_bytes(bytes)});
    fixture_.bytes += bytes.size();
    add_time(envelope.time);
    return {};
  }

  PlayFixture finish() {
    if (newest_ == 0) {
      newest_ = 1;
      fixture_.first_numbered = fixture_.frames.size();
      place_beginning();
    }
    if (!has_time_) fixture_.offsets_ms.clear();
    const std::int64_t first = fixture_.offsets_ms.empty() ? 0 : fixture_.offsets_ms.front();
    for (std::int64_t& offset : fixture_.offsets_ms) offset -= first;
    return std::move(fixture_);
  }

 private:
  void place_beginning() {
    for (play::PlayFrame& frame : fixture_.frames) frame.seq = newest_;
    unplaced_ = 0;
  }

  // Frames before the first that carries a time are as old as that one.
  void add_time(std::string_view text) {
    const auto time = parse_datetime_ms(text);
    clock_.add_frame(time ? std::optional(*time) : std::nullopt);
    if (time && !has_time_) {
      has_time_ = true;
      std::fill(fixture_.offsets_ms.begin(), fixture_.offsets_ms.end(), *time);
    }
    // There is no receive time that could bound the clock.
    fixture_.offsets_ms.push_back(
        has_time_ ? clock_.end_group(std::numeric_limits<std::int64_t>::max()) : 0);
  }

  const std::uint64_t bytes_max_;
  const StopSignal& signal_;
  std::uint64_t cost_ = 0;
  std::int64_t newest_ = 0;
  std::size_t unplaced_ = 0;
  bool has_time_ = false;
  storage::GroupClock clock_;
  PlayFixture fixture_;
};

Result<void> load_file(const PlaySource& source, Loader& loader) {
  STANDPIPE_TRY(auto reader, storage::FrameFileReader::open(source.file, loader.stop_fd()));
  for (;;) {
    STANDPIPE_TRY(const auto frame, reader.next());
    if (!frame) return {};
    STANDPIPE_CHECK(loader.add(*frame));
  }
}

Result<void> load_archive(const PlaySource& source, Loader& loader) {
  SelectionOptions options;
  options.data = source.data;
  options.stream = source.stream;
  options.epoch = source.epoch;
  if (source.from) options.after = Seq{std::max<std::int64_t>(to_int(*source.from), 1) - 1};
  options.until = source.to;
  STANDPIPE_TRY(FrameFilter filter, check_selection(options));
  STANDPIPE_TRY(Selection selection, open_selection(options, std::move(filter)));
  WalkCalls calls;
  calls.frame = [&](const ViewFrame& frame) { return loader.add(frame.bytes); };
  // What retention takes meanwhile would make two runs differ.
  calls.passed = [&](const storage::Gap& gap) -> Result<void> {
    return Error{Errc::not_found, fmt::format("{}: after {} before {} is not held any more ({})",
                                              source.data, to_int(gap.after), to_int(gap.before),
                                              storage::to_string(gap.reason))};
  };
  const auto walked = walk(selection, calls);
  if (!walked) return walked.error();
  return {};
}

Result<void> load_simulation(const PlaySource& source, Loader& loader) {
  sim::NetworkOptions options;
  options.seed = source.seed.value_or(1);
  options.accounts = source.accounts.value_or(1'000);
  options.frames = source.frames;
  STANDPIPE_TRY(const auto network, sim::Network::create(options));
  while (const auto frame = network->next()) STANDPIPE_CHECK(loader.add(frame->bytes));
  return {};
}

}  // namespace

Result<PlayFixture> load_fixture(const PlaySource& source, const StopSignal& signal) {
  Loader loader(source.bytes_max, signal);
  if (!source.file.empty()) {
    STANDPIPE_CHECK(load_file(source, loader));
  } else if (!source.data.empty()) {
    STANDPIPE_CHECK(load_archive(source, loader));
  } else {
    STANDPIPE_CHECK(load_simulation(source, loader));
  }
  return loader.finish();
}

}  // namespace standpipe::tools
