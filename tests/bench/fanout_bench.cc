// Live fan-out of the real mirror against what nobody can argue with: a raw send() of the same
// slices, and the textbook's async_write for each message.
//
// The server, its denominators and the subscribers are processes of their own, pinned; what counts
// is the CPU time of who sends, per delivered frame. Each subscriber compares every byte with what
// was fed: one that differs, and there are no figures.
//
// Usage: fanout_bench [--scale X] [--subscribers N] [--only PART] [--json]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "schema/frame.h"
#include "tests/bench/fanout_contest.h"
#include "tests/bench/fanout_filters.h"
#include "tests/bench/fanout_memory.h"
#include "tests/bench/fanout_setting.h"
#include "tests/bench/fanout_tls.h"
#include "tests/support/bench_load.h"
#include "tests/support/bench_process.h"
#include "tests/support/bench_report.h"
#include "tests/support/bench_senders.h"
#include "tests/support/simulation_wire.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kSubscribersMax = 10'000;
constexpr std::string_view kPath = "/xrpc/com.atproto.sync.subscribeRepos";

std::string target_of(const BenchWire& feed, const std::string& filter = "") {
  return fmt::format("{}?cursor={}{}", kPath, feed.seqs[kWarmFrames - 1], filter);
}

double mean_fed_us(const std::vector<Round>& rounds) {
  double sum = 0;
  for (const Round& round : rounds) sum += round.fed_us;
  return sum / static_cast<double>(rounds.size());
}

// -- The bench ------------------------------------------------------------------------------------

