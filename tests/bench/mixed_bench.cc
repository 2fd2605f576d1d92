// All at once, by the real mirror: a paced feed, live subscribers, and replays from the disk that
// begin anew as soon as they end. What the replays cost the live ones, how fast a backlog of the
// upstream is caught up meanwhile, and whether the server stays as large as it is.
//
// Each subscriber compares every byte with what was fed: one that differs, and there are no
// figures.
//
// Usage: mixed_bench [--scale X] [--rate N] [--live N] [--replays N] [--only PART] [--json]
//        mixed_bench --minutes N [--rate N] [--live N] [--replays N] [--json]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/mixed_mirror.h"
#include "tests/bench/mixed_size.h"
#include "tests/support/bench_load.h"
#include "tests/support/bench_process.h"
#include "tests/support/bench_report.h"
#include "tests/support/simulation_wire.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kBacklogFrames = 60'000;   // 340 MB: more than the server's cache
constexpr double kReplayMbsLeast = 5;            // MB/s of each replay
constexpr std::size_t kCatchUpFrames = 10'000;   // of a round
constexpr std::size_t kFrameBytesAbout = 6'000;  // to judge what memory is needed
constexpr std::size_t kCacheBytes = 128 << 20;   // the server's default
constexpr std::string_view kTarget = "/xrpc/com.atproto.sync.subscribeRepos?cursor=";
const std::vector<std::string> kParts = {"latency", "ingest"};

struct Setting {
  double scale = 1;
  std::size_t rate = 300;  // frames/s
  std::size_t live = 500;
  std::size_t replays = 20;
  std::size_t read_threads = 2;         // the server's; the default of the program
  std::uint64_t subscriber_egress = 0;  // bytes/s to each, as the server has it; 0: no limit
  std::size_t minutes = 0;              // above 0: one long run
  std::string part;                     // one of kParts; empty: both
  bool is_json = false;
  BenchCores cores;

