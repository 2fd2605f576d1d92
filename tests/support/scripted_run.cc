#include "tests/support/scripted_run.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "schema/base/assert.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/archive_text.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {
namespace {

using storage::Archive;
using storage::Gap;
using storage::GapReason;
using storage::Judgement;
using storage::PartitionInfo;
using storage::PartitionState;

constexpr std::int64_t kStepMs = 200;  // between seqs: a second passes, and the witness is written
constexpr std::uint64_t kPartitionBytesMax = 100'000;

// Where the script does more than append; each is the last seq of a commit.
constexpr std::int64_t kSkipFirst = 47, kSkipLast = 49;  // seqs that upstream never sends
constexpr std::int64_t kGarbageBefore = 75;              // a frame to quarantine precedes it
constexpr std::int64_t kSealAfter = 40;
// More than 64 frames later: after a re-open the clock is made of the newest 64 that are stored.
constexpr std::int64_t kDropAfter = 110;
constexpr std::int64_t kRewriteAfter = 140;

bool is_skipped(std::int64_t seq) { return seq >= kSkipFirst && seq <= kSkipLast; }

std::string text(std::int64_t value) { return std::to_string(value); }
std::string text(Seq seq) { return std::to_string(to_int(seq)); }

bool covers(const std::vector<Gap>& gaps, std::int64_t seq) {
  return std::any_of(gaps.begin(), gaps.end(), [&](const Gap& gap) {
    return to_int(gap.after) < seq && seq < to_int(gap.before);
  });
}

}  // namespace

void RunReports::add(std::string_view line) {
  const std::size_t space = line.find(' ');
  STANDPIPE_ASSERT(space != std::string_view::npos, line);
  const std::string_view word = line.substr(0, space);
  std::int64_t value = 0;
  std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
  if (word == "asked") asked = value;
  if (word == "acknowledged") acknowledged = value;
  if (word == "drop_asked") drop_asked = value;
  if (word == "drop_done") drop_done = true;
}

std::string scripted_frame(std::int64_t seq) {
  if (is_skipped(seq)) return {};
  FrameSpec spec{.seq = seq};
  spec.blocks_bytes = static_cast<std::size_t>(200 + seq * 37 % 400);
  if (seq % 17 == 0) spec.blocks_bytes = 5'000;
  if (seq == 90) spec.blocks_bytes = 70'000;  // over two blocks of the log, and a group of its own
  spec.time_ms = kFirstFrameMs + seq * kStepMs;
  return std::string(as_text(make_frame(spec)));
}

const std::vector<std::int64_t>& scripted_commits() {
  static const std::vector<std::int64_t> ends = [] {
    std::vector<std::int64_t> out;
    static constexpr std::int64_t kSizes[] = {1, 3, 8, 2, 5, 11, 4};
    const std::int64_t stops[] = {kSealAfter, kDropAfter, kRewriteAfter, ScriptedRun::kLastSeq};
    std::int64_t last = 0;
    for (std::size_t i = 0; last < ScriptedRun::kLastSeq; ++i) {
      const std::int64_t stop = *std::upper_bound(std::begin(stops), std::end(stops), last);
      last = std::min(last + kSizes[i % std::size(kSizes)], stop);
      if (is_skipped(last)) last = kSkipFirst - 1;
      if (out.empty() || out.back() != last) {
        out.push_back(last);
      } else {
        last = kSkipLast + 1;
        out.push_back(last);
      }
    }
    return out;
  }();
  return ends;
}

// Not a temporary: g++ 12 takes a map within one for uninitialized, where it optimizes.
ScriptedRun::ScriptedRun(std::filesystem::path dir)
    : ScriptedRun(std::move(dir), [] {
        static const storage::ArchiveOptions options;
        return options;
      }()) {}

ScriptedRun::ScriptedRun(std::filesystem::path dir, storage::ArchiveOptions options,
                         bool in_background)
    : dir_(std::move(dir)), clock_(kFirstFrameMs), options_(small_archive_options(clock_)) {
  options_.env = options.env;
  options_.on_step = std::move(options.on_step);
  options_.background = in_background;
  options_.partition_bytes_max = kPartitionBytesMax;
  if (options.free_bytes) options_.free_bytes = std::move(options.free_bytes);
}

ScriptedRun::~ScriptedRun() { crash(); }

Archive& ScriptedRun::archive() {
  STANDPIPE_ASSERT(archive_ != nullptr, "not open");
  return *archive_;
}

void ScriptedRun::report(const std::string& line) {
  reports_.add(line);
  if (on_report) on_report(line);
}

void ScriptedRun::set_clock(std::int64_t seq) { clock_.set(kFirstFrameMs + seq * kStepMs + 50); }

Result<void> ScriptedRun::run() {
  STANDPIPE_CHECK(open());
  STANDPIPE_CHECK(go_on());
  return close();
}

Result<void> ScriptedRun::open(storage::Access access) {
  crash();
  options_.access = access;
  STANDPIPE_TRY(archive_, Archive::open(dir_, options_));
  storage::StreamSpec spec;
  spec.name = "repos";
  spec.density = storage::Density::dense;
  std::optional<storage::StreamInfo> stream = archive_->find_stream(spec.name);
  if (!stream) {
    STANDPIPE_TRY(stream, archive_->ensure_stream(spec));
  }
  stream_ = stream->id;
  epoch_ = stream->epochs.back().number;
  return {};
}

