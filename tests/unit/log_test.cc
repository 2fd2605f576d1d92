#include "schema/base/log.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace standpipe {
namespace {

class Log : public ::testing::Test {
 protected:
  ~Log() override {
    log_set_level(LogLevel::info);
    log_set_form(LogForm::text);
  }

  static std::string stderr_of(const std::function<void()>& work) {
    ::testing::internal::CaptureStderr();
    work();
    return ::testing::internal::GetCapturedStderr();
  }
};

// "2026-01-02T03:04:05.678Z " is 25 characters.
std::string without_time(const std::string& line) { return line.substr(25); }

TEST_F(Log, WritesTimeLevelAndText) {
  const std::string line = stderr_of([] { log_warn("upstream closed the connection"); });
  ASSERT_GT(line.size(), 25U);
  EXPECT_EQ(line[10], 'T');
  EXPECT_EQ(line.substr(23, 2), "Z ");
  EXPECT_EQ(without_time(line), "warn upstream closed the connection\n");
}

TEST_F(Log, DropsWhatIsBelowItsLevel) {
  EXPECT_EQ(stderr_of([] { log_debug("unseen"); }), "");
  EXPECT_FALSE(log_is_on(LogLevel::debug));
  log_set_level(LogLevel::error);
  EXPECT_EQ(stderr_of([] { log_warn("unseen"); }), "");
  EXPECT_NE(stderr_of([] { log_error("seen"); }), "");
  log_set_level(LogLevel::debug);
  EXPECT_NE(stderr_of([] { log_debug("seen"); }), "");
}

TEST_F(Log, StaysOneLineWhateverTheTextHolds) {
  EXPECT_EQ(without_time(stderr_of([] { log_info("a\nb\r\x1b[31m\t\"\\"); })),
            "info a\\nb\\u000d\\u001b[31m\\t\"\\\n");
  EXPECT_EQ(without_time(stderr_of([] { log_info("caf\xc3\xa9"); })), "info caf\xc3\xa9\n");
  EXPECT_EQ(without_time(stderr_of([] { log_info("\xff{}%v"); })), "info \\u00ff{}%v\n");
}

TEST_F(Log, JsonLinesParse) {
  log_set_form(LogForm::json);
  const std::string line = stderr_of([] { log_error("a \"b\" \\ \n \xff {}"); });
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["level"], "error");
  EXPECT_EQ(json["text"], "a \"b\" \\ \n \xc3\xbf {}");
  EXPECT_EQ(json["time"].get<std::string>().size(), 24U);
}

TEST_F(Log, LevelsHaveNames) {
  EXPECT_EQ(parse_log_level("warn").value(), LogLevel::warn);
  EXPECT_EQ(parse_log_level("loud").error().detail,
            "log level \"loud\" is not one of debug, info, warn, error");
}

TEST_F(Log, LinesOfManyThreadsAreNotTorn) {
  const std::string lines = stderr_of([] {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int line = 0; line < 50; ++line) log_info(std::string(200, 'x'));
      });
    }
  });
  std::size_t count = 0;
  for (std::size_t begin = 0; begin < lines.size(); ++count) {
    const std::size_t end = lines.find('\n', begin);
    ASSERT_EQ(lines.substr(begin + 25, end - begin - 25), "info " + std::string(200, 'x'));
    begin = end + 1;
  }
  EXPECT_EQ(count, 200U);
}

TEST_F(Log, EveryIntervalOneLineThatCountsTheOthers) {
  ManualClock clock(1'000'000);
  LogEvery every(clock, 10'000);
  const auto logged = [&] {
    const std::string line = stderr_of([&] { every.log(LogLevel::warn, "bad frame"); });
    return line.empty() ? line : without_time(line);
  };
  EXPECT_EQ(logged(), "warn bad frame\n");
  EXPECT_EQ(logged(), "");
  clock.advance(9'999);
  EXPECT_EQ(logged(), "");
  clock.advance(1);
  EXPECT_EQ(logged(), "warn bad frame (and 2 more like it since the last such line)\n");
  clock.advance(10'000);
  EXPECT_EQ(logged(), "warn bad frame\n");
}

TEST_F(Log, AClockThatIsSetBackSilencesNothing) {
  ManualClock clock(1'000'000);
  LogEvery every(clock, 10'000);
  EXPECT_TRUE(every.log(LogLevel::debug, "bad frame"));
  clock.set(0);
  EXPECT_TRUE(every.log(LogLevel::debug, "bad frame"));
}

}  // namespace
}  // namespace standpipe
