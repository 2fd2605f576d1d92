#include "tools/progress.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace standpipe::tools {
namespace {

class ProgressTest : public ::testing::Test {
 protected:
  Progress given_progress(bool is_terminal) {
    Progress::Options options;
    options.label = "import";
    options.is_terminal = is_terminal;
    options.clock = &clock;
    options.write = [this](std::string_view text) { written.emplace_back(text); };
    return Progress(std::move(options));
  }

  ManualClock clock{1'000'000};
  std::vector<std::string> written;
};

TEST_F(ProgressTest, WritesALineASecondWithoutATerminal) {
  Progress progress = given_progress(false);
  for (std::uint64_t i = 1; i <= 3'500; ++i) {
    clock.advance(1);
    progress.update({i, i * 1024, static_cast<double>(i) / 7'000});
  }
  progress.finish();
  EXPECT_EQ(written,
            (std::vector<std::string>{"import: 1,000 frames, 1000.0 KiB, 1,000 frames/s, 14 %\n",
                                      "import: 2,000 frames, 2.0 MiB, 1,000 frames/s, 28 %\n",
                                      "import: 3,000 frames, 2.9 MiB, 1,000 frames/s, 42 %\n"}));
}

TEST_F(ProgressTest, SaysNothingOfWorkThatTakesLessThanASecond) {
  for (const bool is_terminal : {false, true}) {
    Progress progress = given_progress(is_terminal);
    clock.advance(999);
    progress.update({1, 1, 0.5});
    progress.finish();
  }
  EXPECT_TRUE(written.empty());
}

TEST_F(ProgressTest, DrawsABarTenTimesASecondOnATerminalAndTakesItAway) {
  Progress progress = given_progress(true);
  clock.advance(1'000);
  progress.update({10, 2048, 0.5});
  clock.advance(99);
  progress.update({11, 2048, 0.5});
  clock.advance(1);
  progress.update({12, 2048, 1.5});
  progress.finish();
  EXPECT_EQ(written,
            (std::vector<std::string>{
                "\r[###############...............] import: 10 frames, 2.0 KiB, 10 frames/s, 50 "
                "%\x1b[K",
                "\r[##############################] import: 12 frames, 2.0 KiB, 10 frames/s, 100 "
                "%\x1b[K",
                "\r\x1b[K"}));
}

TEST_F(ProgressTest, LeavesOutAFractionThatIsNotKnown) {
  Progress progress = given_progress(false);
  clock.advance(2'000);
  progress.update({4, 10, -1});
  EXPECT_EQ(written, (std::vector<std::string>{"import: 4 frames, 10 B, 2 frames/s\n"}));
}

}  // namespace
}  // namespace standpipe::tools