  std::size_t rounds() const { return scale < 0.5 ? 3 : 5; }
  std::size_t scaled(std::size_t count, std::size_t at_least) const {
    return std::max(at_least, static_cast<std::size_t>(static_cast<double>(count) * scale));
  }
  bool runs(std::string_view name) const { return minutes == 0 && (part.empty() || part == name); }
  std::size_t backlog_frames() const { return scaled(kBacklogFrames, 3'000); }
  std::size_t paced_frames() const { return rate * scaled(10, 2); }
  std::size_t catch_up_frames() const { return scaled(kCatchUpFrames, 1'000); }
  std::size_t frames() const {
    return backlog_frames() + minutes * 60 * rate +
           (runs("latency") ? 2 * rounds() * paced_frames() : 0) +
           (runs("ingest") ? 2 * rounds() * catch_up_frames() : 0);
  }
};

// What the live subscribers had of a stretch of the paced feed.
struct Stretch {
  double p50_ms = 0, p99_ms = 0, p999_ms = 0;
  double server = 0, sending = 0;  // cores
  double replay_mb_s = 0;
  std::size_t laps = 0;
};

struct CatchUp {
  std::size_t frames = 0;
  double frames_per_second = 0;
  double wall_seconds = 0;
  RoleSeconds seconds;
};

double median_of(const std::vector<Stretch>& stretches, double Stretch::*what) {
  std::vector<double> values;
  for (const Stretch& stretch : stretches) values.push_back(stretch.*what);
  return median(std::move(values));
}

std::string to_string(const std::vector<Stretch>& stretches) {
  const auto of = [&](double Stretch::*what) { return median_of(stretches, what); };
  return fmt::format(
      "p50 {:.2f}, p99 {:.2f}, p99.9 {:.2f} ms (server {:.0f} % of a core, sending "
      "{:.0f} %)",
      of(&Stretch::p50_ms), of(&Stretch::p99_ms), of(&Stretch::p999_ms), of(&Stretch::server) * 100,
      of(&Stretch::sending) * 100);
}

double median_rate(const std::vector<CatchUp>& rounds) {
  std::vector<double> values;
  for (const CatchUp& round : rounds) values.push_back(round.frames_per_second);
  return median(std::move(values));
}

// What threads of one role took of all rounds together.
struct RoleShare {
  std::string role;
  double core = 0;  // of the time by the clock
  double us = 0;    // of each frame
};

// The busiest first.
std::vector<RoleShare> shares_of(const std::vector<CatchUp>& rounds) {
  RoleSeconds seconds;
  double wall = 0, frames = 0;
  for (const CatchUp& round : rounds) {
    for (const auto& [role, spent] : round.seconds) seconds[role] += spent;
    wall += round.wall_seconds;
    frames += static_cast<double>(round.frames);
  }
  std::vector<RoleShare> shares;
  for (const auto& [role, spent] : seconds) {
    shares.push_back({role, spent / wall, spent * 1e6 / frames});
  }
  std::sort(shares.begin(), shares.end(),
            [](const RoleShare& a, const RoleShare& b) { return a.core > b.core; });
  return shares;
}

std::string to_string(const std::vector<CatchUp>& rounds) {
  std::string text = "CPU of a core and of a frame: ";
  for (const RoleShare& share : shares_of(rounds)) {
    text += fmt::format("{} {:.0f} % and {:.1f} us, ", share.role, share.core * 100, share.us);
  }
  return text.substr(0, text.size() - 2);
}

class Bench {
 public:
  explicit Bench(const Setting& setting)
      : setting_(setting), pinned_(setting.cores.load), mirror_(feed_) {
    const std::size_t frames = setting.frames();
    if (frames * kFrameBytesAbout > available_memory_bytes() / 2) {
      throw std::runtime_error(
          fmt::format("{} frames are some {} MB, more than half of the memory that is free: choose "
                      "fewer --minutes or a lower --rate",
                      frames, frames * kFrameBytesAbout >> 20));
    }
    raise_descriptor_limit();
    const PinnedHere everywhere(setting.cores.all);  // frames are made by threads
    tell(fmt::format("making {} frames", frames));
    feed_ = simulated_wire(frames, 20'000);
    tell(fmt::format("archiving {} of them", setting.backlog_frames()));
    mirror_.start(arguments("0"), setting.cores.all);
    mirror_.release(setting.backlog_frames());
    mirror_.wait_until_durable();
    mirror_.stop();
  }

  std::vector<BenchRow> run() {
    tell(fmt::format("{} live subscribers, {} replays, {}", setting_.live, setting_.replays,
                     to_string(setting_.cores)));
    if (setting_.minutes > 0) run_long();
    if (setting_.runs("latency")) bench_latency();
    if (setting_.runs("ingest")) bench_ingest();
    return std::move(rows_);
  }

 private:
  using EachSecond = std::function<void(std::size_t second)>;

  void tell(const std::string& what) const { fmt::print(stderr, "mixed: {}\n", what); }
  template <typename... Row>
  void add_row(Row&&... row) {
    rows_.push_back(bench_row(std::forward<Row>(row)...));
  }
  std::string with_replays() const {
    return fmt::format("{} live, {} frames/s, {} replays", setting_.live, setting_.rate,
                       setting_.replays);
  }

  std::vector<std::string> arguments(const std::string& network_threads) const {
    // A third of the backlog at most: what is replayed is read from the archive.
    const std::size_t cache =
        std::min(kCacheBytes, setting_.backlog_frames() * kFrameBytesAbout / 3);
    return {"--network-threads",
            network_threads,
            "--cache-bytes",
            std::to_string(cache),
            "--read-threads",
            std::to_string(setting_.read_threads),
            "--max-egress-per-subscriber",
            std::to_string(setting_.subscriber_egress)};
  }
  std::unique_ptr<BenchLoad> subscribe() const;
  std::unique_ptr<BenchLoad> replay() const;
  Stretch feed_paced(std::size_t frames, BenchLoad& live, const BenchLoad* replays,
                     const EachSecond& each_second);
  CatchUp catch_up();
  void bench_latency();
  void bench_ingest();
  void run_long();

  const Setting setting_;
  const PinnedHere pinned_;
  BenchWire feed_;
  MixedMirror mirror_;
  std::vector<BenchRow> rows_;
};

std::unique_ptr<BenchLoad> Bench::subscribe() const {
  LoadOptions load;
  load.port = mirror_.port();
  load.subscribers = setting_.live;
  load.first = mirror_.fed();
  load.target = fmt::format("{}{}", kTarget, feed_.seqs[mirror_.fed() - 1]);
  return std::make_unique<BenchLoad>(feed_, load, setting_.cores.load);
}

// Each begins at a place of its own, goes on to the end of the backlog, and from then on asks for
// all of it again and again.
std::unique_ptr<BenchLoad> Bench::replay() const {
  const std::size_t backlog = setting_.backlog_frames();
  const std::string until = fmt::format("&until={}", feed_.seqs[backlog - 1]);
  LoadOptions load;
  load.port = mirror_.port();
  for (std::size_t i = 0; i < setting_.replays; ++i) {
    const std::size_t first = 1 + i * (backlog - 1) / setting_.replays;
    load.places.push_back(
        {fmt::format("{}{}{}", kTarget, feed_.seqs[first - 1], until), first, backlog - first});
  }
  // They take all that the server gives them, and would take the core from those who read live,
  // with whom they share it here alone: then it would be the readers who are late, and not the
  // server.
  load.niceness = 5;
  load.again = LoadPlace{fmt::format("{}0{}", kTarget, until), 0, backlog};
  return std::make_unique<BenchLoad>(feed_, load, setting_.cores.load);
}

Stretch Bench::feed_paced(std::size_t frames, BenchLoad& live, const BenchLoad* replays,
                          const EachSecond& each_second) {
  const std::size_t begin = mirror_.fed();
  live.begin_latency();
  live.expect(begin + frames);
  const double cpu = process_cpu_seconds(mirror_.id());
  const double sending = sum(thread_cpu_seconds(mirror_.id(), "network"));
  const std::uint64_t read = replays == nullptr ? 0 : replays->bytes_read();
  const std::size_t laps = replays == nullptr ? 0 : replays->laps();
  const std::uint64_t begin_ns = monotonic_ns();
  const Pace pace(setting_.rate);
  for (std::size_t i = 0; i < frames; ++i) {
    if (i % setting_.rate == 0) {
      live.check();
      if (replays != nullptr) replays->check();
      each_second(i / setting_.rate);
    }
    pace.wait_for(i);
    live.told_sent(begin + i);
    mirror_.release(begin + i + 1);
  }
  live.wait();
  const double seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
  Stretch stretch;
  const LatencyCounts& latency = live.latency();
  stretch.p50_ms = latency.percentile_ms(0.5);
  stretch.p99_ms = latency.percentile_ms(0.99);
  stretch.p999_ms = latency.percentile_ms(0.999);
  stretch.server = (process_cpu_seconds(mirror_.id()) - cpu) / seconds;
  stretch.sending = (sum(thread_cpu_seconds(mirror_.id(), "network")) - sending) / seconds;
  if (replays != nullptr) {
    replays->check();
    stretch.replay_mb_s = static_cast<double>(replays->bytes_read() - read) / 1e6 / seconds;
    stretch.laps = replays->laps() - laps;
  }
  return stretch;
}

// -- Latency --------------------------------------------------------------------------------------

void Bench::bench_latency() {
  mirror_.start(arguments("1"), setting_.cores.server);
  std::vector<Stretch> alone, mixed;
  {
    const auto live = subscribe();
    const EachSecond nothing = [](std::size_t) {};
    for (std::size_t round = 1; round <= setting_.rounds(); ++round) {
      alone.push_back(feed_paced(setting_.paced_frames(), *live, nullptr, nothing));
      const auto replays = replay();
      mixed.push_back(feed_paced(setting_.paced_frames(), *live, replays.get(), nothing));
      tell(fmt::format("round {} of {}: p99 {:.2f} ms without replays, {:.2f} with them", round,
                       setting_.rounds(), alone.back().p99_ms, mixed.back().p99_ms));
    }
  }
  mirror_.stop();
  std::size_t laps = 0;
  for (const Stretch& stretch : mixed) laps += stretch.laps;
  // Replays that hardly read are none: nothing is promised of them, and nothing shown by them.
  const double replayed = median_of(mixed, &Stretch::replay_mb_s);
  const bool is_judged = replayed >= kReplayMbsLeast * static_cast<double>(setting_.replays);
  add_row(
      "live p99, " + with_replays(), "the same without replays",
      median_of(mixed, &Stretch::p99_ms) / median_of(alone, &Stretch::p99_ms), "x",
      fmt::format("{} against {}; {:.0f} MB/s replayed, {} times to the end{}", to_string(mixed),
                  to_string(alone), replayed, laps, is_judged ? "" : ": too little to judge by"),
      is_judged ? std::optional<double>(2) : std::nullopt);
  add_row("live p99.9, " + with_replays(), "the same without replays",
          median_of(mixed, &Stretch::p999_ms) / median_of(alone, &Stretch::p999_ms), "x",
          "as above");
}

// -- Ingest ---------------------------------------------------------------------------------------

CatchUp Bench::catch_up() {
  const std::size_t frames = setting_.catch_up_frames();
  const std::vector<ThreadUse> before = thread_uses(mirror_.id());
  const std::uint64_t begin_ns = monotonic_ns();
  mirror_.release(mirror_.fed() + frames);
  mirror_.wait_until_durable();
  CatchUp taken;
  taken.frames = frames;
  taken.wall_seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
  taken.frames_per_second = static_cast<double>(frames) / taken.wall_seconds;
  taken.seconds = role_seconds(before, thread_uses(mirror_.id()));
  return taken;
}

void Bench::bench_ingest() {
  tell("catching up");
  mirror_.start(arguments("0"), setting_.cores.all);
  std::vector<CatchUp> alone, mixed;
  for (std::size_t round = 1; round <= setting_.rounds(); ++round) {
    alone.push_back(catch_up());
    const auto live = subscribe();
    const auto replays = replay();
    live->expect(mirror_.fed() + setting_.catch_up_frames());
    mixed.push_back(catch_up());
    live->wait();
    replays->check();
    tell(fmt::format("round {} of {}: {:.0f} frames/s alone, {:.0f} while serving", round,
                     setting_.rounds(), alone.back().frames_per_second,
                     mixed.back().frames_per_second));
  }
  mirror_.stop();
  const std::string where = fmt::format("the server on all {} cores, which load and feed share",
                                        setting_.cores.all.size());
  const auto busiest = shares_of(alone).front();
  add_row("catch-up, nobody subscribed", "-", median_rate(alone), "frames/s",
          to_string(alone) + "; " + where);
  add_row("its busiest thread: " + busiest.role, "a core", busiest.core, "x",
          "1: this thread bounds it; less: the upstream or the disk does, or the cores are shared");
  add_row(fmt::format("catch-up beside {} live, {} replays", setting_.live, setting_.replays), "-",
          median_rate(mixed), "frames/s", to_string(mixed) + "; all of it delivered to each",
          std::nullopt, 40'000);
  add_row("the same", "nobody subscribed", median_rate(mixed) / median_rate(alone), "x", where);
}

// -- At length ------------------------------------------------------------------------------------

void Bench::run_long() {
  mirror_.start(arguments("1"), setting_.cores.server);
  Stretch stretch;
  SizeRecord record;
  {
    const auto live = subscribe();
    const auto replays = replay();
    const std::size_t first = mirror_.fed();
    stretch = feed_paced(setting_.minutes * 60 * setting_.rate, *live, replays.get(),
                         [&](std::size_t second) {
                           record.add(process_size(mirror_.id()),
                                      feed_.begin_of(mirror_.fed()) - feed_.begin_of(first));
                           if (second % 60 != 0) return;
                           tell(fmt::format("minute {} of {}: {}; p99 {:.2f} ms, {} times replayed",
                                            second / 60, setting_.minutes, record.last_text(),
                                            live->latency().percentile_ms(0.99), replays->laps()));
                         });
  }
  mirror_.stop();
  for (BenchRow& row : record.rows(setting_.minutes, with_replays())) {
    rows_.push_back(std::move(row));
  }
  add_row("live p99, " + with_replays(), "-", stretch.p99_ms, "ms",
          fmt::format("{}; {:.0f} MB/s replayed, {} times to the end",
                      to_string(std::vector{stretch}), stretch.replay_mb_s, stretch.laps));
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  using namespace standpipe::test;
  CLI::App app("Live subscribers, replays and ingest at the same time");
  Setting setting;
  app.add_option("--scale", setting.scale, "length of rounds and size of the archive")
      ->check(CLI::Range(0.01, 3.0));
  app.add_option("--rate", setting.rate, "frames/s of the paced feed (default 300)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000}));
  app.add_option("--live", setting.live, "live subscribers (default 500)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{5'000}));
  app.add_option("--replays", setting.replays, "replays at a time (default 20)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000}));
  app.add_option("--read-threads", setting.read_threads, "the server's (default 2)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{64}));
  app.add_option("--egress-per-subscriber", setting.subscriber_egress,
                 "bytes/s, above what live ones need: for replays that leave others some of the "
                 "machine (default: no limit)");
  auto* const part =
      app.add_option("--only", setting.part, "one part of the bench")->check(CLI::IsMember(kParts));
  app.add_option("--minutes", setting.minutes,
                 "one run of that length, in place of rounds: is the server's size flat?")
      ->check(CLI::Range(std::size_t{1}, std::size_t{24 * 60}))
      ->excludes(part);
  app.add_flag("--json", setting.is_json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return report_bench("mixed_bench", setting.is_json, [&] {
    setting.cores = bench_cores();
    return Bench(setting).run();
  });
}
