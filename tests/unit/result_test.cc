#include "schema/base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace standpipe {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error{Errc::invalid, std::to_string(number) + " is odd"};
  return number / 2;
}

Result<std::string> quarter_as_text(int number) {
  STANDPIPE_TRY(const int once, half(number));
  STANDPIPE_TRY(const int twice, half(once));
  return std::to_string(twice);
}

Result<void> needs_even(int number) {
  STANDPIPE_CHECK(half(number));
  return {};
}

TEST(Result, HoldsAValueOrAnError) {
  EXPECT_TRUE(half(4).has_value());
  EXPECT_EQ(half(4).value(), 2);
  EXPECT_FALSE(half(3));
  EXPECT_EQ(half(3).error().code, Errc::invalid);
  EXPECT_EQ(half(3).error().detail, "3 is odd");
}

TEST(Result, TryAndCheckReturnTheFirstError) {
  EXPECT_EQ(quarter_as_text(8).value(), "2");
  EXPECT_EQ(quarter_as_text(6).error().detail, "3 is odd");
  EXPECT_EQ(quarter_as_text(5).error().detail, "5 is odd");
  EXPECT_TRUE(needs_even(2));
  EXPECT_EQ(needs_even(1).error().detail, "1 is odd");
}

TEST(Result, CarriesWhatCanOnlyBeMoved) {
  const auto make = []() -> Result<std::unique_ptr<int>> { return std::make_unique<int>(7); };
  const std::unique_ptr<int> seven = make().value();
  EXPECT_EQ(*seven, 7);
  Result<std::unique_ptr<int>> kept = make();
  EXPECT_EQ(**kept, 7);
}

TEST(Result, ErrorsReadAsOneLine) {
  EXPECT_EQ(to_string(Error{Errc::corrupt, "group at 12"}), "corrupt: group at 12");
  EXPECT_EQ(to_string(Errc::not_found), "not found");
}

TEST(ResultDeathTest, AskingForTheOtherSideAborts) {
  EXPECT_DEATH((void)half(3).value(), "3 is odd");
  EXPECT_DEATH((void)half(4).error(), "holds a value");
  EXPECT_DEATH((void)needs_even(2).error(), "holds a value");
}

}  // namespace
}  // namespace standpipe