Result<void> ScriptedRun::go_on() {
  appender_.reset();  // what an earlier one had pending is gone
  STANDPIPE_TRY(storage::Appender made, archive_->appender(stream_));
  appender_ = std::make_unique<storage::Appender>(std::move(made));
  if (!appender_->origin()) STANDPIPE_CHECK(appender_->begin_after(Seq{0}));
  STANDPIPE_CHECK(after_commit(to_int(appender_->newest())));
  for (const std::int64_t last : scripted_commits()) {
    if (last <= to_int(appender_->newest())) continue;
    STANDPIPE_CHECK(commit_up_to(last));
    STANDPIPE_CHECK(after_commit(last));
  }
  return {};
}

Result<void> ScriptedRun::commit_up_to(std::int64_t last) {
  report("asked " + text(last));
  for (std::int64_t seq = to_int(appender_->newest()) + 1; seq <= last; ++seq) {
    if (is_skipped(seq)) {
      appender_->begin_session();  // as after a re-open, or the reason of the gap would tell it
      continue;
    }
    set_clock(seq);
    if (seq == kGarbageBefore) {
      STANDPIPE_TRY(const Judgement aside, appender_->offer(as_bytes("garbage"), clock_.now_ms()));
      STANDPIPE_ASSERT(aside == Judgement::quarantined, to_string(aside));
    }
    const std::string frame = scripted_frame(seq);
    STANDPIPE_TRY(const Judgement judgement, appender_->offer(as_bytes(frame), clock_.now_ms()));
    STANDPIPE_ASSERT(judgement == Judgement::accepted, to_string(judgement));
  }
  STANDPIPE_TRY(const storage::CommitReport made, appender_->commit());
  STANDPIPE_ASSERT(!made.runs.empty() && to_int(made.runs.back()->last()) == last, "commit report");
  report("acknowledged " + text(last));
  return {};
}

Result<void> ScriptedRun::after_commit(std::int64_t seq) {
  set_clock(seq);
  if (seq == kSealAfter) STANDPIPE_CHECK(archive_->seal(stream_));
  if (seq == kDropAfter) STANDPIPE_CHECK(drop_first());
  if (seq == kRewriteAfter) STANDPIPE_CHECK(rewrite_oldest());
  return {};
}

Result<void> ScriptedRun::drop_first() {
  for (const PartitionInfo& partition : archive_->partitions()) {
    if (partition.first != Seq{1} || partition.state != PartitionState::sealed) continue;
    report("drop_asked " + text(partition.last));
    STANDPIPE_CHECK(archive_->drop_partition(partition.id));
  }
  report("drop_done 0");
  return {};
}

Result<void> ScriptedRun::rewrite_oldest() {
  for (const PartitionInfo& partition : archive_->partitions()) {
    if (partition.state != PartitionState::sealed) continue;
    STANDPIPE_CHECK(archive_->rewrite_partition(partition.id));
    break;
  }
  return {};
}

Result<void> ScriptedRun::close() {
  appender_.reset();
  STANDPIPE_CHECK(archive_->close());
  archive_.reset();
  return {};
}

void ScriptedRun::crash() {
  appender_.reset();
  archive_.reset();
}

std::string ScriptedRun::check() {
  Result<FrameMap> read = read_all(*archive_, stream_, epoch_);
  if (!read) return "reading: " + to_string(read.error());
  const FrameMap& frames = *read;
  const Result<std::vector<Gap>> ledger =
      archive_->gaps(stream_, epoch_, kSeqNone, kSeqMax, 10'000);
  if (!ledger) return "ledger: " + to_string(ledger.error());

  std::string wrong;
  std::int64_t newest = frames.empty() ? 0 : frames.rbegin()->first;
  if (newest < reports_.acknowledged || newest > reports_.asked) {
    wrong += "newest is " + text(newest) + ", acknowledged " + text(reports_.acknowledged) +
             ", asked " + text(reports_.asked) + "; ";
  }
  const bool is_dropped = reports_.drop_asked != 0 && !frames.contains(1);
  if (reports_.drop_done && reports_.drop_asked != 0 && !is_dropped) {
    wrong += "what was dropped is back; ";
  }
  FrameMap expected;
  for (std::int64_t seq = 1; seq <= newest; ++seq) {
    if (is_skipped(seq) || (is_dropped && seq <= reports_.drop_asked)) {
      if (!covers(*ledger, seq)) wrong += "the ledger does not explain seq " + text(seq) + "; ";
      continue;
    }
    if (covers(*ledger, seq)) wrong += "the ledger has seq " + text(seq) + " absent; ";
    expected[seq] = scripted_frame(seq);
  }
  return wrong + differences(expected, frames);
}

std::vector<std::string> ScriptedRun::describe() {
  Result<std::vector<std::string>> lines = describe_archive(*archive_);
  if (!lines) return {to_string(lines.error())};
  return std::move(lines).value();
}

const std::vector<std::string>& undisturbed_run() {
  static const std::vector<std::string> described = [] {
    const TempDir dir;
    ScriptedRun run(dir / "archive");
    const Result<void> ran = run.run();
    STANDPIPE_ASSERT(ran.has_value(), ran.error().detail);
    const Result<void> opened = run.open();
    STANDPIPE_ASSERT(opened.has_value(), opened.error().detail);
    return run.describe();
  }();
  return described;
}

}  // namespace standpipe::test
