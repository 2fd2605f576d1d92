// What a cursor means, case by case.
#include "replay/cursor.h"

#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace standpipe::replay {

std::ostream& operator<<(std::ostream& out, const CursorStart& start) {
  static constexpr const char* kNames[] = {"live", "replay", "outdated", "wait", "future"};
  return out << kNames[static_cast<std::size_t>(start.verdict)] << " after " << to_int(start.after);
}

namespace {

using enum CursorVerdict;
constexpr std::int64_t kLargest = 9'007'199'254'740'991;  // 2^53 - 1

// Frames 101 to 200 are left; retention took up to 100.
constexpr CursorWindow kWindow{Seq{100}, Seq{200}, false};
constexpr CursorWindow kCatchingUp{Seq{100}, Seq{200}, true};
// Never a frame.
constexpr CursorWindow kEmpty{Seq{0}, kSeqNone, false};
// Never a frame, and the first one wanted is 101.
constexpr CursorWindow kEmptyFrom100{Seq{100}, kSeqNone, false};
// Retention took everything.
constexpr CursorWindow kNothingLeft{Seq{200}, Seq{200}, false};

struct Row {
  std::optional<std::int64_t> cursor;
  CursorWindow window;
  CursorStart expected;
};

void expect(CursorMode mode, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    EXPECT_EQ(judge_cursor(row.cursor, mode, row.window), row.expected)
        << "cursor " << (row.cursor ? std::to_string(*row.cursor) : "none") << ", floor "
        << to_int(row.window.window_floor) << ", newest " << to_int(row.window.newest);
  }
}

TEST(Cursor, Exclusive) {
  expect(CursorMode::exclusive,
         {
             {std::nullopt, kWindow, {live, Seq{200}}},
             {0, kWindow, {replay, Seq{100}}},  // the oldest, without #info
             {1, kWindow, {outdated, Seq{100}}},
             {99, kWindow, {outdated, Seq{100}}},
             {100, kWindow, {replay, Seq{100}}},  // the floor itself has missed nothing
             {101, kWindow, {replay, Seq{101}}},
             {199, kWindow, {replay, Seq{199}}},
             {200, kWindow, {live, Seq{200}}},
             {201, kWindow, {future, Seq{201}}},
             {kLargest, kWindow, {future, Seq{kLargest}}},
         });
}

TEST(Cursor, InclusiveNIsJudgedAsOneLess) {
  expect(CursorMode::inclusive,
         {
             {std::nullopt, kWindow, {live, Seq{200}}},
             {0, kWindow, {replay, Seq{100}}},
             {1, kWindow, {replay, Seq{100}}},  // as 0
             {2, kWindow, {outdated, Seq{100}}},
             {100, kWindow, {outdated, Seq{100}}},  // it wants 100, which is gone
             {101, kWindow, {replay, Seq{100}}},
             {200, kWindow, {replay, Seq{199}}},
             {201, kWindow, {live, Seq{200}}},
             {202, kWindow, {future, Seq{201}}},
             {kLargest, kWindow, {future, Seq{kLargest - 1}}},
         });
}

TEST(Cursor, WhatIsAboveNewestWaitsWhileTheStreamCatchesUp) {
  expect(CursorMode::exclusive, {
                                    {200, kCatchingUp, {live, Seq{200}}},
                                    {201, kCatchingUp, {wait, Seq{201}}},
                                    {99, kCatchingUp, {outdated, Seq{100}}},
                                    {std::nullopt, kCatchingUp, {live, Seq{200}}},
                                });
  expect(CursorMode::inclusive, {{202, kCatchingUp, {wait, Seq{201}}}});
}

TEST(Cursor, InAnEmptyEpochEveryCursorWaitsButZero) {
  expect(CursorMode::exclusive, {
                                    {std::nullopt, kEmpty, {live, kSeqNone}},
                                    {0, kEmpty, {replay, kSeqNone}},
                                    {1, kEmpty, {wait, Seq{1}}},
                                    {kLargest, kEmpty, {wait, Seq{kLargest}}},
                                });
  expect(CursorMode::inclusive, {
                                    {1, kEmpty, {replay, kSeqNone}},
                                    {2, kEmpty, {wait, Seq{1}}},
                                });
}

TEST(Cursor, AnEmptyEpochBeginsWhereItWasToldTo) {
  expect(CursorMode::exclusive, {
                                    {std::nullopt, kEmptyFrom100, {live, Seq{100}}},
                                    {0, kEmptyFrom100, {replay, Seq{100}}},
                                    {99, kEmptyFrom100, {outdated, Seq{100}}},
                                    {100, kEmptyFrom100, {live, Seq{100}}},
                                    {101, kEmptyFrom100, {wait, Seq{101}}},
                                });
}

TEST(Cursor, WhereRetentionTookEverythingNewestStaysKnown) {
  expect(CursorMode::exclusive, {
                                    {std::nullopt, kNothingLeft, {live, Seq{200}}},
                                    {0, kNothingLeft, {replay, Seq{200}}},
                                    {199, kNothingLeft, {outdated, Seq{200}}},
                                    {200, kNothingLeft, {live, Seq{200}}},
                                    {201, kNothingLeft, {future, Seq{201}}},
                                });
}

TEST(CursorDeathTest, TheRequestHasJudgedTheRange) {
  EXPECT_DEATH(judge_cursor(-1, CursorMode::exclusive, kWindow), "request");
  EXPECT_DEATH(judge_cursor(kLargest + 1, CursorMode::exclusive, kWindow), "request");
}

}  // namespace
}  // namespace standpipe::replay
