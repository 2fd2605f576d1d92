#include "replay/status_board.h"

#include <gtest/gtest.h>

#include <vector>

namespace standpipe::replay {
namespace {

TEST(StatusBoard, WhoIsUpToDateGetsTheTickAndWhoIsNotGetsAll) {
  StatusBoard board;
  EXPECT_FALSE(board.after(0));
  board.publish("{1}", "{a}");
  const auto first = board.after(0);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->number, 1U);
  EXPECT_EQ(*first->text, "event: full\ndata: {1}\n\n");
  EXPECT_FALSE(board.after(1));
  board.publish("{2}", "{b}");
  EXPECT_EQ(*board.after(1)->text, "event: tick\ndata: {b}\n\n");
  EXPECT_EQ(*board.after(0)->text, "event: full\ndata: {2}\n\n");
  board.publish("{3}", "{c}");
  const auto late = board.after(1);
  EXPECT_EQ(late->number, 3U);
  EXPECT_EQ(*late->text, "event: full\ndata: {3}\n\n");
}

TEST(StatusBoard, HasRoomForSoManyViewersAndAgainWhenOneGoes) {
  StatusBoard board;
  std::vector<std::shared_ptr<void>> places;
  for (std::size_t i = 0; i < StatusBoard::kViewersMax; ++i) {
    places.push_back(board.take_place());
    ASSERT_NE(places.back(), nullptr);
  }
  EXPECT_EQ(board.take_place(), nullptr);
  places.pop_back();
  EXPECT_NE(board.take_place(), nullptr);
}

}  // namespace
}  // namespace standpipe::replay
