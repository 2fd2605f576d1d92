#include "tests/support/bench_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>

#include "schema/base/assert.h"

namespace standpipe::test {
namespace {

double to_seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double wall_now_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

Cost spent_so_far() {
  rusage usage{};
  STANDPIPE_ASSERT(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage of oneself cannot fail");
  return {to_seconds(usage.ru_utime) + to_seconds(usage.ru_stime), wall_now_seconds()};
}

}  // namespace

Stopwatch::Stopwatch() : start_(spent_so_far()) {}

Cost Stopwatch::elapsed() const {
  const Cost now = spent_so_far();
  return {now.cpu_seconds - start_.cpu_seconds, now.wall_seconds - start_.wall_seconds};
}

double median(std::vector<double> values) {
  STANDPIPE_ASSERT(!values.empty(), "the median of nothing");
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

std::string BenchRow::target() const {
  if (at_most) return fmt::format("<= {:g}", *at_most);
  if (at_least) return fmt::format(">= {:g}", *at_least);
  return "-";
}

std::string BenchRow::verdict() const {
  if (at_most) return figure <= *at_most ? "met" : "missed";
  if (at_least) return figure >= *at_least ? "met" : "missed";
  return "-";
}

BenchRow bench_row(std::string path, std::string against, double figure, std::string unit,
                   std::string detail, std::optional<double> at_most,
                   std::optional<double> at_least) {
  BenchRow row;
  row.path = std::move(path);
  row.against = std::move(against);
  row.figure = figure;
  row.unit = std::move(unit);
  row.detail = std::move(detail);
  row.at_most = at_most;
  row.at_least = at_least;
  return row;
}

Spread spread_of(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return {median(values), *least, *most};
}

std::string to_string_us(const Spread& spread) {
  return fmt::format("{:.2f} us (min {:.2f}, max {:.2f})", spread.middle, spread.least,
                     spread.most);
}

std::string format_rows(const std::vector<BenchRow>& rows) {
  std::string out = fmt::format("{:<34} {:<38} {:>9} {:>12} {:<7} {}\n", "path", "against",
                                "target", "figure", "verdict", "behind it");
  for (const BenchRow& row : rows) {
    out += fmt::format("{:<34} {:<38} {:>9} {:>12} {:<7} {}\n", row.path, row.against, row.target(),
                       fmt::format("{:.4g} {}", row.figure, row.unit), row.verdict(), row.detail);
  }
  return out;
}

std::string format_rows_json(const std::string& name, const std::vector<BenchRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const BenchRow& row : rows) {
    list.push_back({{"path", row.path},
                    {"against", row.against},
                    {"figure", row.figure},
                    {"unit", row.unit},
                    {"target", row.target()},
                    {"verdict", row.verdict()},
                    {"detail", row.detail}});
  }
  return nlohmann::json{{"bench", name}, {"rows", list}}.dump(2) + "\n";
}

int report_bench(const std::string& name, bool is_json,
                 const std::function<std::vector<BenchRow>()>& run) {
  try {
    const std::vector<BenchRow> rows = run();
    fmt::print("{}", is_json ? format_rows_json(name, rows) : format_rows(rows));
    return 0;
  } catch (const std::exception& thrown) {
    fmt::print(stderr, "{}: no figures: {}\n", name, thrown.what());
    return 1;
  }
}

void BenchProgress::tell(std::uint64_t done, std::uint64_t total, const char* unit) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  if (now_ms - told_ms_ < 1000) return;
  told_ms_ = now_ms;
  fmt::print(stderr, "{}: {} of {} {}\n", what_, done, total, unit);
}

}  // namespace standpipe::test
