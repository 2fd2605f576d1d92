// Replay from disk by the real server, against what any server of compressed frames has to do:
// decompress them and send them.
//
// Server, denominator and subscribers are processes of their own, pinned; what counts is the CPU
// time of the whole server, per delivered frame. Each subscriber compares every byte with what was
// archived: one that differs, and there are no figures.
//
// Usage: replay_bench [--scale X] [--only PART] [--cache-bytes N] [--read-threads N] [--json]
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/bench/replay_seek.h"
#include "tests/support/bench_feeder.h"
#include "tests/support/bench_load.h"
#include "tests/support/bench_process.h"
#include "tests/support/bench_report.h"
#include "tests/support/bench_unpacker.h"
#include "tests/support/simulation_wire.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;

constexpr double kSmallBytes = 1e9;      // of the smaller of two archives
constexpr std::size_t kFrames = 60'000;  // 340 MB: more than the server's cache
constexpr std::size_t kTogether = 10;
constexpr std::size_t kPlaces = 100;
constexpr std::size_t kFramesOfPlace = 400;
constexpr std::size_t kGroupFrames = 64;
constexpr std::size_t kGroupBytes = 256 << 10;
const std::vector<std::string> kParts = {"readers", "seek"};

struct Setting {
  double scale = 1;
  std::string part;  // one of kParts; empty: both
  std::uint64_t cache_bytes =
      0;  // of the readers' server; 0: a third of the frames, 128 MiB at most
  std::size_t read_threads = 2;  // likewise; the default of the program
  bool is_json = false;
  BenchCores cores;
};

class Bench {
 public:
  explicit Bench(Setting setting)
      : setting_(std::move(setting)),
        pinned_(setting_.cores.load),
        archive_(dir_ / "archive"),
        rounds_(setting_.scale < 0.5 ? 3 : 5) {}

  std::vector<BenchRow> run() {
    if (runs("readers")) bench_readers();
    if (runs("seek")) {
      const auto small_bytes = static_cast<std::uint64_t>(setting_.scale * kSmallBytes);
      for (BenchRow& row : bench_seek(dir_.path(), small_bytes, rounds_, setting_.cores,
                                      [this](const std::string& what) { tell(what); })) {
        rows_.push_back(std::move(row));
      }
    }
    return std::move(rows_);
  }

 private:
  bool runs(std::string_view part) const { return setting_.part.empty() || setting_.part == part; }
  void tell(const std::string& what) const { fmt::print(stderr, "replay: {}\n", what); }

  void bench_readers();
  void make_archive();
  std::unique_ptr<BenchServer> serve() const;
  // From before the first asks until the last has all that it wants.
  ServerCost take(pid_t server, const LoadOptions& load, std::size_t delivered) const;
  ServerCost take_all(pid_t server, std::uint16_t port, std::size_t subscribers) const;
  ServerCost take_places(const BenchServer& server);
  ServerCost take_spread(const BenchServer& server, std::size_t readers) const;
  ServerCost take_cold();
  void forget_pages() const;
  template <typename... Row>
  void add_row(const char* number, Row&&... row) {
    rows_.push_back(as_design(number, bench_row(std::forward<Row>(row)...)));
  }

  const Setting setting_;
  const PinnedHere pinned_;
  TempDir dir_;  // on the disk
  const fs::path archive_;
  const std::size_t rounds_;
  BenchWire feed_;
  PackedWire packed_;
  std::mt19937_64 random_{20261124};
  std::vector<BenchRow> rows_;
};

