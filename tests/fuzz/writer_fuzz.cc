// Whatever an upstream sends, what the archive says it took is what it holds.
//
// The input is a script: the kind of the stream, then opcodes and their few bytes, one behind the
// other. Frames are small, and their seqs go by steps from the last, so that duplicates, conflicts,
// late frames, skips and broken frames meet often. Each input gets an epoch of its own in a real
// archive, which is made anew from time to time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "archiver/validator.h"
#include "schema/base/assert.h"
#include "schema/base/clock.h"
#include "schema/base/log.h"
#include "schema/cbor.h"
#include "schema/datetime.h"
#include "storage/archive.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/unsynced_fs.h"

namespace standpipe::test {
namespace {

using archiver::EntryKind;
using archiver::PipelineEntry;
using archiver::Validator;
using archiver::Verdict;
using storage::Judgement;

constexpr std::size_t kRunsPerArchive = 32;  // what an epoch costs grows with their number
constexpr std::size_t kMessagesMax = 300;
constexpr std::size_t kGapsMax = 100'000;

class ScriptReader {
 public:
  explicit ScriptReader(ByteView bytes) : bytes_(bytes) {}
  bool is_at_end() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(bytes_.front());
    bytes_ = bytes_.subspan(1);
    return value;
  }
  std::int64_t step() { return static_cast<std::int8_t>(byte()); }
  std::uint64_t word() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  ByteView bytes(std::size_t count) {
    const ByteView taken = bytes_.first(std::min(count, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

 private:
  ByteView bytes_;
};

// {"t": "#x", "op": 1} {"v": variant, "seq": seq, "time": ...}; no time for 0.
Bytes small_frame(std::int64_t seq, std::uint8_t variant, std::int64_t time_ms) {
  Bytes out;
  CborWriter cbor(out);
  cbor.write_map(2);
  cbor.write_text("t");
  cbor.write_text("#x");
  cbor.write_text("op");
  cbor.write_integer(1);
  cbor.write_map(time_ms == 0 ? 2 : 3);
  cbor.write_text("v");
  cbor.write_integer(variant);
  cbor.write_text("seq");
  cbor.write_integer(seq);
  if (time_ms != 0) {
    cbor.write_text("time");
    cbor.write_text(format_datetime_ms(time_ms));
  }
  return out;
}

// An archive that many inputs use, one after the other.
struct Ground {
  Ground() : env(make_unsynced_env()), clock(kFirstFrameMs) {
    storage::ArchiveOptions options = small_archive_options(clock);
    options.env = env.get();
    options.partition_bytes_max = 2'048;  // so that a longer script rolls over
    auto opened = storage::Archive::open(dir / "archive", options);
    STANDPIPE_ASSERT(opened.has_value(), "no archive: " + opened.error().detail);
    archive = std::move(*opened);
    repos = make_stream("repos", storage::StreamKind::repos);
    labels = make_stream("labels", storage::StreamKind::labels);
  }

  storage::StreamId make_stream(const char* name, storage::StreamKind kind) const {
    storage::StreamSpec spec;
    spec.name = name;
    spec.kind = kind;
    spec.density = storage::Density::dense;
    const auto made = archive->ensure_stream(spec);
    STANDPIPE_ASSERT(made.has_value(), "no stream");
    return made->id;
  }

  TempDir dir{TempDir::Where::memory};
  std::shared_ptr<rocksdb::Env> env;
  ManualClock clock;
  std::unique_ptr<storage::Archive> archive;
  storage::StreamId repos{};
  storage::StreamId labels{};
  std::size_t runs = 0;
};

class Run {
 public:
  Run(Ground& ground, storage::StreamId stream)
      : ground_(ground), stream_(stream), validator_("fuzzed", ground.clock) {
    const auto epoch = ground.archive->begin_epoch(stream, "another input");
    STANDPIPE_ASSERT(epoch.has_value(), "no epoch");
    epoch_ = epoch->number;
    begin_appender();
  }

  void play(ScriptReader script) {
    while (!script.is_at_end() && messages_ < kMessagesMax) step(script);
    commit();
    appender_.reset();
    check_stored();
  }

 private:
  void step(ScriptReader& script) {
    ground_.clock.advance(1);
    switch (script.byte() % 12) {
      case 0:  // what comes next
        return offer(next_frame(1, 0));
      case 1:
        return offer(next_frame(script.step(), script.byte() % 3));
      case 2: {  // at a time of its own
        const std::int64_t seq = last_ + script.step();
        const auto minutes = static_cast<std::int64_t>(script.byte());
        return offer(small_frame(seq, script.byte() % 3, kFirstFrameMs + minutes * 10'000));
      }
      case 3: {  // one byte is another
        Bytes frame = next_frame(script.step(), 0);
        frame[script.byte() % frame.size()] ^= static_cast<std::byte>(script.byte());
        return offer(frame);
      }
      case 4: {  // cut, or with a tail
        Bytes frame = next_frame(script.step(), 0);
        frame.resize(script.byte() % (frame.size() + 8));
        return offer(frame);
      }
      case 5:  // far ahead, far behind, or impossible
        return offer(small_frame(static_cast<std::int64_t>(script.word()), 0, 0));
      case 6: {
        const ByteView bytes = script.bytes(script.byte());
        return offer(bytes);
      }
      case 7: {
        const ByteView bytes = script.bytes(script.byte());
        return offer(bytes, EntryKind::text);
      }
      case 8:
        return offer(next_frame(script.step(), 0), EntryKind::oversize, kFrameBytesMax + 1);
      case 9:
        appender_->begin_session();
        return;
      case 10:
        commit();
        return;
      case 11:  // a restart
        commit();
        appender_.reset();
        begin_appender();
        return;
      default:
        return;
    }
  }

  Bytes next_frame(std::int64_t step, std::uint8_t variant) const {
    return small_frame(last_ + step, variant, 0);
  }

  void begin_appender() {
    auto appender = ground_.archive->appender(stream_);
    STANDPIPE_ASSERT(appender.has_value(), "no appender: " + appender.error().detail);
    appender_.emplace(std::move(*appender));
    STANDPIPE_ASSERT(appender_->epoch() == epoch_, "the appender of another epoch");
    STANDPIPE_ASSERT(appender_->was_reset() == was_reset_, "a reset was forgotten");
  }

  void offer(ByteView bytes, EntryKind kind = EntryKind::frame, std::uint64_t total = 0) {
    PipelineEntry entry;
    entry.kind = kind;
    entry.received_ms = ground_.clock.now_ms();
    entry.bytes = bytes;
    entry.bytes_total = std::max<std::uint64_t>(total, bytes.size());
    const Result<Verdict> verdict = validator_.judge(*appender_, entry);
    STANDPIPE_ASSERT(verdict.has_value(), "judging failed: " + verdict.error().detail);
    ++messages_;
    bytes_ += entry.bytes_total;
    STANDPIPE_ASSERT((verdict->judgement == Judgement::refused) == was_reset_,
                     "a stream that was reset takes something, or another refuses");
    if (kind == EntryKind::frame) {
      check(verdict->judgement, scan_frame(bytes), bytes);
    } else if (!was_reset_) {
      STANDPIPE_ASSERT(verdict->judgement == Judgement::quarantined,
                       "no frame, and not kept aside");
    }
    was_reset_ = appender_->was_reset();
  }

  void check(Judgement judgement, const FrameScan& scan, ByteView bytes) {
    const auto seq = scan.envelope.seq ? to_int(*scan.envelope.seq) : 0;
    const auto held = model_.find(seq);
    switch (judgement) {
      case Judgement::accepted:
        STANDPIPE_ASSERT(scan.why == Unarchivable::archivable, "accepted, and not archivable");
        STANDPIPE_ASSERT(model_.empty() || seq > model_.rbegin()->first, "seqs do not rise");
        model_.emplace(seq, as_text(bytes));
        last_ = seq;
        return;
      case Judgement::duplicate:
        STANDPIPE_ASSERT(
            is_before_origin(seq) || (held != model_.end() && held->second == as_text(bytes)),
            "a duplicate of what is not held");
        return;
      case Judgement::conflict:
        STANDPIPE_ASSERT(
            is_before_origin(seq) || (held != model_.end() && held->second != as_text(bytes)),
            "a conflict with nothing");
        return;
      case Judgement::late:
        STANDPIPE_ASSERT(held == model_.end() && !model_.empty(), "late, and held");
        return;
      case Judgement::quarantined:
        STANDPIPE_ASSERT(scan.why != Unarchivable::archivable, "archivable, and kept aside");
        return;
      case Judgement::noted:
        STANDPIPE_ASSERT(
            scan.why == Unarchivable::error_frame || scan.why == Unarchivable::info_frame,
            "noted, and says nothing");
        return;
      case Judgement::refused:
        return;
    }
  }

  // The archive begins with the first frame that it took.
  bool is_before_origin(std::int64_t seq) const {
    return !model_.empty() && seq < model_.begin()->first;
  }

  void commit() {
    const auto report = appender_->commit();
    STANDPIPE_ASSERT(report.has_value(), "a commit failed: " + report.error().detail);
    const Seq newest = model_.empty() ? kSeqNone : Seq{model_.rbegin()->first};
    STANDPIPE_ASSERT(appender_->newest() == newest, "newest is not the last that was accepted");
    STANDPIPE_ASSERT(appender_->floor() >= newest, "the floor is below newest");
    floor_ = appender_->floor();
  }

  void check_stored() const {
    const auto read = read_all(*ground_.archive, stream_, epoch_);
    STANDPIPE_ASSERT(read.has_value(), "cannot read: " + read.error().detail);
    STANDPIPE_ASSERT(*read == model_, differences(model_, *read));
    check_counters();
    check_gaps();
  }

  void check_counters() const {
    const archiver::ValidatorStats& stats = validator_.stats();
    std::uint64_t judged = 0;
    for (const std::uint64_t count : stats.judged) judged += count;
    std::uint64_t aside = 0;
    for (const std::uint64_t count : stats.kept_aside) aside += count;
    STANDPIPE_ASSERT(judged == messages_, "a message was not judged once");
    STANDPIPE_ASSERT(stats.frames + stats.text + stats.oversize == messages_,
                     "a message is of no kind");
    STANDPIPE_ASSERT(stats.bytes == bytes_, "bytes do not add up");
    STANDPIPE_ASSERT(stats.of(Judgement::accepted) == model_.size(), "accepted do not add up");
    STANDPIPE_ASSERT(aside == stats.of(Judgement::quarantined) + stats.of(Judgement::conflict) +
                                  stats.of(Judgement::late),
                     "what was kept aside does not add up");
  }

  // Between the first frame and the floor each seq is held or in exactly one gap.
  void check_gaps() const {
    const auto listed = ground_.archive->gaps(stream_, epoch_, kSeqNone, kSeqMax, kGapsMax);
    STANDPIPE_ASSERT(listed.has_value(), "no gaps: " + listed.error().detail);
    std::map<std::int64_t, std::int64_t> before_of;
    for (const storage::Gap& gap : *listed) {
      STANDPIPE_ASSERT(before_of.emplace(to_int(gap.after), to_int(gap.before)).second,
                       "two gaps begin at one place");
    }
    if (model_.empty()) {
      STANDPIPE_ASSERT(before_of.empty(), "a gap before anything was accepted");
      return;
    }
    std::int64_t done = model_.begin()->first;
    const auto explain = [&](std::int64_t before) {
      while (done + 1 < before) {
        const auto gap = before_of.find(done);
        STANDPIPE_ASSERT(gap != before_of.end(),
                         "nothing explains seq " + std::to_string(done + 1));
        done = gap->second - 1;
        STANDPIPE_ASSERT(done < before, "a gap over a frame");
        before_of.erase(gap);
      }
    };
    for (const auto& [seq, bytes] : model_) {
      explain(seq);
      done = seq;
    }
    explain(to_int(floor_) + 1);
    STANDPIPE_ASSERT(before_of.empty(), "a gap where nothing is missing");
  }

  Ground& ground_;
  const storage::StreamId stream_;
  Validator validator_;
  storage::EpochNumber epoch_{};
  std::optional<storage::Appender> appender_;
  FrameMap model_;
  Seq floor_ = kSeqNone;
  std::int64_t last_ = 100;  // the seq of the last that was accepted
  bool was_reset_ = false;
  std::uint64_t messages_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace
}  // namespace standpipe::test

// RocksDB's own threads make libFuzzer look for leaks after each input, at many times its cost;
// leaks of the same code are looked for by the tests of preset asan.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() { return "detect_leaks=0"; }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace standpipe::test;                       // NOLINT(google-build-using-namespace)
  standpipe::log_set_level(standpipe::LogLevel::error);  // the log would be most of the work
  // Made after RocksDB's own statics, so that it goes before them.
  static std::unique_ptr<Ground> ground = std::make_unique<Ground>();
  if (++ground->runs > kRunsPerArchive) ground = std::make_unique<Ground>();
  ScriptReader script({reinterpret_cast<const std::byte*>(data), size});
  Run run(*ground, script.byte() % 2 == 0 ? ground->repos : ground->labels);
  run.play(script);
  return 0;
}
