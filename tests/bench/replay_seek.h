// Seeking and reading through the server in a small archive and in one ten times as large.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/bench_feeder.h"
#include "tests/support/bench_load.h"
#include "tests/support/bench_process.h"
#include "tests/support/bench_report.h"
#include "tests/support/simulation_wire.h"

namespace standpipe::test {

constexpr std::string_view kReplayTarget = "/xrpc/com.atproto.sync.subscribeRepos?cursor=";

// CPU of the whole server and time by the clock, of each frame or request.
struct ServerCost {
  double cpu_us = 0;
  double wall_us = 0;
};

// Of each of so many that `run` brings about.
template <typename Run>
ServerCost cost_of(pid_t server, std::size_t count, const Run& run) {
  const double cpu = process_cpu_seconds(server);
  const std::uint64_t begin = monotonic_ns();
  run();
  const double wall_us = static_cast<double>(monotonic_ns() - begin) / 1e3;
  const auto each = static_cast<double>(count);
  return {(process_cpu_seconds(server) - cpu) * 1e6 / each, wall_us / each};
}

inline Spread spread_of(const std::vector<ServerCost>& rounds, double ServerCost::*what) {
  std::vector<double> values;
  for (const ServerCost& round : rounds) values.push_back(round.*what);
  return spread_of(values);
}

constexpr std::size_t kFrameBytes = 5'600;  // of the simulator, on average

// An archive on the disk, of frames of the simulator. There are too many of them to keep: those in
// the middle are, in one piece, and some from everywhere.
class SizedArchive {
 public:
  struct Place {
    std::string target;  // this frame alone
    Bytes wire;
  };

  struct Size {
    std::uint64_t bytes;
    std::size_t range_frames;  // in one piece
    std::size_t places;        // from everywhere, at least
  };

  SizedArchive(std::filesystem::path dir, const Size& size, const BenchCores& cores,
               const std::function<void(const std::string&)>& tell)
      : dir_(std::move(dir)) {
    const std::size_t pieces = size.bytes / kFrameBytes / size.range_frames + 1;
    const PinnedHere everywhere(cores.all);  // frames are made by threads
    SimulatedWires source(20'000);
    BenchFeeder feeder;
    BenchServer mirror("mirror", dir_, {"--upstream", feeder.url()}, cores.all);
    feeder.accept();
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      BenchWire wire = source.next(size.range_frames);
      feeder.send(wire.bytes);
      bytes_ += wire.bytes.size();
      newest_ = wire.seqs.back();
      for (std::size_t i = 0; i < size.places / pieces + 1; ++i) keep_place(wire);
      if (piece == pieces / 2) range_ = std::move(wire);
      if (piece % 16 > 0) continue;
      tell(fmt::format("archiving {} of {} MB", bytes_ >> 20, size.bytes >> 20));
    }
    mirror.wait_until_durable(newest_);
    mirror.stop();
    std::shuffle(places_.begin(), places_.end(), random_);
  }

  double gigabytes() const { return static_cast<double>(bytes_) / 1e9; }
  const BenchWire& range() const { return range_; }  // in one piece

  // Of the archive as it is, with a cache too small to help.
  void serve(const std::vector<int>& cores) {
    const std::uint64_t cache = std::min<std::uint64_t>(kCacheBytes, bytes_ / 60);
    server_ = std::make_unique<BenchServer>(
        "serve", dir_,
        std::vector<std::string>{"--network-threads", "1", "--cache-bytes", std::to_string(cache)},
        cores);
  }

  // From dialling until the frame is there whole, of so many places behind the last; of each.
  ServerCost seek(std::size_t count) {
    return ask(count, [this] { read_place(places_[next_++ % places_.size()]); });
  }
  // The same without a frame: who asks for what is still to come.
  ServerCost shake_hands(std::size_t count) {
    return ask(count, [this] {
      const NetStream stream =
          subscribe_at(server_->port(), fmt::format("{}{}", kReplayTarget, newest_));
    });
  }
  // Of each frame of the range, all asked for at once by one reader.
  ServerCost read_range(const std::vector<int>& load_cores) {
    LoadOptions load;
    load.port = server_->port();
    load.places.push_back(
        {fmt::format("{}{}&until={}", kReplayTarget, range_.seqs.front() - 1, range_.seqs.back()),
         0, range_.size()});
    std::unique_ptr<BenchLoad> reader;
    return cost_of(server_->id(), range_.size(), [&] {
      reader = std::make_unique<BenchLoad>(range_, load, load_cores);
      reader->wait();
    });
  }

 private:
  static constexpr std::uint64_t kCacheBytes = 16 << 20;

