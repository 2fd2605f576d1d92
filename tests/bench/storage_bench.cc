// Storage against the numbers it has to reach: room taken, bytes written, appending with and
// without syncing, scanning, point reads, and seeking in a small and in a large archive.
//
// Usage: storage_bench [--scale X] [--dir DIR] [--json]
// Scale 1 (the default) seeks at 1 GB and at 10 GB of frames, takes a few minutes and 10 GB of
// disk. docs/performance.md says how to read the figures.

#include <fmt/format.h>
#include <unistd.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "schema/base/result.h"
#include "storage/archive.h"
#include "tests/support/bench_report.h"
#include "tests/support/bulk_frames.h"
#include "tests/support/unsynced_fs.h"

namespace standpipe::test {
namespace {

using storage::Appender;
using storage::Archive;
using storage::ArchiveOptions;
using storage::Reader;
using storage::RunSlice;
using storage::WireRunPtr;

constexpr std::size_t kGroupFrames = 64;
constexpr std::uint64_t kMegabyte = 1'000'000;
constexpr Seq kFirstSeq{31'527'015'472};

struct Plan {
  std::filesystem::path dir;
  std::uint64_t small_bytes = 0;
  std::uint64_t large_bytes = 0;
  std::uint64_t append_bytes = 0;  // of one round
  std::uint64_t scan_bytes = 0;    // of one round
  int rounds = 5;
  int seeks = 0;  // of one round, in each archive
};

Plan make_plan(const std::filesystem::path& dir, double scale) {
  const auto scaled = [&](std::uint64_t bytes, std::uint64_t least) {
    return std::max(least, static_cast<std::uint64_t>(static_cast<double>(bytes) * scale));
  };
  Plan plan;
  plan.dir = dir;
  plan.small_bytes = scaled(1000 * kMegabyte, 16 * kMegabyte);
  plan.large_bytes = 10 * plan.small_bytes;
  plan.append_bytes = scaled(300 * kMegabyte, 16 * kMegabyte);
  plan.scan_bytes = scaled(128 * kMegabyte, 8 * kMegabyte);
  plan.seeks = static_cast<int>(scaled(1000, 100));
  return plan;
}

// -- Appending ------------------------------------------------------------------------------------

struct Batch {
  std::string bytes;
  std::vector<std::size_t> ends;
  ByteView frame(std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    return as_bytes(std::string_view(bytes).substr(begin, ends[i] - begin));
  }
};

Batch make_batch(BulkFrames& frames, std::uint64_t bytes_total) {
  Batch batch;
  batch.bytes.reserve(bytes_total + 16'384);
  while (batch.bytes.size() < bytes_total) {
    batch.bytes += as_text(frames.next());
    batch.ends.push_back(batch.bytes.size());
  }
  return batch;
}

Result<void> append_batch(Appender& appender, const Batch& batch) {
  const std::int64_t now_ms = SystemClock::instance().now_ms();
  for (std::size_t i = 0; i < batch.ends.size(); ++i) {
    STANDPIPE_TRY(const storage::Judgement judged, appender.offer(batch.frame(i), now_ms));
    if (judged != storage::Judgement::accepted) {
      return Error{Errc::invalid, fmt::format("bulk frame {} was judged {}", i, to_string(judged))};
    }
    if ((i + 1) % kGroupFrames == 0 || i + 1 == batch.ends.size()) {
      STANDPIPE_TRY(const storage::CommitReport report, appender.commit());
      static_cast<void>(report);
    }
  }
  return {};
}

struct OpenedArchive {
  std::unique_ptr<Archive> archive;
  storage::StreamId stream{};
};

Result<OpenedArchive> open_archive(const std::filesystem::path& dir, rocksdb::Env* env) {
  ArchiveOptions options;
  options.env = env;
  // Room for what a reader reads ahead and little more: what is timed is decoding, not the cache.
  options.run_cache_bytes = 8 << 20;
  OpenedArchive opened;
  STANDPIPE_TRY(opened.archive, Archive::open(dir, options));
  STANDPIPE_TRY(const storage::StreamInfo stream,
                opened.archive->ensure_stream({.name = "bench",
                                               .kind = storage::StreamKind::repos,
                                               .url = "",
                                               .density = storage::Density::dense}));
  opened.stream = stream.id;
  return opened;
}

// One round: a new archive, the whole batch, its removal. Wall until the last commit, CPU until
// everything has been flushed.
Result<Cost> time_append(const std::filesystem::path& dir, rocksdb::Env* env, const Batch& batch) {
  Cost cost;
  {
    STANDPIPE_TRY(OpenedArchive opened, open_archive(dir, env));
    STANDPIPE_TRY(Appender appender, opened.archive->appender(opened.stream));
    const Stopwatch watch;
    STANDPIPE_CHECK(append_batch(appender, batch));
    cost.wall_seconds = watch.elapsed().wall_seconds;
    STANDPIPE_CHECK(opened.archive->close());
    cost.cpu_seconds = watch.elapsed().cpu_seconds;
  }
  std::filesystem::remove_all(dir);
  return cost;
}

double compress_cpu_seconds(const Batch& batch) {
  std::string out(ZSTD_compressBound(2 << 20), '\0');
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  const Stopwatch watch;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < batch.ends.size(); ++i) {
    if ((i + 1) % kGroupFrames != 0 && i + 1 != batch.ends.size()) continue;
    const std::size_t size = batch.ends[i] - begin;
    const std::size_t written = ZSTD_compressCCtx(context.get(), out.data(), out.size(),
                                                  batch.bytes.data() + begin, size, 1);
    STANDPIPE_ASSERT(ZSTD_isError(written) == 0, "zstd compresses what it has room for");
    begin = batch.ends[i];
  }
  return watch.elapsed().cpu_seconds;
}

Result<void> bench_append(const Plan& plan, std::vector<BenchRow>& rows) {
  BulkFrames frames({.seed = 7, .first = kFirstSeq});
  const Batch batch = make_batch(frames, plan.append_bytes);
  const std::shared_ptr<rocksdb::Env> unsynced_env = make_unsynced_env();
  std::vector<double> synced, unsynced, cpu_us, cpu_ratio;
  const auto count = static_cast<double>(batch.ends.size());
  BenchProgress progress("append");
  for (int round = 0; round < plan.rounds; ++round) {
    STANDPIPE_TRY(const Cost with, time_append(plan.dir / "append", nullptr, batch));
    STANDPIPE_TRY(const Cost without, time_append(plan.dir / "append", unsynced_env.get(), batch));
    synced.push_back(count / with.wall_seconds);
    unsynced.push_back(count / without.wall_seconds);
    cpu_us.push_back(with.cpu_seconds / count * 1e6);
    cpu_ratio.push_back(with.cpu_seconds / compress_cpu_seconds(batch));
    progress.tell(static_cast<std::uint64_t>(round) + 1, static_cast<std::uint64_t>(plan.rounds),
                  "rounds");
  }
  rows.push_back(
      {"append synced, groups of 64", "the same, syncing switched off",
       median(synced) / median(unsynced), "x", std::nullopt, 0.5,
       fmt::format("{:.0f} against {:.0f} frames/s (wall)", median(synced), median(unsynced)),
       "7"});
  rows.push_back({"append synced, groups of 64", "", median(synced), "frames/s", std::nullopt,
                  40'000, fmt::format("{:.1f} us of CPU a frame", median(cpu_us)), "7 rate"});
  rows.push_back({"append, CPU until flushed", "zstd 1 of the same groups in memory",
                  median(cpu_ratio), "x", std::nullopt, std::nullopt,
                  fmt::format("{:.1f} us of CPU a frame", median(cpu_us))});
  return {};
}

// -- Reading --------------------------------------------------------------------------------------

// Ingests `bytes` of frames and leaves the archive closed. Rows only for the larger one.
Result<std::uint64_t> build_archive(const std::filesystem::path& dir, std::uint64_t bytes,
                                    std::vector<BenchRow>* rows) {
  STANDPIPE_TRY(OpenedArchive opened, open_archive(dir, nullptr));
  STANDPIPE_TRY(Appender appender, opened.archive->appender(opened.stream));
  BulkFrames frames({.seed = 11, .first = kFirstSeq});
  BenchProgress progress("ingest");
  std::uint64_t raw = 0, count = 0;
  while (raw < bytes) {
    const Batch batch = make_batch(frames, std::min<std::uint64_t>(bytes - raw, 32 * kMegabyte));
    STANDPIPE_CHECK(append_batch(appender, batch));
    raw += batch.bytes.size();
    count += batch.ends.size();
    progress.tell(raw / kMegabyte, bytes / kMegabyte, "MB");
  }
  STANDPIPE_CHECK(opened.archive->seal(opened.stream));
  const storage::ArchiveStats stats = opened.archive->stats();
  STANDPIPE_CHECK(opened.archive->close());
  if (rows == nullptr) return count;
  const auto raw_bytes = static_cast<double>(raw);
  const auto written_log = static_cast<double>(stats.bytes_written_log) / raw_bytes;
  const auto written_flush = static_cast<double>(stats.bytes_written_flush) / raw_bytes;
  const auto written_compaction = static_cast<double>(stats.bytes_written_compaction) / raw_bytes;
  rows->push_back(
      {"stored bytes, codec 0", "raw bytes", static_cast<double>(stats.stored_bytes) / raw_bytes,
       "x", 0.66, std::nullopt,
       fmt::format("{} MB of {} MB, {} frames{}", stats.stored_bytes / kMegabyte, raw / kMegabyte,
                   count, frames.is_from_corpus() ? "" : ", made here: no corpus"),
       "8"});
  rows->push_back({"write amplification", "raw bytes",
                   written_log + written_flush + written_compaction, "x", 1.7, std::nullopt,
                   fmt::format("log {:.3f}, flush {:.3f}, compaction {:.3f}", written_log,
                               written_flush, written_compaction),
                   "9"});
  return count;
}

struct ReadArchive {
  std::unique_ptr<Archive> archive;
  std::unique_ptr<Reader> reader;
  std::uint64_t frames = 0;
};

Result<ReadArchive> open_for_reading(const std::filesystem::path& dir, std::uint64_t frames) {
  STANDPIPE_TRY(OpenedArchive opened, open_archive(dir, nullptr));
  STANDPIPE_TRY(Reader reader, opened.archive->reader(opened.stream, storage::EpochNumber{1}));
  return ReadArchive{std::move(opened.archive), std::make_unique<Reader>(std::move(reader)),
                     frames};
}

Seq random_seq(const ReadArchive& from, Random& random) {
  return Seq{to_int(kFirstSeq) + static_cast<std::int64_t>(random.below(from.frames))};
}

// Reads at least `bytes_total`, going on from the beginning where the end is reached.
Result<std::uint64_t> scan(const ReadArchive& from, Seq position, std::uint64_t bytes_total,
                           const std::function<void(const WireRunPtr&)>& take) {
  std::uint64_t bytes = 0, frames = 0;
  while (bytes < bytes_total) {
    STANDPIPE_TRY(const storage::ReadStep step, from.reader->read_after(position));
    const auto* slice = std::get_if<RunSlice>(&step);
    if (slice == nullptr) {
      position = previous(kFirstSeq);
      continue;
    }
    bytes += slice->run->wire.size();
    frames += slice->run->frames.size() - slice->first_frame;
    position = slice->run->last();
    take(slice->run);
  }
  return frames;
}

struct CompressedRun {
  std::string bytes;
  std::size_t wire_bytes = 0;
};

double decompress_cpu_seconds(const std::vector<CompressedRun>& runs) {
  std::size_t largest = 0;
  for (const CompressedRun& run : runs) largest = std::max(largest, run.wire_bytes);
  std::string out(largest, '\0');
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  const Stopwatch watch;
  for (const CompressedRun& run : runs) {
    const std::size_t size = ZSTD_decompressDCtx(context.get(), out.data(), out.size(),
                                                 run.bytes.data(), run.bytes.size());
    STANDPIPE_ASSERT(size == run.wire_bytes, "zstd gives back what it was given");
  }
  return watch.elapsed().cpu_seconds;
}

Result<void> bench_scan(const Plan& plan, const ReadArchive& large, std::vector<BenchRow>& rows) {
  Random random(3);
  std::vector<double> ratio, rate, wall_rate, decompress_us;
  for (int round = 0; round < plan.rounds; ++round) {
    const Seq start = random_seq(large, random);
    std::vector<CompressedRun> runs;
    const auto keep = [&](const WireRunPtr& run) {
      CompressedRun made{std::string(ZSTD_compressBound(run->wire.size()), '\0'), run->wire.size()};
      made.bytes.resize(ZSTD_compress(made.bytes.data(), made.bytes.size(), run->wire.data(),
                                      run->wire.size(), 1));
      runs.push_back(std::move(made));
    };
    STANDPIPE_TRY(const std::uint64_t warm, scan(large, start, plan.scan_bytes, keep));
    static_cast<void>(warm);  // the disk's cache holds the range now
    const Stopwatch watch;
    STANDPIPE_TRY(const std::uint64_t frames,
                  scan(large, start, plan.scan_bytes, [](const WireRunPtr&) {}));
    const Cost cost = watch.elapsed();
    const double decompress = decompress_cpu_seconds(runs);
    const auto count = static_cast<double>(frames);
    ratio.push_back(decompress / cost.cpu_seconds);
    rate.push_back(count / cost.cpu_seconds);
    wall_rate.push_back(count / cost.wall_seconds);
    decompress_us.push_back(decompress / count * 1e6);
  }
  rows.push_back({"scan from a random seq", "zstd decompress of the same runs in memory",
                  median(ratio), "x speed", std::nullopt, std::nullopt,
                  fmt::format("{:.0f} frames/s of CPU, {:.0f} wall; decompress {:.2f} us a frame",
                              median(rate), median(wall_rate), median(decompress_us))});
  return {};
}

struct SeekCosts {
  double find_us = 0;
  double seek_us = 0;
};

Result<SeekCosts> time_seeks(const ReadArchive& from, int seeks, Random& random) {
  std::vector<Seq> wanted;
  for (int i = 0; i < 2 * seeks; ++i) wanted.push_back(random_seq(from, random));
  const auto half = wanted.begin() + seeks;
  SeekCosts costs;
  const Stopwatch find_watch;
  for (auto it = wanted.begin(); it != half; ++it) {
    STANDPIPE_TRY(const std::optional<RunSlice> found, from.reader->find(*it));
    if (!found) return Error{Errc::corrupt, fmt::format("seq {} is missing", to_int(*it))};
  }
  costs.find_us = find_watch.elapsed().cpu_seconds / seeks * 1e6;
  const Stopwatch seek_watch;
  for (auto it = half; it != wanted.end(); ++it) {
    STANDPIPE_TRY(const storage::ReadStep step, from.reader->read_after(previous(*it)));
    const auto* slice = std::get_if<RunSlice>(&step);
    if (slice == nullptr || slice->run->frames[slice->first_frame].seq != *it) {
      return Error{Errc::corrupt, fmt::format("seq {} does not follow its previous", to_int(*it))};
    }
  }
  costs.seek_us = seek_watch.elapsed().cpu_seconds / seeks * 1e6;
  return costs;
}

Result<void> bench_seek(const Plan& plan, const ReadArchive& small, const ReadArchive& large,
                        std::vector<BenchRow>& rows) {
  Random random(5);
  std::vector<double> find_large, seek_small, seek_large;
  BenchProgress progress("seek");
  for (int round = 0; round <= plan.rounds; ++round) {
    STANDPIPE_TRY(const SeekCosts in_small, time_seeks(small, plan.seeks, random));
    STANDPIPE_TRY(const SeekCosts in_large, time_seeks(large, plan.seeks, random));
    progress.tell(static_cast<std::uint64_t>(round), static_cast<std::uint64_t>(plan.rounds),
                  "rounds");
    if (round == 0) continue;  // opens the tables
    find_large.push_back(in_large.find_us);
    seek_small.push_back(in_small.seek_us);
    seek_large.push_back(in_large.seek_us);
  }
  rows.push_back({"point read at a random seq", "", median(find_large), "us", std::nullopt,
                  std::nullopt, "CPU; find() in the larger archive"});
  rows.push_back({fmt::format("seek at {:.3g} GB", static_cast<double>(plan.large_bytes) / 1e9),
                  fmt::format("the same at {:.3g} GB", static_cast<double>(plan.small_bytes) / 1e9),
                  median(seek_large) / median(seek_small), "x", 1.3, std::nullopt,
                  fmt::format("{:.0f} against {:.0f} us of CPU, first run decoded",
                              median(seek_large), median(seek_small)),
                  "12"});
  return {};
}

Result<void> bench_reading(const Plan& plan, std::vector<BenchRow>& rows) {
  STANDPIPE_TRY(const std::uint64_t small_frames,
                build_archive(plan.dir / "small", plan.small_bytes, nullptr));
  STANDPIPE_TRY(const std::uint64_t large_frames,
                build_archive(plan.dir / "large", plan.large_bytes, &rows));
  STANDPIPE_TRY(const ReadArchive small, open_for_reading(plan.dir / "small", small_frames));
  STANDPIPE_TRY(const ReadArchive large, open_for_reading(plan.dir / "large", large_frames));
  STANDPIPE_CHECK(bench_scan(plan, large, rows));
  return bench_seek(plan, small, large, rows);
}

// Room for both archives as they are stored, RocksDB's logs, and what the archive keeps free.
Result<void> check_room(const Plan& plan) {
  const std::uint64_t wanted =
      (plan.small_bytes + plan.large_bytes) * 7 / 10 + 2 * plan.append_bytes + 4'000 * kMegabyte;
  const std::uint64_t free = std::filesystem::space(plan.dir).available;
  if (free >= wanted) return {};
  return Error{Errc::limit, fmt::format("{} has {} MB free and this needs {}: choose a smaller "
                                        "--scale, or another place with --dir",
                                        plan.dir.string(), free / kMegabyte, wanted / kMegabyte)};
}

Result<std::vector<BenchRow>> run(const Plan& plan) {
  std::vector<BenchRow> rows;
  STANDPIPE_CHECK(check_room(plan));
  STANDPIPE_CHECK(bench_append(plan, rows));
  STANDPIPE_CHECK(bench_reading(plan, rows));
  return rows;
}

int main_of(int argc, char** argv) {
  double scale = 1.0;
  bool as_json = false;
  // Beside the executable: in build/, on a disk, unlike most places for temporary files.
  std::filesystem::path parent = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  CLI::App app{"Storage against the numbers it has to reach"};
  app.add_option("--scale", scale, "1: seek at 1 GB and 10 GB; 0.1: at 100 MB and 1 GB")
      ->check(CLI::Range(0.001, 10.0));
  app.add_option("--dir", parent, "where to make (and remove) the archives; not a tmpfs");
  app.add_flag("--json", as_json, "one JSON object instead of a table");
  CLI11_PARSE(app, argc, argv);

  const std::filesystem::path dir = parent / fmt::format("storage_bench.{}", getpid());
  std::filesystem::create_directories(dir);
  const auto rows = run(make_plan(dir, scale));
  std::filesystem::remove_all(dir);
  if (!rows) {
    fmt::print(stderr, "storage_bench: {}\n", to_string(rows.error()));
    return 1;
  }
  fmt::print("{}", as_json ? format_rows_json("storage", *rows) : format_rows(*rows));
  return 0;
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) { return standpipe::test::main_of(argc, argv); }
