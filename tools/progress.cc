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

std::string bar(std::uint64_t done, std::uint64_t total) {
  const auto full =
      static_cast<std::size_t>(static_cast<double>(done) / static_cast<double>(total) * kBarCells);
  std::string cells(std::min(full, kBarCells), '#');
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

void Progress::update(std::uint64_t done, std::uint64_t total, std::uint64_t frames) {
  if (!options_.write) return;
  const std::int64_t now_ms = options_.clock->now_ms();
  const std::int64_t elapsed_ms = now_ms - started_ms_;
  const std::int64_t interval_ms = options_.is_terminal ? kBarIntervalMs : kLineIntervalMs;
  if (elapsed_ms < kFirstAfterMs || now_ms - written_ms_ < interval_ms) return;
  written_ms_ = now_ms;
  std::string text =
      fmt::format("{}: {} frames, {}", options_.label, format_count(frames), format_size(done));
  if (total > 0) {
    const std::uint64_t percent = std::min<std::uint64_t>(
        100,
        static_cast<std::uint64_t>(static_cast<double>(done) * 100 / static_cast<double>(total)));
    text += fmt::format(" of {} ({} %)", format_size(total), percent);
  }
  text += fmt::format(", {} frames/s",
                      format_count(frames * 1000 / static_cast<std::uint64_t>(elapsed_ms)));
  if (!options_.is_terminal) {
    options_.write(text + "\n");
    return;
  }
  if (total > 0) text = fmt::format("[{}] {}", bar(done, total), text);
  options_.write(fmt::format("\r{}\x1b[K", text));
  has_bar_ = true;
}

void Progress::finish() {
  if (has_bar_) options_.write("\r\x1b[K");
  has_bar_ = false;
}

}  // namespace standpipe::tools
