// What `./go bench` prints of the files that benches wrote with --json: the rows of one bench, or,
// of all, the numbers that the project promised itself, in their order.
//
// Usage: bench_table FILE
//        bench_table --design [--json] [FILE...]
// Exit status 1: a file is none of a bench, or a number has no figure.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/bench_report.h"

namespace standpipe::test {
namespace {

std::vector<BenchRow> read_rows(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  try {
    return parse_rows_json(
        {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
  } catch (const std::exception& thrown) {
    throw std::runtime_error(path + ": " + thrown.what());
  }
}

int run(const std::vector<std::string>& files, bool is_design, bool is_json) {
  std::vector<BenchRow> rows;
  for (const std::string& file : files) {
    const std::vector<BenchRow> more = read_rows(file);
    rows.insert(rows.end(), more.begin(), more.end());
  }
  if (is_design) rows = design_table(rows);
  fmt::print("{}", is_json ? format_rows_json("design", rows) : format_rows(rows));
  return std::all_of(rows.begin(), rows.end(), [](const BenchRow& row) { return row.has_figure; })
             ? 0
             : 1;
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  CLI::App app("Tables of what benches have measured");
  std::vector<std::string> files;
  bool is_design = false, is_json = false;
  app.add_option("files", files, "what benches print with --json");
  app.add_flag("--design", is_design, "the numbers that the project promised itself");
  app.add_flag("--json", is_json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  try {
    return standpipe::test::run(files, is_design, is_json);
  } catch (const std::exception& thrown) {
    fmt::print(stderr, "bench_table: {}\n", thrown.what());
    return 1;
  }
}
