// The archive against a plain model, under a seed: appends, duplicates, conflicts, late frames,
// gaps, garbage, resets, epochs, rolls, retention, rewrites, crashes, and reads between all of
// them.
//
// STANDPIPE_TEST_SCALE sets how long it runs: 1 is a million frames. STANDPIPE_TEST_SEED repeats a
// run that failed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "schema/cbor.h"
#include "schema/frame.h"
#include "storage/archive.h"
#include "tests/support/archive_check.h"
#include "tests/support/archive_fixture.h"
#include "tests/support/archive_model.h"
#include "tests/support/bulk_frames.h"
#include "tests/support/scale.h"
#include "tests/support/unsynced_fs.h"

namespace standpipe::test {
namespace {

using storage::Appender;
using storage::Archive;
using storage::Density;
using storage::EpochNumber;
using storage::Judgement;
using storage::PartitionInfo;
using storage::PartitionState;
using storage::StreamKind;

constexpr std::size_t kFrames = 1'000'000;

std::uint64_t seed_of_run() {
  const char* text = std::getenv("STANDPIPE_TEST_SEED");
  return text == nullptr ? 20'260'704 : std::strtoull(text, nullptr, 10);
}

struct StreamPlan {
  const char* name;
  StreamKind kind;
  Density density;
  std::uint64_t skips_one_in;  // how often a seq is skipped
};
constexpr StreamPlan kStreams[] = {
    {"relay", StreamKind::repos, Density::dense, 60},
    {"pds", StreamKind::repos, Density::automatic, 3},
    {"labeler", StreamKind::labels, Density::sparse, 20},
};

struct Lane {
  StreamPlan plan;
  storage::StreamId id{};
  std::vector<EpochModel> epochs;  // of the model; the number of an epoch is its place plus one
  std::optional<Appender> appender;
  EpochModel& model() { return epochs.back(); }
  EpochNumber epoch() const { return EpochNumber{static_cast<std::uint32_t>(epochs.size())}; }
};

class DifferentialRun {
 public:
  DifferentialRun(std::uint64_t seed, std::uint64_t frames_wanted)
      : seed_(seed), frames_wanted_(frames_wanted), random_(seed), clock_(kFirstFrameMs) {
    options_ = small_archive_options(clock_);
    options_.group_frames_max = 16;
    options_.group_bytes_max = 8 << 10;
    options_.run_bytes_target = 16 << 10;
    options_.run_cache_bytes = 256 << 10;
    options_.partition_bytes_max = 640 << 10;
    options_.partition_span_ms = 20'000;
    options_.quarantine_rate_bytes = 1 << 30;
    options_.quarantine_rate_entries = 1 << 30;
    options_.quarantine_bytes_max = 256 << 10;
    options_.notes_max = 50;
    // A crash of the process loses nothing that the kernel has, and so nothing waits for the
    // disk here: tests of power cuts have a file system of their own.
    options_.env = env_.get();
    for (const StreamPlan& plan : kStreams) {
      lanes_.push_back(Lane{plan, {}, {}, std::nullopt});
      lanes_.back().epochs.emplace_back(plan.kind, plan.density);
    }
  }

  void run() {
    open();
    while (!has_failed_ && offered_ < frames_wanted_) {
      ++step_;
      // Most frames come from the relay; the quiet ones share a container.
      const std::uint64_t pick = random_.below(10);
      take_step(lanes_[pick < 8 ? 0 : pick - 7]);
    }
    if (has_failed_) return;
    for (Lane& lane : lanes_) commit(lane);
    close_and_open();
    check_everything();
  }
  std::string summary() const {
    return fmt::format(
        "{} frames offered in {} steps (seed {}): {} commits, {} partitions sealed by hand, {} "
        "dropped, {} rewritten, {} crashes, {} clean re-opens, {} epochs, {} resets, {} reads",
        offered_, step_, seed_, commits_, seals_, drops_, rewrites_, crashes_, reopens_, epochs_,
        resets_, reads_);
  }

