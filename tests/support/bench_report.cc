#include "tests/support/bench_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "schema/base/assert.h"

namespace standpipe::test {
namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

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
  if (!has_figure) return "no figure";
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

BenchRow as_design(std::string number, BenchRow row) {
  row.number = std::move(number);
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
  std::string out = fmt::format("{:<34} {:<38} {:>9} {:>12} {:<9} {}\n", "path", "against",
                                "target", "figure", "verdict", "behind it");
  for (const BenchRow& row : rows) {
    out += fmt::format("{:<34} {:<38} {:>9} {:>12} {:<9} {}\n", row.path, row.against, row.target(),
                       row.has_figure ? fmt::format("{:.4g} {}", row.figure, row.unit) : "-",
                       row.verdict(), row.detail);
  }
  return out;
}

std::string format_rows_json(const std::string& name, const std::vector<BenchRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const BenchRow& row : rows) {
    list.push_back({{"path", row.path},
                    {"against", row.against},
                    {"number", row.number},
                    {"figure", row.has_figure ? nlohmann::json(row.figure) : nlohmann::json()},
                    {"unit", row.unit},
                    {"target", row.target()},
                    {"verdict", row.verdict()},
                    {"detail", row.detail}});
  }
  return nlohmann::json{{"bench", name}, {"rows", list}}.dump(2) + "\n";
}

const std::vector<BenchRow>& design_rows() {
  static const std::vector<BenchRow> rows = [] {
    std::vector<BenchRow> made;
    const auto add = [&](const char* number, const char* path, const char* against,
                         std::optional<double> at_most, std::optional<double> at_least) {
      BenchRow row = bench_row(path, against, 0, "", "", at_most, at_least);
      row.has_figure = false;
      made.push_back(as_design(number, std::move(row)));
    };
    const auto at_most = [&](const char* number, const char* path, const char* against, double x) {
      add(number, path, against, x, std::nullopt);
    };
    const auto at_least = [&](const char* number, const char* path, const char* against, double x) {
      add(number, path, against, std::nullopt, x);
    };
    at_least("1", "live fan-out to 1,000", "Beast async_write per message", 6);
    at_most("2", "the same", "raw send of the same slices", 1.15);
    at_most("3", "a frame at 1,000 subscribers", "at 10", 1.2);
    at_most("4", "two network threads", "one", 1.15);
    at_most("4 split", "the busier of them", "the other", 1.1);
    at_least("5", "replay from disk, one reader", "zstd decompress + raw send", 0.8);
    at_most("6", "ten replays together", "ten apart", 0.5);
    at_least("7", "synced ingest, groups of 64", "the same unsynced", 0.5);
    at_least("7 rate", "synced ingest, groups of 64", "", 40'000);
    at_most("8", "stored bytes, codec 0", "raw bytes", 0.66);
    at_most("9", "write amplification", "raw bytes", 1.7);
    at_most("10", "envelope scan", "memcpy of the frame", 3);
    at_most("11 idle", "memory of an idle subscriber", "-", 16);
    at_most("11 stalled", "memory of a stalled subscriber", "-", 256);
    at_most("12", "seek at 10 GB", "at 1 GB", 1.3);
    return made;
  }();
  return rows;
}

std::vector<BenchRow> design_table(const std::vector<BenchRow>& measured) {
  std::vector<BenchRow> table = design_rows();
  for (const BenchRow& row : measured) {
    if (row.number.empty()) continue;
    const auto promised = std::find_if(table.begin(), table.end(), [&](const BenchRow& other) {
      return other.number == row.number;
    });
    if (promised == table.end()) fail(fmt::format("there is no row {} in the design", row.number));
    if (promised->has_figure) fail(fmt::format("two figures for row {}", row.number));
    if (promised->target() != row.target()) {
      fail(fmt::format("the target of row {} is {}, and not {}", row.number, promised->target(),
                       row.target()));
    }
    *promised = row;
  }
  return table;
}

std::vector<BenchRow> parse_rows_json(const std::string& text) {
  std::vector<BenchRow> rows;
  try {
    const auto bench = nlohmann::json::parse(text);
    for (const auto& one : bench.at("rows")) {
      BenchRow row;
      row.path = one.at("path");
      row.against = one.at("against");
      row.unit = one.at("unit");
      row.detail = one.at("detail");
      row.number = one.at("number");
      row.has_figure = !one.at("figure").is_null();
      if (row.has_figure) row.figure = one.at("figure");
      const std::string target = one.at("target");
      if (target.starts_with("<= ")) row.at_most = std::stod(target.substr(3));
      if (target.starts_with(">= ")) row.at_least = std::stod(target.substr(3));
      rows.push_back(std::move(row));
    }
  } catch (const std::exception& thrown) {
    fail(fmt::format("not the rows of a bench: {}", thrown.what()));
  }
  return rows;
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