void Bench::make_archive() {
  tell("making frames");
  const PinnedHere everywhere(setting_.cores.all);  // frames are made by threads
  const auto frames = static_cast<std::size_t>(setting_.scale * kFrames);
  feed_ = simulated_wire(std::max<std::size_t>(frames, 2'000), 20'000);
  packed_ = pack_wire(feed_, kGroupFrames, kGroupBytes);
  tell(fmt::format("archiving {} frames, {} MB", feed_.size(), feed_.bytes.size() >> 20));
  BenchFeeder feeder;
  BenchServer mirror("mirror", archive_, {"--upstream", feeder.url()}, setting_.cores.all);
  feeder.accept();
  feeder.send(feed_.bytes);
  mirror.wait_until_durable(feed_.seqs.back());
  mirror.stop();
}

std::unique_ptr<BenchServer> Bench::serve() const {
  // A third of the frames at most: what is measured is read from the archive.
  const std::uint64_t cache = setting_.cache_bytes > 0
                                  ? setting_.cache_bytes
                                  : std::min<std::uint64_t>(128 << 20, feed_.bytes.size() / 3);
  return std::make_unique<BenchServer>(
      "serve", archive_,
      std::vector<std::string>{"--network-threads", "1", "--cache-bytes", std::to_string(cache),
                               "--read-threads", std::to_string(setting_.read_threads)},
      setting_.cores.server);
}

ServerCost Bench::take(pid_t server, const LoadOptions& load, std::size_t delivered) const {
  std::unique_ptr<BenchLoad> readers;
  return cost_of(server, delivered, [&] {
    readers = std::make_unique<BenchLoad>(feed_, load, setting_.cores.load);
    readers->wait();
  });
}

ServerCost Bench::take_all(pid_t server, std::uint16_t port, std::size_t subscribers) const {
  LoadOptions load;
  load.port = port;
  load.subscribers = subscribers;
  load.target = fmt::format("{}0", kReplayTarget);
  load.expected = feed_.size();
  return take(server, load, feed_.size() * subscribers);
}

// Each at a place of its own, some hundred frames from there.
ServerCost Bench::take_places(const BenchServer& server) {
  LoadOptions load;
  load.port = server.port();
  for (std::size_t i = 0; i < kPlaces; ++i) {
    const std::size_t first = 1 + random_() % (feed_.size() - kFramesOfPlace - 1);
    load.places.push_back({fmt::format("{}{}&until={}", kReplayTarget, feed_.seqs[first - 1],
                                       feed_.seqs[first + kFramesOfPlace - 1]),
                           first, kFramesOfPlace});
  }
  return take(server.id(), load, kPlaces * kFramesOfPlace);
}

// All at once, each a tenth of the archive, from places that are as far from each other as can be.
ServerCost Bench::take_spread(const BenchServer& server, std::size_t readers) const {
  const std::size_t frames = feed_.size() / 10;
  LoadOptions load;
  load.port = server.port();
  for (std::size_t i = 0; i < readers; ++i) {
    const std::size_t first = 1 + i * (feed_.size() - frames - 1) / readers;
    load.places.push_back({fmt::format("{}{}&until={}", kReplayTarget, feed_.seqs[first - 1],
                                       feed_.seqs[first + frames - 1]),
                           first, frames});
  }
  return take(server.id(), load, readers * frames);
}

// The system keeps no page of the archive, and the server is a new one.
ServerCost Bench::take_cold() {
  forget_pages();
  const auto server = serve();
  const ServerCost taken = take_all(server->id(), server->port(), 1);
  server->stop();
  return taken;
}

void Bench::forget_pages() const {
  for (const auto& entry : fs::recursive_directory_iterator(archive_)) {
    if (!entry.is_regular_file()) continue;
    const FileDescriptor file(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) continue;
    ::fsync(file.get());  // what is not written yet cannot be forgotten
    ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

void Bench::bench_readers() {
  make_archive();
  const auto server = serve();
  const BenchUnpacker unpacker(packed_, setting_.cores.server);
  std::vector<ServerCost> one, together, places, cold, unpacked, ten, hundred;
  take_all(server->id(), server->port(), 1);  // opens the tables
  for (std::size_t round = 1; round <= rounds_; ++round) {
    tell(fmt::format("round {} of {}", round, rounds_));
    one.push_back(take_all(server->id(), server->port(), 1));
    unpacked.push_back(take_all(unpacker.id(), unpacker.port(), 1));
    together.push_back(take_all(server->id(), server->port(), kTogether));
    ten.push_back(take_spread(*server, 10));
    hundred.push_back(take_spread(*server, 100));
    places.push_back(take_places(*server));
    cold.push_back(take_cold());
  }
  const Spread one_us = spread_of(one, &ServerCost::cpu_us);
  const Spread unpacked_us = spread_of(unpacked, &ServerCost::cpu_us);
  const Spread together_us = spread_of(together, &ServerCost::cpu_us);
  const Spread places_us = spread_of(places, &ServerCost::cpu_us);
  const Spread cold_us = spread_of(cold, &ServerCost::cpu_us);
  const Spread cold_wall = spread_of(cold, &ServerCost::wall_us);
  const Spread one_wall = spread_of(one, &ServerCost::wall_us);
  const double megabytes = static_cast<double>(feed_.bytes.size()) / 1e6;
  const auto rate = [&](const Spread& wall_us) {
    return megabytes * 1e6 / (wall_us.middle * static_cast<double>(feed_.size()));
  };
  add_row("5", "replay from disk, one reader", "zstd decompress + raw send, in memory, serial",
          unpacked_us.middle / one_us.middle, "x",
          fmt::format("{} against {} a frame; {:.0f} MB/s", to_string_us(one_us),
                      to_string_us(unpacked_us), rate(one_wall)),
          std::nullopt, 0.8);
  add_row("6", "ten replays of one range together", "ten apart", together_us.middle / one_us.middle,
          "x",
          fmt::format("{} against {} a delivered frame", to_string_us(together_us),
                      to_string_us(one_us)),
          0.5);
  for (const auto& [readers, rounds] : {std::pair(10, &ten), std::pair(100, &hundred)}) {
    const Spread us = spread_of(*rounds, &ServerCost::cpu_us);
    const Spread wall = spread_of(*rounds, &ServerCost::wall_us);
    add_row("", fmt::format("{} replays spread over the archive", readers), "one reader",
            us.middle / one_us.middle, "x",
            fmt::format("{} a delivered frame, {:.0f} MB/s in all", to_string_us(us), rate(wall)));
  }
  add_row("", fmt::format("{} replays of {} frames at random places", kPlaces, kFramesOfPlace),
          "one reader", places_us.middle / one_us.middle, "x",
          fmt::format("{} against {} a delivered frame, handshakes included",
                      to_string_us(places_us), to_string_us(one_us)));
  add_row("", "one reader, nothing in the system's cache", "the same with all of it there",
          cold_us.middle / one_us.middle, "x",
          fmt::format("{} against {} a frame; {:.0f} against {:.0f} MB/s", to_string_us(cold_us),
                      to_string_us(one_us), rate(cold_wall), rate(one_wall)));
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  using namespace standpipe::test;
  CLI::App app("Replay from disk against decompression and a raw send");
  Setting setting;
  app.add_option("--scale", setting.scale,
                 "size of the archives, in parts of 340 MB; for seeks of 1 GB and of 10 GB")
      ->check(CLI::Range(0.05, 30.0));
  app.add_option("--cache-bytes", setting.cache_bytes,
                 "the server's, for readers (default: a third of the frames, 128 MiB at most)")
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 40));
  app.add_option("--read-threads", setting.read_threads, "the server's, for readers (default 2)")
      ->check(CLI::Range(std::size_t{1}, std::size_t{64}));
  app.add_option("--only", setting.part, "one part of the bench")->check(CLI::IsMember(kParts));
  app.add_flag("--json", setting.is_json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return report_bench("replay_bench", setting.is_json, [&] {
    setting.cores = bench_cores();
    return Bench(setting).run();
  });
}
