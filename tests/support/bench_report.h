// What a bench prints: figures next to the numbers that the project promised itself.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace standpipe::test {

// CPU first, as waiting and other jobs on the machine do not count in it.
struct Cost {
  double cpu_seconds = 0;  // user and system, all threads of the process
  double wall_seconds = 0;
};

// Runs from its construction.
class Stopwatch {
 public:
  Stopwatch();
  Cost elapsed() const;

 private:
  Cost start_;
};

double median(std::vector<double> values);  // of at least one

struct BenchRow {
  std::string path;     // what was done
  std::string against;  // the denominator, measured in the same run
  double figure = 0;
  std::string unit;                         // "x" for a ratio
  std::optional<double> at_most, at_least;  // the target; none: a figure for the record
  std::string detail;                       // the absolute figures behind it
  std::string number = {};                  // in design_rows(); empty: none of them
  bool has_figure = true;                   // false: it was to be measured, and was not
  std::string verdict() const;              // "met", "missed", "-", "no figure"
  std::string target() const;               // "<= 1.3", "-"
};

BenchRow bench_row(std::string path, std::string against, double figure, std::string unit,
                   std::string detail, std::optional<double> at_most = {},
                   std::optional<double> at_least = {});

// The same row as the figure of that row of design_rows(), of which there must be one.
BenchRow as_design(std::string number, BenchRow row);

// Of several rounds of the same.
struct Spread {
  double middle = 0;  // the median
  double least = 0;
  double most = 0;
};
Spread spread_of(const std::vector<double>& values);  // of at least one
std::string to_string_us(const Spread& spread);       // "1.21 us (min 1.14, max 1.99)"

// A table for people, or one JSON object for machines.
std::string format_rows(const std::vector<BenchRow>& rows);
std::string format_rows_json(const std::string& name, const std::vector<BenchRow>& rows);

// The numbers that the project promised itself, in their order: what ./go bench ends with. Rows
// without a figure.
const std::vector<BenchRow>& design_rows();
// The same with the figures of those of `measured` that are marked as one of them, and with their
// paths. Throws std::runtime_error where two are marked as the same, or with another target than it
// has: a promise is not changed in a bench.
std::vector<BenchRow> design_table(const std::vector<BenchRow>& measured);
// What format_rows_json() has written; throws std::runtime_error for anything else.
std::vector<BenchRow> parse_rows_json(const std::string& text);

// Prints what `run` returns, or why there are no figures. The exit status.
int report_bench(const std::string& name, bool is_json,
                 const std::function<std::vector<BenchRow>()>& run);

// "ingest: 412 of 1024 MB" on stderr, at most once a second.
class BenchProgress {
 public:
  explicit BenchProgress(std::string what) : what_(std::move(what)) {}
  void tell(std::uint64_t done, std::uint64_t total, const char* unit);

 private:
  std::string what_;
  std::int64_t told_ms_ = 0;
};

}  // namespace standpipe::test
