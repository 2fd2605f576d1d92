// The simulated network: frames a second, what one costs beside its signature, what it costs not to
// make it, and whether memory follows the accounts.
//
// Usage: sim_bench [--scale X] [--json]

#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "schema/crypto.h"
#include "schema/hash.h"
#include "storage/frame_file.h"
#include "tests/support/bench_report.h"
#include "tests/support/temp_dir.h"
#include "tools/sim/network.h"
#include "tools/sim/persona.h"
#include "tools/sim/report.h"

namespace standpipe::test {
namespace {

using tools::sim::Network;
using tools::sim::NetworkOptions;

constexpr std::uint64_t kSignatures = 20'000;

struct Made {
  Cost cost;
  std::uint64_t frames = 0;
  std::uint64_t accounts = 0;
  double us_each() const { return cost.cpu_seconds * 1e6 / static_cast<double>(frames); }
  double per_second() const { return static_cast<double>(frames) / cost.wall_seconds; }
};

using Take = std::function<void(ByteView frame)>;

Made make(Network& network, std::uint64_t frames, const Take& take) {
  const Stopwatch stopwatch;
  Made made;
  while (made.frames < frames) {
    const auto frame = network.next();
    if (!frame) break;
    take(frame->bytes);
    ++made.frames;
  }
  made.cost = stopwatch.elapsed();
  made.accounts = network.accounts();
  return made;
}

double signature_us() {
  const PrivateKey key = tools::sim::make_signing_key(1, 0);
  Sha256Digest digest{};
  const Stopwatch stopwatch;
  for (std::uint64_t i = 0; i < kSignatures; ++i) {
    const Signature signature = key.sign(digest);
    std::copy_n(signature.begin(), digest.size(), digest.begin());
  }
  return stopwatch.elapsed().cpu_seconds * 1e6 / kSignatures;
}

double heap_bytes() {
  const struct mallinfo2 heap = mallinfo2();
  return static_cast<double>(heap.uordblks + heap.hblkhd);
}

// As `simulate --output` does it, with the pool of keys made before.
void bench_file(std::uint64_t frames, double sign_us, std::vector<BenchRow>& rows) {
  NetworkOptions options;
  options.frames = frames;
  options.threads = 2;
  const TempDir dir{TempDir::Where::memory};
  {
    auto network = Network::create(options).value();
    const Made made = make(*network, frames, [](ByteView) {});
    rows.push_back(bench_row(
        "a frame of 100,000 accounts", "its signature alone", made.us_each() / sign_us, "x",
        fmt::format("{:.1f} us of CPU against {:.1f} us; {:.0f} frames/s, {} accounts "
                    "came",
                    made.us_each(), sign_us, made.per_second(), made.accounts)));
  }
  auto network = Network::create(options).value();
  auto writer = storage::FrameFileWriter::create(dir / "frames", 1).value();
  tools::sim::Report report;
  const Made made = make(*network, frames, [&](ByteView frame) {
    const bool is_written = writer.write(frame).has_value() && report.take(frame).has_value();
    if (!is_written) throw std::runtime_error("cannot write frames");
  });
  BenchRow speed =
      bench_row("frames into a file, by two cores", "-", 2e6 / made.us_each(), "/s",
                fmt::format("{:.1f} us of CPU each; {:.0f} frames/s beside what else runs",
                            made.us_each(), made.per_second()));
  speed.at_least = 10'000;
  rows.push_back(std::move(speed));
}

// Accounts that all have come: what a live network costs, and what passing over it does.
void bench_live(std::uint64_t frames, double sign_us, std::vector<BenchRow>& rows) {
  NetworkOptions options;
  options.accounts = 1'000;
  options.threads = 2;
  const double before = heap_bytes();
  auto network = Network::create(options).value();
  make(*network, frames, [](ByteView) {});
  const double once = heap_bytes() - before;
  const Made made = make(*network, frames, [](ByteView) {});
  const double twice = heap_bytes() - before;
  rows.push_back(bench_row(
      "a frame of 1,000 accounts, all known", "its signature alone", made.us_each() / sign_us, "x",
      fmt::format("{:.1f} us of CPU; {:.0f} frames/s", made.us_each(), made.per_second())));
  BenchRow memory = bench_row("memory after twice the frames", "after them once", twice / once, "x",
                              fmt::format("{:.1f} MB against {:.1f} MB", twice / 1e6, once / 1e6));
  memory.at_most = 1.2;
  rows.push_back(std::move(memory));
  network.reset();
  options.after = Seq{static_cast<std::int64_t>(2 * frames)};
  const Stopwatch stopwatch;
  auto passing = Network::create(options).value();
  while (passing->pass_over()) {
  }
  const Cost cost = stopwatch.elapsed();
  const double us_each = cost.cpu_seconds * 1e6 / static_cast<double>(2 * frames);
  rows.push_back(bench_row("a frame that is passed over", "one that is made",
                           us_each / made.us_each(), "x",
                           fmt::format("{:.1f} us of CPU; {:.0f} frames/s", us_each,
                                       static_cast<double>(2 * frames) / cost.wall_seconds)));
}

int run(double scale, bool is_json) {
  const auto frames = std::max<std::uint64_t>(2'000, static_cast<std::uint64_t>(60'000 * scale));
  std::vector<BenchRow> rows;
  const double sign_us = signature_us();
  bench_file(frames, sign_us, rows);
  bench_live(frames, sign_us, rows);
  fmt::print("{}", is_json ? format_rows_json("sim_bench", rows) : format_rows(rows));
  return 0;
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  CLI::App app("The simulated network against the numbers it has to reach");
  double scale = 1;
  bool is_json = false;
  app.add_option("--scale", scale, "1: 60,000 frames at a time")->check(CLI::Range(0.01, 100.0));
  app.add_flag("--json", is_json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return standpipe::test::run(scale, is_json);
}
