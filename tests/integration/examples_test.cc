// The examples of the client library do what they say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/support/bulk_frames.h"
#include "tests/support/hex.h"
#include "tests/support/process.h"
#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"
#include "tests/support/upstream_fixture.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;

ProcessOptions example(const std::string& name) {
  ProcessOptions options;
  options.program = std::string(STANDPIPE_BUILD_DIR) + "/example_" + name;
  return options;
}

UpstreamOptions bulk(std::size_t count) {
  BulkFramesOptions made;
  made.first = Seq{1};
  made.uses_corpus = false;
  BulkFrames frames(made);
  UpstreamOptions options;
  for (std::size_t i = 0; i < count; ++i) {
    Bytes bytes = to_bytes(frames.next());
    options.frames.push_back({to_int(frames.seq()), std::move(bytes)});
  }
  return options;
}

TEST(Examples, SubReposPrintsEachRecordThatIsCreated) {
  UpstreamOptions held;
  held.frames.push_back({1, hex(kWorkedCommit)});
  const ScriptedUpstream upstream(held);
  Process process({upstream.url(), "0"}, example("sub_repos"));
  const nlohmann::json line = nlohmann::json::parse(process.read_line());
  EXPECT_EQ(line["uri"], "at://" + std::string(kWorkedDid) + "/com.example.record/3jqfcqzm3fo2j");
  EXPECT_EQ(line["record"]["text"], "hello");
}

TEST(Examples, SubReposAsyncCountsTypes) {
  const ScriptedUpstream upstream(holding(1, 2'000));
  Process process({upstream.url(), "0"}, example("sub_repos_async"));
  EXPECT_EQ(process.read_line(), "1000 frames: #commit 1000\n");
  EXPECT_EQ(process.read_line(), "2000 frames: #commit 2000\n");
}

TEST(Examples, SubLabelsPrintsLabels) {
  UpstreamOptions held;
  held.frames.push_back({5, hex(kWorkedLabels)});
  const ScriptedUpstream upstream(held);
  Process process({upstream.url(), "0"}, example("sub_labels"));
  EXPECT_THAT(process.read_line(), HasSubstr("+spam at://" + std::string(kWorkedDid)));
}

TEST(Examples, HandleErrorsSaysWhereItWentWrongAndEndsWithTheServersWord) {
  ScriptedUpstream upstream(holding(1, 9));
  upstream.plan_next(ConnectionPlan().text_after(1, "hello").close_after(1, 1012, "restart"));
  upstream.plan_next(ConnectionPlan().binary_after(1, hex(kWorkedFutureCursor)));
  Process process({upstream.url(), "0"}, example("handle_errors"));
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.err, HasSubstr("message: text: a text message\n"));
  EXPECT_THAT(outcome.err, HasSubstr("connection: closed by upstream: 1012 restart; again in "));
  EXPECT_THAT(outcome.err, HasSubstr(" after seq 1\n"));
  EXPECT_THAT(outcome.err, HasSubstr("server: FutureCursor: Cursor in the future.\n"));
}

TEST(Examples, StopClientStopsAfterTenAndAgainWhenToldTo) {
  const ScriptedUpstream upstream(holding(1, 12));
  Process process({upstream.url(), "0"}, example("stop_client"));
  EXPECT_EQ(process.read_line(), "10 frames; the next dial asks for what follows seq 10\n");
  EXPECT_EQ(process.read_line(), "Enter stops it\n");
  upstream.wait_until_sent(1, 12);
  process.feed("\n");
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(outcome.out, HasSubstr(" frames in all\n"));
}

TEST(Examples, ProcessCommitsGoesOnFromItsCursorFile) {
  UpstreamOptions held = bulk(3'000);
  std::vector<UpstreamFrame> rest(held.frames.begin() + 2'000, held.frames.end());
  held.frames.resize(2'000);
  ScriptedUpstream upstream(held);
  const TempDir dir;
  const std::string file = dir / "cursor";
  {
    Process process({file, upstream.url()}, example("process_commits"));
    upstream.wait_for_connections(1);
    EXPECT_EQ(upstream.connection(0).cursor, std::nullopt);  // no file yet: from what comes next
    upstream.wait_for(0, "the upgrade",
                      [](const ConnectionRecord& seen) { return seen.is_upgraded; });
    upstream.append(rest);
    upstream.wait_until_sent(0, 3'000);
    process.signal(SIGINT);
    const Outcome outcome = process.wait();
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(" bytes of records\n"));
  }
  // What it saved it has done: the next one asks for the rest, whatever that is.
  const std::int64_t saved = std::stoll(read_text_file(file));
  EXPECT_GE(saved, 2'001);
  Process process({file, upstream.url()}, example("process_commits"));
  upstream.wait_for_connections(2);
  EXPECT_EQ(upstream.connection(1).cursor, saved);
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait().status, 0);
}

TEST(Examples, ABadCursorIsRefused) {
  Process process({"ws://127.0.0.1:1", "tomorrow"}, example("sub_repos"));
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("CURSOR is a number from 0 to 2^53 - 1, not 'tomorrow'"));
}

}  // namespace
}  // namespace standpipe::test
