// What `./go bench` ends with: the promised numbers, their figures, and what has none.
#include "tests/support/bench_report.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace standpipe::test {
namespace {

BenchRow beast_row(double figure) {
  return as_design("1", bench_row("1000 subscribers, coalesced", "Beast", figure, "x less",
                                  "1 us against 7 us", {}, 6));
}

std::vector<std::string> numbers_of(const std::vector<BenchRow>& rows) {
  std::vector<std::string> numbers;
  for (const BenchRow& row : rows) numbers.push_back(row.number);
  return numbers;
}

TEST(BenchReport, DesignTableHasEachPromiseInItsOrderWhateverWasMeasured) {
  const std::vector<std::string> numbers = {"1", "2",  "3",       "4",          "4 split",
                                            "5", "6",  "7",       "7 rate",     "8",
                                            "9", "10", "11 idle", "11 stalled", "12"};
  EXPECT_EQ(numbers_of(design_table({})), numbers);
  BenchRow last = as_design("12", bench_row("seek at 10 GB", "at 1 GB", 1.5, "x", "", 1.3));
  const BenchRow other = bench_row("of no promise", "-", 7, "us", "");
  const std::vector<BenchRow> table = design_table({last, other, beast_row(6.5)});
  EXPECT_EQ(numbers_of(table), numbers);
  EXPECT_EQ(table.front().verdict(), "met");
  EXPECT_EQ(table.front().path, "1000 subscribers, coalesced");
  EXPECT_EQ(table.back().verdict(), "missed");
  EXPECT_EQ(table[1].verdict(), "no figure");
  EXPECT_EQ(table[1].target(), "<= 1.15");
}

TEST(BenchReport, DesignTableRefusesASofterTargetASecondFigureAndAnUnknownNumber) {
  BenchRow softer = beast_row(5);
  softer.at_least = 5;
  EXPECT_THROW(design_table({softer}), std::runtime_error);
  EXPECT_THROW(design_table({beast_row(6), beast_row(7)}), std::runtime_error);
  EXPECT_THROW(design_table({as_design("13", bench_row("", "", 1, "x", ""))}), std::runtime_error);
}

TEST(BenchReport, RowsComeBackFromJsonAsTheyWere) {
  const std::vector<BenchRow> written = {
      beast_row(5.5), bench_row("stalled", "-", 273.25, "KB", "of \"both\" ends", 256),
      bench_row("for the record", "-", 1, "us", ""), design_rows()[7]};
  const std::vector<BenchRow> read = parse_rows_json(format_rows_json("any_bench", written));
  EXPECT_EQ(format_rows(read), format_rows(written));
  EXPECT_EQ(numbers_of(read), (std::vector<std::string>{"1", "", "", "7"}));
  EXPECT_EQ(read[0].verdict(), "missed");
  EXPECT_EQ(read[3].verdict(), "no figure");
}

TEST(BenchReport, WhatIsNotOfABenchIsRefused) {
  for (const char* text :
       {"", "{}", "[]", "{\"rows\": [{}]}", "{\"rows\": [", "bench: no figures"}) {
    EXPECT_THROW(parse_rows_json(text), std::runtime_error) << text;
  }
}

}  // namespace
}  // namespace standpipe::test
