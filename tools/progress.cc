#include "tools/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tools/values.h"

namespace standpipe::tools {
namespace {

constexpr std::int64_t kFirstAfterMs = 1'000;
constexpr std::int64_t kLineIntervalMs = 1'000;
constexpr std::int64_t kBarIntervalMs = 100;
constexpr std::size_t kBarCells = 30;

std::string bar(double fraction) {
  std::string cells(static_cast<std::size_t>(fraction * kBarCells), '#');
  cells.resize(kBarCells, '.');
  return cells;
}

}  // namespace

Progress::Progress(Options options)
    : options_(std::move(options)),
      started_ms_(options_.clock->now_ms()),
      written_ms_(started_ms_) {}

Progress Progress::on_stderr(std::string label, bool is_quiet) {
  Options options;
  options.label = std::move(label);
  options.is_terminal = isatty(STDERR_FILENO) != 0;
  if (!is_quiet) {
    options.write = [](std::string_view text) {
      std::fwrite(text.data(), 1, text.size(), stderr);
      std::fflush(stderr);
    };
  }
  return Progress(std::move(options));
}

void Progress::update(const Done& done) {
  if (!options_.write) return;
  const std::int64_t now_ms = options_.clock->now_ms();
  const std::int64_t elapsed_ms = now_ms - started_ms_;
  const std::int64_t interval_ms = options_.is_terminal ? kBarIntervalMs : kLineIntervalMs;
  if (elapsed_ms < kFirstAfterMs || now_ms - written_ms_ < interval_ms) return;
  written_ms_ = now_ms;
  const auto per_second = [elapsed_ms](std::uint64_t count) {
    return static_cast<std::uint64_t>(static_cast<double>(count) * 1000 /
                                      static_cast<double>(elapsed_ms));
  };
  std::string text =
      done.frames
          ? fmt::format("{}: {} frames, {}, {} frames/s", options_.label, format_count(done.frames),
                        format_size(done.bytes), format_count(per_second(done.frames)))
          : fmt::format("{}: {}, {}/s", options_.label, format_size(done.bytes),
                        format_size(per_second(done.bytes)));
  const double fraction = std::min(done.fraction, 1.0);
  if (fraction >= 0) text += fmt::format(", {} %", static_cast<int>(fraction * 100));
  if (!options_.is_terminal) {
    options_.write(text + "\n");
    return;
  }
  if (fraction >= 0) text = fmt::format("[{}] {}", bar(fraction), text);
  options_.write(fmt::format("\r{}\x1b[K", text));
  has_bar_ = true;
}

void Progress::finish() {
  if (has_bar_) options_.write("\r\x1b[K");
  has_bar_ = false;
}

}  // namespace standpipe::tools