 private:
  // -- Saying what is wrong, once ----------------------------------------------------------------
  void fail(const std::string& what) {
    if (has_failed_) return;
    has_failed_ = true;
    ADD_FAILURE() << what << "\n  at step " << step_ << " of seed " << seed_ << " (" << offered_
                  << " frames offered); repeat with STANDPIPE_TEST_SEED=" << seed_;
  }
  template <typename T>
  bool is_ok(const Result<T>& result, const char* doing) {
    if (!result) fail(fmt::format("{}: {}", doing, to_string(result.error())));
    return result.has_value();
  }
  template <typename T>
  void expect_equal(const T& actual, const T& expected, const std::string& what) {
    if (actual != expected) fail(fmt::format("{}: {} instead of {}", what, actual, expected));
  }

  // -- The archive as a whole --------------------------------------------------------------------
  void open() {
    auto opened = Archive::open(dir_ / "archive", options_);
    if (!is_ok(opened, "open")) return;
    archive_ = std::move(opened).value();
    for (Lane& lane : lanes_) {
      const auto stream = archive_->ensure_stream({.name = lane.plan.name,
                                                   .kind = lane.plan.kind,
                                                   .url = "",
                                                   .density = lane.plan.density});
      if (!is_ok(stream, "ensure_stream")) return;
      lane.id = stream->id;
      expect_equal(stream->epochs.size(), lane.epochs.size(), "epochs");
      take_appender(lane);
    }
  }
  void take_appender(Lane& lane) {
    lane.appender.reset();
    auto appender = archive_->appender(lane.id);
    if (is_ok(appender, "appender")) lane.appender.emplace(std::move(appender).value());
  }
  void lose_process() {
    for (Lane& lane : lanes_) {
      lane.appender.reset();
      lane.model().crash();
    }
    archive_.reset();
  }
  void crash_and_open() {
    ++crashes_;
    lose_process();
    open();
    check_everything();
  }
  void close_and_open() {
    ++reopens_;
    for (Lane& lane : lanes_) lane.appender.reset();
    if (!is_ok(archive_->close(), "close")) return;
    lose_process();
    open();
    check_everything();
  }