  void keep_place(const BenchWire& wire) {
    // Not the first: the seq before it is of another piece.
    const std::size_t frame = 1 + random_() % (wire.size() - 1);
    const ByteView bytes = wire.frame(frame);
    places_.push_back(
        {fmt::format("{}{}&until={}", kReplayTarget, wire.seqs[frame - 1], wire.seqs[frame]),
         Bytes(bytes.begin(), bytes.end())});
  }

  void read_place(const Place& place) const {
    const NetStream stream = subscribe_at(server_->port(), place.target);
    Bytes got(place.wire.size());
    for (std::size_t at = 0; at < got.size();) {
      if (!wait_for(stream, false, deadline_from_now())) throw std::runtime_error("no frame");
      const ssize_t size = ::recv(stream.fd(), got.data() + at, got.size() - at, 0);
      if (size <= 0) throw std::runtime_error("the server leaves before the frame is whole");
      at += static_cast<std::size_t>(size);
    }
    if (got != place.wire) {
      throw std::runtime_error(fmt::format("{} is answered by another frame", place.target));
    }
  }

  template <typename Ask>
  ServerCost ask(std::size_t count, const Ask& ask_once) const {
    return cost_of(server_->id(), count, [&] {
      for (std::size_t i = 0; i < count; ++i) ask_once();
    });
  }

  const std::filesystem::path dir_;
  std::uint64_t bytes_ = 0;
  std::int64_t newest_ = 0;
  std::vector<Place> places_;
  std::size_t next_ = 0;
  BenchWire range_;
  std::mt19937_64 random_{20261128};
  std::unique_ptr<BenchServer> server_;
};

// Rows of both archives, in turns.
inline std::vector<BenchRow> bench_seek(const std::filesystem::path& dir, std::uint64_t small_bytes,
                                        std::size_t rounds, const BenchCores& cores,
                                        const std::function<void(const std::string&)>& tell) {
  constexpr std::size_t kSeeks = 200;  // of a round, in each
  const std::uint64_t room = small_bytes * 11 * 7 / 10 + (std::uint64_t{2} << 30);
  if (std::filesystem::space(dir).available < room) {
    throw std::runtime_error(
        fmt::format("{} has less than the {} MB that this needs: choose a "
                    "smaller --scale, or another TMPDIR",
                    dir.string(), room >> 20));
  }
  const std::size_t range = std::min<std::size_t>(8'000, small_bytes / kFrameBytes / 4);
  const std::size_t places = (rounds + 1) * kSeeks;
  SizedArchive small(dir / "small", {small_bytes, range, places}, cores, tell);
  SizedArchive large(dir / "large", {10 * small_bytes, range, places}, cores, tell);
  small.serve(cores.server);
  large.serve(cores.server);
  std::vector<ServerCost> seek_small, seek_large, read_small, read_large, hands;
  for (std::size_t round = 0; round <= rounds; ++round) {
    const ServerCost costs[] = {small.seek(kSeeks), large.seek(kSeeks),
                                small.read_range(cores.load), large.read_range(cores.load),
                                large.shake_hands(kSeeks)};
    if (round == 0) continue;  // it opens the tables
    tell(fmt::format("seek, round {} of {}", round, rounds));
    seek_small.push_back(costs[0]);
    seek_large.push_back(costs[1]);
    read_small.push_back(costs[2]);
    read_large.push_back(costs[3]);
    hands.push_back(costs[4]);
  }
  const auto compare = [](const std::vector<ServerCost>& a, const std::vector<ServerCost>& b,
                          double ServerCost::*what) {
    return std::pair(spread_of(a, what), spread_of(b, what));
  };
  const auto [cpu_large, cpu_small] = compare(seek_large, seek_small, &ServerCost::cpu_us);
  const auto [wall_large, wall_small] = compare(seek_large, seek_small, &ServerCost::wall_us);
  const auto [one_large, one_small] = compare(read_large, read_small, &ServerCost::cpu_us);
  const std::string at = fmt::format("at {:.3g} GB", large.gigabytes());
  const std::string against = fmt::format("at {:.3g} GB", small.gigabytes());
  return {
      bench_row("request to first frame " + at, against, wall_large.middle / wall_small.middle, "x",
                fmt::format("{} against {} by the clock, at random places",
                            to_string_us(wall_large), to_string_us(wall_small)),
                1.3),
      bench_row(
          "CPU of such a request " + at, against, cpu_large.middle / cpu_small.middle, "x",
          fmt::format("{} against {}; of it the handshake {}", to_string_us(cpu_large),
                      to_string_us(cpu_small), to_string_us(spread_of(hands, &ServerCost::cpu_us))),
          1.3),
      bench_row(fmt::format("one reader of {} frames {}", large.range().size(), at), against,
                one_large.middle / one_small.middle, "x",
                fmt::format("{} against {} of CPU a frame", to_string_us(one_large),
                            to_string_us(one_small)))};
}

}  // namespace standpipe::test