class Bench {
 public:
  explicit Bench(Setting setting) : setting_(std::move(setting)) {
    std::size_t frames = 0;
    for (const std::size_t size : {1U, 10U, 100U, 1000U}) {
      frames = std::max(frames,
                        setting_.rounds() * (burst_of(size, setting_) + steps_of(size, setting_)));
    }
    for (const std::size_t rate : kRates) frames = std::max(frames, rate * 4);
    tell("making frames");
    feed_ = simulated_wire(kWarmFrames + std::max(frames, kStallFrames), 20'000);
    descriptors_ = raise_descriptor_limit();
  }

  std::vector<BenchRow> run() {
    const PinnedHere pinned(setting_.cores.load);
    tell(fmt::format("{} frames, {} bytes on average; {}; {} rounds", feed_.size(),
                     feed_.bytes.size() / feed_.size(), to_string(setting_.cores),
                     setting_.rounds()));
    if (runs("sizes")) bench_sizes();
    if (runs("threads")) bench_threads();
    if (runs("filters")) bench_filters();
    if (runs("tls")) bench_tls();
    if (runs("latency")) bench_latency();
    if (runs("memory")) bench_memory();
    return std::move(rows_);
  }

 private:
  static constexpr std::size_t kRates[] = {500, 2'000};
  static constexpr std::size_t kStallFrames = 2'000;
  using Contests = std::map<std::string, std::unique_ptr<Contest>>;

  // Whoever names one size asks about sizes alone.
  bool runs(std::string_view part) const {
    if (!setting_.part.empty()) return setting_.part == part;
    return setting_.subscribers == 0 || part == "sizes";
  }

  void tell(const std::string& what) const { fmt::print(stderr, "fanout: {}\n", what); }

  std::unique_ptr<Contest> contest(std::unique_ptr<Subject> subject,
                                   std::size_t subscribers) const {
    return contest(std::move(subject), subscribers, feed_, target_of(feed_));
  }
  std::unique_ptr<Contest> contest(std::unique_ptr<Subject> subject, std::size_t subscribers,
                                   const BenchWire& wanted, std::string target,
                                   TlsContext tls = nullptr) const {
    LoadOptions load;
    load.port = subject->port();
    load.subscribers = subscribers;
    load.target = std::move(target);
    load.first = wanted.count_before(kWarmFrames);
    load.tls = std::move(tls);
    return std::make_unique<Contest>(std::move(subject), wanted, load, setting_.cores.load);
  }
  std::unique_ptr<Contest> denominator(std::size_t subscribers, SenderOptions::How how,
                                       std::size_t slice_bytes = 256 << 10) const {
    SenderOptions options;
    options.how = how;
    options.subscribers = subscribers;
    options.first = kWarmFrames;
    options.slice_bytes = slice_bytes;
    return contest(std::make_unique<Denominator>(feed_, options, setting_.cores.server),
                   subscribers);
  }

  // Interleaved: each round has all of them.
  void run_rounds(Contests& contests, const std::map<std::string, std::size_t>& sizes,
                  bool has_steps) {
    for (std::size_t round = 0; round < setting_.rounds(); ++round) {
      for (auto& [name, one] : contests) {
        one->bursts.push_back(one->burst(burst_of(sizes.at(name), setting_)));
        if (has_steps) one->steps.push_back(one->one_by_one(steps_of(sizes.at(name), setting_)));
      }
      tell(fmt::format("round {} of {}", round + 1, setting_.rounds()));
    }
  }

  template <typename... Row>
  void add_row(Row&&... row) {
    rows_.push_back(bench_row(std::forward<Row>(row)...));
  }
  // A figure of that row of design_rows().
  template <typename... Row>
  void add_design_row(const char* number, Row&&... row) {
    rows_.push_back(as_design(number, bench_row(std::forward<Row>(row)...)));
  }

  // Each subscriber is a descriptor here and one in the server; both have some more.
  bool has_descriptors_for(std::size_t subscribers) {
    if (subscribers + 200 <= descriptors_) return true;
    tell(fmt::format("{} subscribers are left out: {} descriptors are allowed", subscribers,
                     descriptors_));
    return false;
  }

  void bench_sizes();
  void add_size_rows(Contests& contests, std::size_t size);
  void bench_threads();
  void bench_filters();
  void bench_tls();
  void bench_tls_of(std::size_t subscribers);
  void bench_latency();
  void bench_paced(std::size_t rate, const std::string& commit_interval);
  void bench_memory();
  void bench_memory_of(bool reads, std::size_t subscribers, const char* number);
  void bench_stalled_crowd(std::size_t subscribers);

  const Setting setting_;
  BenchWire feed_;
  std::size_t descriptors_ = 0;
  std::vector<double> ingest_us_;
  std::vector<BenchRow> rows_;
};

void Bench::bench_sizes() {
  std::vector<std::size_t> sizes = {1, 10, 100, 1'000, 5'000};
  if (setting_.subscribers > 0) sizes = {setting_.subscribers};
  Contests contests;
  std::map<std::string, std::size_t> size_of;
  const auto add = [&](std::string name, std::size_t size, std::unique_ptr<Contest> one) {
    tell(fmt::format("{} has {} subscribers", name, size));
    size_of[name] = size;
    contests[std::move(name)] = std::move(one);
  };
  using How = SenderOptions::How;
  std::erase_if(sizes, [this](std::size_t size) { return !has_descriptors_for(size); });
  for (const std::size_t size : sizes) {
    const std::string at = fmt::format("-{}", size);
    add("mirror" + at, size, contest(std::make_unique<Mirror>(feed_, setting_.cores.server), size));
    add("raw" + at, size, denominator(size, How::raw));
    if (size < 1'000 && setting_.subscribers == 0) continue;
    add("raw32" + at, size, denominator(size, How::raw, 32 << 10));
    if (size == 1'000 || setting_.subscribers > 0)
      add("beast" + at, size, denominator(size, How::beast));
  }
  {
    Mirror alone(feed_, setting_.cores.server);
    const std::size_t frames = burst_of(1, setting_);
    for (std::size_t round = 0; round < setting_.rounds(); ++round) {
      const double before = process_cpu_seconds(alone.id());
      alone.release(kWarmFrames + (round + 1) * frames);
      alone.wait_until_durable();
      ingest_us_.push_back((process_cpu_seconds(alone.id()) - before) * 1e6 /
                           static_cast<double>(frames));
    }
  }
  add_row("ingest, 0 subscribers", "-", median(ingest_us_), "us",
          "CPU of the whole process, per frame of the feed; no part of the rows of sending");
  run_rounds(contests, size_of, true);
  for (const std::size_t size : sizes) add_size_rows(contests, size);
  if (contests.contains("mirror-10") && contests.contains("mirror-1000")) {
    const Spread few = spread_of(contests["mirror-10"]->bursts);
    const Spread many = spread_of(contests["mirror-1000"]->bursts);
    add_design_row("3", "1,000 subscribers, coalesced", "10 subscribers", many.middle / few.middle,
                   "x", to_string_us(many) + " against " + to_string_us(few), 1.2);
  }
}

void Bench::add_size_rows(Contests& contests, std::size_t size) {
  const std::string at = fmt::format("-{}", size);
  const auto compare = [&](const std::string& with, const std::string& what, bool is_burst,
                           std::optional<double> at_most) {
    const auto rounds = [&](const std::string& name) -> const std::vector<Round>& {
      const Contest& one = *contests.at(name + at);
      return is_burst ? one.bursts : one.steps;
    };
    const Spread mirror = spread_of(rounds("mirror")), other = spread_of(rounds(with));
    const bool is_beast = with == "beast";
    const std::optional<double> at_least =
        is_beast && is_burst ? std::optional<double>(6) : std::nullopt;
    const std::string path =
        fmt::format("{} subscribers, {}", size, is_burst ? "coalesced" : "one by one");
    BenchRow row = bench_row(
        path, what, is_beast ? other.middle / mirror.middle : mirror.middle / other.middle,
        is_beast ? "x less" : "x",
        fmt::format("{} against {}; whole process {:.2f} us", to_string_us(mirror),
                    to_string_us(other), spread_of(rounds("mirror"), &Round::process_us).middle),
        is_beast ? std::nullopt : at_most, at_least);
    if (size == 1'000 && (at_least || at_most)) row.number = is_beast ? "1" : "2";
    rows_.push_back(std::move(row));
  };
  const bool has_target = size == 1'000;
  for (const bool is_burst : {true, false}) {
    if (contests.contains("beast" + at)) {
      compare("beast", "Beast async_write per message", is_burst, std::nullopt);
    }
    compare("raw", "raw send, 256 KiB slices", is_burst,
            has_target && is_burst ? std::optional<double>(1.15) : std::nullopt);
    if (contests.contains("raw32" + at) && is_burst) {
      compare("raw32", "raw send, 32 KiB slices", is_burst, std::nullopt);
    }
  }
}

void Bench::bench_threads() {
  constexpr std::size_t kSize = 1'000;
  if (!has_descriptors_for(kSize)) return;
  tell("network threads");
  Contests contests;
  for (const char* threads : {"1", "2"}) {
    contests[threads] =
        contest(std::make_unique<Mirror>(feed_, setting_.cores.all,
                                         std::vector<std::string>{"--network-threads", threads}),
                kSize);
  }
  run_rounds(contests, {{"1", kSize}, {"2", kSize}}, false);
  const Spread one = spread_of(contests["1"]->bursts), two = spread_of(contests["2"]->bursts);
  const std::string where = fmt::format("the server on all {} cores, which load and feed share",
                                        setting_.cores.all.size());
  add_design_row("4", "two network threads", "one", two.middle / one.middle, "x",
                 fmt::format("{} against {}; {}", to_string_us(two), to_string_us(one), where),
                 1.15);
  const Spread busiest = spread_of(contests["2"]->bursts, &Round::busiest);
  // Split within 10 %: the one takes at most 1.1 times what the other does.
  add_design_row("4 split", "the busier of two network threads", "the other",
                 busiest.middle / (1 - busiest.middle), "x",
                 fmt::format("{:.1f} % of the CPU of both (min {:.1f}, max {:.1f})",
                             busiest.middle * 100, busiest.least * 100, busiest.most * 100),
                 1.1);
}

void Bench::bench_filters() {
  constexpr std::size_t kSize = 1'000;
  if (!has_descriptors_for(kSize)) return;
  tell("filters");
  const BenchWire likes = filtered(feed_, touches_collection);
  const auto dids = wanted_dids(feed_);
  const BenchWire of_dids = filtered(
      feed_, [&](ByteView frame) { return dids.contains(scan_frame(frame).envelope.did); });
  std::string query;
  for (const std::string& did : dids) query += "&wantedDids=" + did;
  Contests contests;
  const auto add = [&](const char* name, const BenchWire& wanted, const std::string& filter) {
    auto mirror = std::make_unique<Mirror>(feed_, setting_.cores.server);
    LoadOptions witness;
    witness.port = mirror->port();
    witness.target = target_of(feed_);
    witness.first = kWarmFrames;
    contests[name] = contest(std::move(mirror), kSize, wanted, target_of(feed_, filter));
    contests[name]->add_witness(feed_, witness, setting_.cores.load);
  };
  add("none", feed_, "");
  add("one collection", likes, fmt::format("&wantedCollections={}", kCollection));
  add("10,000 DIDs", of_dids, query);
  const std::string busiest = busiest_did(feed_);
  const BenchWire of_one =
      filtered(feed_, [&](ByteView frame) { return scan_frame(frame).envelope.did == busiest; });
  add("one DID", of_one, "&wantedDids=" + busiest);
  run_rounds(
      contests,
      {{"none", kSize}, {"one collection", kSize}, {"10,000 DIDs", kSize}, {"one DID", kSize}},
      false);
  const Spread none = spread_of(contests["none"]->bursts);
  for (const char* name : {"one collection", "10,000 DIDs"}) {
    const BenchWire& wanted = name[0] == 'o' ? likes : of_dids;
    const Spread spread = spread_of(contests[name]->bursts);
    const Spread fed = spread_of(contests[name]->bursts, &Round::fed_us);
    add_row(fmt::format("filter of {}, 1,000", name), "no filter", spread.middle / none.middle, "x",
            fmt::format(
                "{} against {} a delivered frame; {:.2f} us for each frame fed, of which "
                "{:.0f} % are wanted",
                to_string_us(spread), to_string_us(none), fed.middle,
                100.0 * static_cast<double>(wanted.size()) / static_cast<double>(feed_.size())));
  }
  // Frames that so few are of come unevenly: all rounds together count.
  const double one_fed = mean_fed_us(contests["one DID"]->bursts);
  const double all_fed = mean_fed_us(contests["none"]->bursts);
  add_row(
      "filter of one DID, 1,000, a frame fed", "no filter", one_fed / all_fed, "x",
      fmt::format("{:.1f} against {:.1f} ns a frame of the feed and subscriber; {} of {} frames "
                  "are wanted",
                  one_fed * 1e3, all_fed * 1e3, of_one.size(), feed_.size()),
      0.1);
}

void Bench::bench_latency() {
  for (const std::size_t rate : kRates) {
    for (const char* interval : {"5ms", "0ms", "20ms"}) bench_paced(rate, interval);
  }
}

void Bench::bench_paced(std::size_t rate, const std::string& commit_interval) {
  constexpr std::size_t kSize = 100;
  tell(fmt::format("{} frames/s, --commit-interval {}", rate, commit_interval));
  Mirror mirror(feed_, setting_.cores.server,
                {"--network-threads", "1", "--commit-interval", commit_interval});
  LoadOptions options;
  options.port = mirror.port();
  options.subscribers = kSize;
  options.target = target_of(feed_);
  options.first = kWarmFrames;
  BenchLoad load(feed_, options, setting_.cores.load);
  const std::size_t frames = setting_.scaled(rate * 4, rate);
  const std::size_t end = std::min(kWarmFrames + frames, feed_.size());
  load.begin_latency();
  load.expect(end);
  const double cpu = process_cpu_seconds(mirror.id());
  const double sending = sum(mirror.sending_seconds());
  const std::uint64_t begin_ns = monotonic_ns();
  const Pace pace(rate);
  for (std::size_t frame = kWarmFrames; frame < end; ++frame) {
    pace.wait_for(frame - kWarmFrames);
    load.told_sent(frame);
    mirror.release(frame + 1);
  }
  load.wait();
  const double seconds = static_cast<double>(monotonic_ns() - begin_ns) / 1e9;
  const LatencyCounts& latency = load.latency();
  add_row(
      fmt::format("{} frames/s to 100, commits {}", rate, commit_interval),
      "from the feed's write to the read", latency.percentile_ms(0.99), "ms p99",
      fmt::format("p50 {:.2f}, p99.9 {:.2f} ms; server's CPU {:.0f} % of a core, sending {:.0f} "
                  "%; {} frames delivered",
                  latency.percentile_ms(0.5), latency.percentile_ms(0.999),
                  (process_cpu_seconds(mirror.id()) - cpu) / seconds * 100,
                  (sum(mirror.sending_seconds()) - sending) / seconds * 100, latency.count()));
}

void Bench::bench_memory() {
  bench_memory_of(true, setting_.scaled(2'000, 500), "11 idle");
  bench_memory_of(false, setting_.scaled(500, 200), "11 stalled");
  bench_stalled_crowd(setting_.scaled(5'000, 500));
}

void Bench::bench_memory_of(bool reads, std::size_t subscribers, const char* number) {
  if (!has_descriptors_for(subscribers)) return;
  tell(fmt::format("memory of {} {} subscribers", subscribers, reads ? "idle" : "stalled"));
  Mirror mirror(feed_, setting_.cores.server);
  mirror.release(kWarmFrames + kStallFrames);  // all of it stays in the live log
  mirror.wait_until_durable();
  const MemoryUse before = settled_memory(mirror.id());
  LoadOptions options;
  options.port = mirror.port();
  options.subscribers = subscribers;
  options.reads = reads;
  options.first = kWarmFrames + (reads ? kStallFrames : 0);
  options.target = fmt::format("{}?cursor={}", kPath, feed_.seqs[options.first - 1]);
  const BenchLoad load(feed_, options, setting_.cores.load);
  const MemoryUse after = settled_memory(mirror.id());
  const MemoryEach each(before, after, subscribers);
  add_design_row(number, fmt::format("memory of {} subscriber", reads ? "an idle" : "a stalled"),
                 "-", each.all, "KB", each.text, reads ? 16 : 256);
}

void Bench::bench_tls() {
  for (const std::size_t subscribers : {100U, 1000U}) {
    if (has_descriptors_for(subscribers)) bench_tls_of(subscribers);
  }
}

// TLS 1.3 with AES-256-GCM, which is what OpenSSL's two ends agree on.
void Bench::bench_tls_of(std::size_t subscribers) {
  tell(fmt::format("{} subscribers over TLS", subscribers));
  const BenchCertificate certificate;
  std::vector<std::string> arguments{"--network-threads", "1"};
  certificate.add_to(arguments);
  auto mirror = std::make_unique<Mirror>(feed_, setting_.cores.server, std::move(arguments), 1);
  Contests contests;
  contests["TLS"] =
      contest(std::move(mirror), subscribers, feed_, target_of(feed_), certificate.trusting());
  contests["plain"] = contest(std::make_unique<Mirror>(feed_, setting_.cores.server), subscribers);
  contests["raw"] = denominator(subscribers, SenderOptions::How::raw);
  run_rounds(contests, {{"TLS", subscribers}, {"plain", subscribers}, {"raw", subscribers}},
             /*has_steps=*/false);
  std::vector<double> encrypting;
  for (std::size_t round = 0; round < setting_.rounds(); ++round) {
    encrypting.push_back(encryption_us(feed_));
  }
  const double least = *std::min_element(encrypting.begin(), encrypting.end());
  const double tls = mean_fed_us(contests["TLS"]->bursts);
  const double plain = mean_fed_us(contests["plain"]->bursts);
  const double raw = mean_fed_us(contests["raw"]->bursts);
  add_row(fmt::format("fan-out to {} over TLS", subscribers), "the same without", tls / plain, "x",
          fmt::format("{:.2f} against {:.2f} us per delivered frame", tls, plain));
  add_row(fmt::format("fan-out to {} over TLS", subscribers), "raw send and encryption alone",
          tls / (raw + least), "x", fmt::format("{:.2f} and {:.2f} us", raw, least));
}

// They take what the number allows to each, and one who reads beside them gets everything.
void Bench::bench_stalled_crowd(std::size_t subscribers) {
  constexpr std::uint64_t kBytesEach = 256 << 10;
  if (!has_descriptors_for(subscribers)) return;
  if (available_memory_bytes() < 2 * subscribers * kBytesEach) {
    tell(fmt::format("{} stalled subscribers are left out: memory is short", subscribers));
    return;
  }
  tell(fmt::format("{} stalled subscribers, and one who reads", subscribers));
  Mirror mirror(feed_, setting_.cores.server);
  mirror.release(kWarmFrames + kStallFrames);
  mirror.wait_until_durable();
  const MemoryUse before = settled_memory(mirror.id());
  LoadOptions options;
  options.port = mirror.port();
  options.subscribers = subscribers;
  options.reads = false;
  options.target = target_of(feed_);
  options.first = kWarmFrames;
  const BenchLoad stalled(feed_, options, setting_.cores.load);
  const MemoryUse after = settled_memory(mirror.id());
  options.subscribers = 1;
  options.reads = true;
  options.expected = kWarmFrames + kStallFrames;
  BenchLoad witness(feed_, options, setting_.cores.load);
  witness.wait();
  const double sending = sum(mirror.sending_seconds());
  const std::size_t end = kWarmFrames + 2 * kStallFrames;
  witness.expect(end);
  mirror.release(end);
  witness.wait();
  stalled.check();
  const MemoryEach each(before, after, subscribers);
  const double total = static_cast<double>(subscribers) / 1024;
  add_row(fmt::format("memory of {} stalled subscribers", subscribers), "-", each.all * total, "MB",
          fmt::format("{:.1f} KB each ({}); one who reads beside them got {} frames, {:.2f} us of "
                      "sending for each of the last {}",
                      each.all, each.text, end - kWarmFrames,
                      (sum(mirror.sending_seconds()) - sending) * 1e6 / kStallFrames, kStallFrames),
          256 * total);
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  using namespace standpipe::test;
  CLI::App app("Live fan-out against a raw send and Beast");
  Setting setting;
  app.add_option("--scale", setting.scale, "frames of a round, in parts of the usual number")
      ->check(CLI::Range(0.01, 1.0));
  app.add_option("--subscribers", setting.subscribers, "one size, in place of 1 to 5,000")
      ->check(CLI::Range(std::size_t{1}, kSubscribersMax));
  app.add_option("--only", setting.part, "one part of the bench")->check(CLI::IsMember(kParts));
  app.add_flag("--json", setting.is_json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return report_bench("fanout_bench", setting.is_json, [&] {
    setting.cores = bench_cores();
    return Bench(setting).run();
  });
}