  // -- Frames ------------------------------------------------------------------------------------
  ModelFrame make(const Lane& lane, std::int64_t seq, std::uint64_t variant = 0) {
    std::int64_t time_ms = clock_.now_ms() - static_cast<std::int64_t>(random_.below(2000));
    if (random_.chance(1000)) time_ms = random_.chance(2) ? 4'070'908'800'000 : 1000;
    std::size_t noise = 60 + random_.below(160);
    if (random_.chance(500)) noise = 9'000;  // larger than a group
    if (random_.chance(20'000)) noise = 300'000;
    return make(lane, seq, variant, time_ms, noise);
  }
  ModelFrame make(const Lane& lane, std::int64_t seq, std::uint64_t variant, std::int64_t time_ms,
                  std::size_t noise_bytes) {
    const bool has_time = lane.plan.kind == StreamKind::repos;
    Bytes noise(noise_bytes);
    Random from(static_cast<std::uint64_t>(seq) * 31 + variant);
    for (std::byte& byte : noise) byte = static_cast<std::byte>(from.next() & 0xFF);
    Bytes out;
    CborWriter cbor(out);
    cbor.write_map(2);
    cbor.write_text("t");
    cbor.write_text(has_time ? "#commit" : "#labels");
    cbor.write_text("op");
    cbor.write_integer(1);
    cbor.write_map(has_time ? 3 : 2);
    cbor.write_text("seq");
    cbor.write_integer(seq);
    if (has_time) {
      cbor.write_text("time");
      cbor.write_text(format_datetime_ms(time_ms));
    }
    cbor.write_text("blocks");
    cbor.write_bytes(noise);
    ModelFrame frame{.seq = seq, .bytes = std::string(as_text(out)), .time_ms = std::nullopt};
    if (has_time) frame.time_ms = time_ms;
    return frame;
  }

  void offer(Lane& lane, ModelFrame frame) {
    ++offered_;
    frame.received_ms = clock_.now_ms();
    const Judgement expected = lane.model().offer(frame);
    const auto judged = lane.appender->offer(as_bytes(frame.bytes), frame.received_ms);
    if (is_ok(judged, "offer") && *judged != expected) {
      fail(fmt::format("{} seq {}: judged {} instead of {}", lane.plan.name,
                       frame.seq ? *frame.seq : 0, to_string(*judged), to_string(expected)));
    }
  }

  void offer_next(Lane& lane) {
    const EpochModel& model = lane.model();
    std::int64_t seq = std::max(model.tip(), model.pending_floor()) + 1;
    if (!model.has_origin()) seq = static_cast<std::int64_t>(1 + random_.below(1'000'000));
    if (random_.chance(lane.plan.skips_one_in)) {
      seq += static_cast<std::int64_t>(1 + random_.below(random_.chance(50) ? 5000 : 20));
    }
    offer(lane, make(lane, seq));
  }
  // One that was stored once, or never was, at or below newest.
  void offer_old(Lane& lane) {
    const EpochModel& model = lane.model();
    if (!model.has_origin() || model.tip() == 0) return;
    std::int64_t seq = model.tip() - static_cast<std::int64_t>(random_.below(3000));
    if (random_.chance(3)) seq = model.tip();
    if (seq < 1) return;
    const std::optional<std::string> stored = model.stored(seq);
    const std::uint64_t variant = random_.chance(8) ? random_.next() : 0;
    std::int64_t time_ms = clock_.now_ms() - 5000;
    if (random_.chance(400)) time_ms += 3'600'000;
    ModelFrame frame = make(lane, seq, variant, time_ms, 60);
    if (stored && variant == 0) frame.bytes = *stored;
    if (!stored && seq > model.window_floor() && !random_.chance(8)) return;  // late ones are rare
    offer(lane, frame);
  }
  void offer_garbage(Lane& lane) {
    const EpochModel& model = lane.model();
    ModelFrame frame{.seq = std::nullopt, .bytes = "\xFF garbage", .time_ms = std::nullopt};
    if (!random_.chance(3)) {
      std::int64_t seq = std::max(model.tip(), model.pending_floor()) + 1;
      if (random_.chance(4)) seq += static_cast<std::int64_t>(random_.below(10));
      if (random_.chance(20)) seq += 1'000'000'000;
      frame = make(lane, seq, 0, clock_.now_ms(), 60);
      frame.bytes += '\0';  // a third item
    }
    frame.is_archivable = false;
    offer(lane, frame);
  }

  // -- Steps -------------------------------------------------------------------------------------
  void take_step(Lane& lane) {
    if (lane.model().is_reset() && random_.chance(4)) return begin_epoch(lane);
    burst(lane);
    if (!random_.chance(20)) commit(lane);
    if (random_.chance(10)) read_a_stretch(lane);
    if (random_.chance(10)) look_up(lane);
    if (random_.chance(100)) begin_session(lane);
    if (random_.chance(80)) seal(lane);
    if (random_.chance(15)) drop_oldest(lane);
    if (random_.chance(150)) rewrite(lane);
    if (random_.chance(1500)) note_future_cursor(lane);
    if (random_.chance(2500)) begin_epoch(lane);
    if (random_.chance(250)) crash_and_open();
    if (random_.chance(600)) close_and_open();
    if (random_.chance(300)) check_partitions();
  }

  void burst(Lane& lane) {
    const std::uint64_t frames = 1 + random_.below(48);
    for (std::uint64_t i = 0; i < frames && !has_failed_; ++i) {
      clock_.advance(static_cast<std::int64_t>(random_.below(6)));
      const std::uint64_t pick = random_.below(200);
      if (pick < 190) {
        offer_next(lane);
      } else if (pick < 198) {
        offer_old(lane);
      } else {
        offer_garbage(lane);
      }
    }
    expect_equal(lane.appender->pending_frames(), lane.model().pending_frames(), "pending frames");
    if (lane.appender->was_reset() != lane.model().is_reset()) fail("reset or not");
  }

  void commit(Lane& lane) {
    if (has_failed_) return;
    ++commits_;
    const auto report = lane.appender->commit();
    if (!is_ok(report, "commit")) return;
    std::vector<std::size_t> groups;
    std::size_t frames = 0;
    for (const storage::WireRunPtr& run : report->runs) {
      groups.push_back(run->frames.size());
      frames += run->frames.size();
      if (run->frames.size() > options_.group_frames_max) fail("a group has too many frames");
      if (run->frames.size() > 1 && run->wire.size() > options_.group_bytes_max) {
        fail("a group of several frames has too many bytes");
      }
    }
    expect_equal(frames, lane.model().pending_frames(), "frames made durable");
    if (has_failed_) return;
    lane.model().commit(groups);
    expect_equal(to_int(lane.appender->newest()), lane.model().newest(), "newest");
    expect_equal(to_int(lane.appender->floor()), lane.model().floor(), "floor");
  }

  void begin_session(Lane& lane) {
    lane.appender->begin_session();
    lane.model().begin_session();
  }
  void note_future_cursor(Lane& lane) {
    lane.appender->note_future_cursor();
    lane.model().note_future_cursor();
  }
  void begin_epoch(Lane& lane) {
    if (has_failed_) return;
    if (lane.model().is_reset()) ++resets_;
    ++epochs_;
    lane.model().crash();  // what was pending goes with the appender
    if (!is_ok(archive_->begin_epoch(lane.id, "the model said so"), "begin_epoch")) return;
    lane.epochs.emplace_back(lane.plan.kind, lane.plan.density);
    take_appender(lane);
    if (!random_.chance(2) || has_failed_) return;
    const auto origin = static_cast<std::int64_t>(random_.below(1000));
    if (!is_ok(lane.appender->begin_after(Seq{origin}), "begin_after")) return;
    lane.model().begin_after(origin);
  }

  void seal(Lane& lane) {
    if (has_failed_) return;
    ++seals_;
    is_ok(archive_->seal(lane.id), "seal");
  }
  // The sealed partitions of any epoch of the stream, oldest first.
  std::vector<PartitionInfo> sealed(const Lane& lane) {
    std::vector<PartitionInfo> out;
    for (const PartitionInfo& partition : archive_->partitions()) {
      if (partition.stream == lane.id && partition.state == PartitionState::sealed) {
        out.push_back(partition);
      }
    }
    return out;
  }
  EpochModel& model_of(Lane& lane, const PartitionInfo& partition) {
    return lane.epochs.at(to_int(partition.epoch) - 1);
  }
  void drop_oldest(Lane& lane) {
    if (has_failed_) return;
    const auto all = sealed(lane);
    if (all.size() < 4) return;
    if (!is_ok(archive_->drop_partition(all.front().id), "drop_partition")) return;
    ++drops_;
    model_of(lane, all.front()).drop_up_to(to_int(all.front().last));
  }
  void rewrite(Lane& lane) {
    if (has_failed_) return;
    const auto all = sealed(lane);
    if (all.empty()) return;
    const auto made = archive_->rewrite_partition(all[random_.below(all.size())].id);
    if (!is_ok(made, "rewrite")) return;
    rewritten_.insert(*made);
    ++rewrites_;
  }

  // -- Comparing ---------------------------------------------------------------------------------
  EpochUnderTest under_test(const Lane& lane, std::size_t place) {
    return {*archive_, lane.id, EpochNumber{static_cast<std::uint32_t>(place + 1)},
            lane.epochs.at(place)};
  }
  EpochUnderTest newest(const Lane& lane) { return under_test(lane, lane.epochs.size() - 1); }

  void read_a_stretch(Lane& lane) {
    if (has_failed_) return;
    ++reads_;
    const EpochModel& model = lane.model();
    const std::int64_t span = std::max<std::int64_t>(1, model.newest() - model.window_floor());
    const std::int64_t from =
        model.window_floor() - 50 +
        static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(span) + 100));
    is_ok(check_frames(newest(lane), std::max<std::int64_t>(0, from), 100), lane.plan.name);
  }

  void look_up(Lane& lane) {
    if (has_failed_) return;
    const EpochModel& model = lane.model();
    const std::int64_t seq = model.newest() - static_cast<std::int64_t>(random_.below(5000));
    if (seq > 0 && !is_ok(check_find(newest(lane), seq), lane.plan.name)) return;
    const std::int64_t when =
        clock_.now_ms() + 1000 - static_cast<std::int64_t>(random_.below(60'000));
    const auto first = first_seq_at(newest(lane), when);
    if (!is_ok(first, "position_at")) return;
    // A rewrite joins groups: what it finds may then be a little earlier, never later.
    const std::int64_t expected = first_seq_at(model, when);
    const bool is_earlier = *first != 0 && (expected == 0 || *first < expected);
    if (is_earlier && is_rewritten(lane, *first)) return;
    expect_equal(*first, expected, fmt::format("{}: first seq at time {}", lane.plan.name, when));
  }
  bool is_rewritten(const Lane& lane, std::int64_t seq) {
    for (const PartitionInfo& partition : archive_->partitions()) {
      if (partition.stream == lane.id && partition.epoch == lane.epoch() &&
          partition.first <= Seq{seq} && Seq{seq} <= partition.last) {
        return rewritten_.contains(partition.id);
      }
    }
    return false;
  }

  void check_everything() {
    for (const Lane& lane : lanes_) {
      if (has_failed_) return;
      const auto stream = archive_->find_stream(lane.plan.name);
      if (!stream || stream->epochs.size() != lane.epochs.size()) return fail("epochs are gone");
      for (std::size_t i = 0; i < lane.epochs.size() && !has_failed_; ++i) {
        const EpochUnderTest epoch = under_test(lane, i);
        is_ok(check_frames(epoch, epoch.model.window_floor(), SIZE_MAX), lane.plan.name);
        is_ok(check_gaps(epoch), lane.plan.name);
        is_ok(check_epoch(stream->epochs[i], epoch.model), lane.plan.name);
      }
    }
    check_partitions();
    check_bounds();
  }
  // Partitions hold all frames between them, each in one, within their limits.
  void check_partitions() {
    if (has_failed_) return;
    const PartitionInfo* left = nullptr;
    const auto partitions = archive_->partitions();  // by stream, epoch, first seq
    for (const PartitionInfo& partition : partitions) {
      if (partition.frames == 0) continue;
      for (Lane& lane : lanes_) {
        if (lane.id != partition.stream) continue;
        const EpochModel& model = model_of(lane, partition);
        is_ok(check_partition(partition, model, options_.partition_bytes_max), lane.plan.name);
      }
      const bool is_neighbour =
          left != nullptr && left->stream == partition.stream && left->epoch == partition.epoch;
      if (is_neighbour && partition.first <= left->last) fail("two partitions overlap");
      left = &partition;
    }
  }
  void check_bounds() {
    if (has_failed_) return;
    const storage::ArchiveStats stats = archive_->stats();
    if (stats.quarantine_bytes > options_.quarantine_bytes_max) fail("quarantine is too large");
    if (archive_->health() != storage::Health::ok) fail("not healthy: " + stats.health_detail);
    const auto notes = archive_->notes(1000);
    if (is_ok(notes, "notes") && notes->size() > options_.notes_max) fail("too many notes");
  }

  const std::uint64_t seed_;
  const std::uint64_t frames_wanted_;
  Random random_;
  TempDir dir_;
  std::shared_ptr<rocksdb::Env> env_ = make_unsynced_env();
  ManualClock clock_;
  storage::ArchiveOptions options_;
  std::unique_ptr<Archive> archive_;
  std::vector<Lane> lanes_;  // their appenders must go before archive_
  std::set<storage::PartitionId> rewritten_;
  bool has_failed_ = false;
  std::uint64_t step_ = 0, offered_ = 0, commits_ = 0, seals_ = 0, drops_ = 0, rewrites_ = 0,
                crashes_ = 0, reopens_ = 0, epochs_ = 0, resets_ = 0, reads_ = 0;
};

TEST(Differential, TheArchiveHoldsWhatTheModelHolds) {
  const std::size_t frames = scaled(kFrames);
  const auto started = std::chrono::steady_clock::now();
  DifferentialRun run(seed_of_run(), frames);
  run.run();
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - started);
  fmt::print("{}; {:.1f} s\n", run.summary(), took.count());
}

}  // namespace
}  // namespace standpipe::test
