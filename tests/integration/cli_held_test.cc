// An archive that a running import holds: reading it, beginning an epoch, stopping, dying.
#include <signal.h>
#include <sys/stat.h>

#include "tests/support/cli_fixture.h"
#include "tests/support/frame_file.h"
#include "tests/support/frames.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class CliHeld : public CliFixture {
 protected:
  // An import of standard input, which stays open.
  std::unique_ptr<Process> given_import(std::vector<std::string> arguments = {}) const {
    std::vector<std::string> all = {"import", "-", "--quiet", "--json", "--report", "-"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return std::make_unique<Process>(all, options());
  }

  // Feeds the frames and returns when they are durable.
  static void feed(Process& import, const std::vector<Bytes>& frames) {
    import.feed(frame_file_bytes(frames));
    std::uint64_t durable = 0;
    while (durable < frames.size()) {
      const json line = json::parse(import.read_line(), nullptr, false);
      ASSERT_FALSE(line.is_discarded()) << "the import ended";
      durable += line["frames"].get<std::uint64_t>();
    }
    ASSERT_EQ(durable, frames.size());
  }

  static json last_line(const std::string& out) {
    const std::size_t end = out.size() - 1;
    const std::size_t begin = out.rfind('\n', end - 1);
    return json::parse(out.substr(begin == std::string::npos ? 0 : begin + 1), nullptr, false);
  }
};

TEST_F(CliHeld, IsReadThroughItsHolderByEveryVerb) {
  const auto import = given_import();
  feed(*import, make_frame_range(1, 20));

  const json shown = run_json({"inspect"});
  EXPECT_EQ(shown["health"], "ok");  // the holder's own word: a reader's is read_only
  EXPECT_EQ(shown["streams"][0]["epochs"][0]["frames"], 20);
  EXPECT_EQ(run_json({"inspect", "--check"})["checked"], true);
  EXPECT_EQ(run_json({"inspect", "frame", "7"})["seq"], 7);
  EXPECT_TRUE(exported() == make_frame_range(1, 20));
  EXPECT_TRUE(exported({"--after", "5", "--until", "9"}) == make_frame_range(6, 9));
  EXPECT_EQ(tailed_seqs({"--cursor", "17"}), (std::vector<std::int64_t>{18, 19, 20}));
  // All in one group, whose clock is the median of its times.
  EXPECT_EQ(tailed_seqs({"--time", "2025-01-01T00:00:00Z"}).size(), 20U);
  EXPECT_TRUE(tailed_seqs({"--time", "2027-01-01T00:00:00Z"}).empty());

  feed(*import, make_frame_range(21, 25));
  EXPECT_TRUE(exported() == make_frame_range(1, 25));

  const Outcome ended = import->wait();
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(last_line(ended.out)["accepted"], 25);
  EXPECT_EQ(run_json({"inspect"})["health"], "read_only");
  EXPECT_TRUE(exported() == make_frame_range(1, 25));
  EXPECT_FALSE(std::filesystem::exists(archive / "control.sock"));
}

TEST_F(CliHeld, IsReadInSeveralPagesWhenItIsLarge) {
  std::vector<Bytes> frames;
  for (std::int64_t seq = 1; seq <= 300; ++seq) {
    FrameSpec spec;
    spec.seq = seq;
    spec.blocks_bytes = 20'000;
    frames.push_back(make_frame(spec));
  }
  const auto import = given_import();
  feed(*import, frames);
  EXPECT_TRUE(exported() == frames);
  EXPECT_EQ(tailed_seqs({"--cursor", "298"}), (std::vector<std::int64_t>{299, 300}));
}

TEST_F(CliHeld, RefusesWhatIsNotThereInTheSameWordsAsWhenItIsNotHeld) {
  const auto import = given_import({"--density", "dense"});
  feed(*import, make_frames({1, 2, 9}));
  const std::vector<std::vector<std::string>> refused = {{"tail", "--stream", "no & such?"},
                                                         {"tail", "--epoch", "2"},
                                                         {"inspect", "frame", "5"},
                                                         {"inspect", "frame", "10"},
                                                         {"inspect", "--stream", "two"}};
  std::vector<std::string> held;
  for (const auto& verb : refused) {
    held.push_back(run(verb).err);
    expect_refusal(verb, 1, "no ");
  }
  import->wait();
  for (std::size_t i = 0; i < refused.size(); ++i) EXPECT_EQ(run(refused[i]).err, held[i]);
}

TEST_F(CliHeld, ASecondImportIsRefusedWithASentence) {
  const auto import = given_import();
  feed(*import, make_frames({1}));
  const std::string file = given_file("a", make_frames({2}));
  const Outcome refused = run({"import", file});
  expect_refusal(refused, 1, std::to_string(import->id()));
  EXPECT_THAT(refused.err, HasSubstr(archive.string()));
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(import->wait().status, 0);
  EXPECT_EQ(this->import({file})["accepted"], 1);
}

TEST_F(CliHeld, ANewEpochEndsTheImportWithoutItsInput) {
  const auto import = given_import();
  feed(*import, make_frame_range(1, 3));
  expect_refusal({"epoch", "new", "--stream", "two", "--reason", "x"}, 1, "no stream 'two'");
  EXPECT_EQ(run_json({"epoch", "new", "--stream", "repos", "--reason", "began anew"}),
            (json{{"stream", "repos"}, {"epoch", 2}}));
  const Outcome ended = import->wait_with_open_input();
  expect_refusal(
      ended, 1, "epoch 2 of stream 'repos' was begun while this import ran; epoch 1 ends at seq 3");
  EXPECT_EQ(last_line(ended.out)["error"]["code"], "closed");
  const json epochs = run_json({"inspect"})["streams"][0]["epochs"];
  ASSERT_EQ(epochs.size(), 2U);
  EXPECT_EQ(epochs[1]["reason"], "began anew");
  EXPECT_EQ(this->import({given_file("a", make_frames({1}))})["epoch"], 2);
  EXPECT_TRUE(exported({"--epoch", "1"}) == make_frame_range(1, 3));
}

TEST_F(CliHeld, ASignalCommitsWhatIsPendingAndSaysWhereItStopped) {
  std::int64_t newest = 0;
  for (const int number : {SIGINT, SIGTERM}) {
    const auto import = given_import();
    feed(*import, make_frame_range(newest + 1, newest + 3));
    newest += 3;
    import->signal(number);
    const Outcome ended = import->wait_with_open_input();
    expect_refusal(ended, 1,
                   "stopped by a signal in - after seq " + std::to_string(newest) + ", which is");
    EXPECT_EQ(last_line(ended.out)["newest"], newest);
    EXPECT_FALSE(std::filesystem::exists(archive / "control.sock"));
    EXPECT_TRUE(exported() == make_frame_range(1, newest));
  }
}

TEST_F(CliHeld, ASignalEndsTheWaitForAPipeThatNobodyWritesTo) {
  const std::string pipe = dir / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const std::string first = given_file("first", make_frame_range(1, 3));
  Process import({"import", first, pipe, "--quiet", "--json", "--report", "-"}, options());
  EXPECT_EQ(import.read_line(), "{\"seq\":3,\"frames\":3}\n");
  import.signal(SIGTERM);
  expect_refusal(import.wait_with_open_input(), 1, "stopped by a signal in " + pipe);
}

TEST_F(CliHeld, WhatWasReportedDurableIsThereAfterTheHolderWasKilled) {
  auto import = given_import({"--commit-frames", "2"});
  feed(*import, make_frame_range(1, 9));
  import->signal(SIGKILL);
  EXPECT_EQ(import->wait().status, -SIGKILL);
  EXPECT_TRUE(std::filesystem::exists(archive / "control.sock"));  // nobody took it away
  EXPECT_TRUE(exported() == make_frame_range(1, 9));
  EXPECT_EQ(tailed_seqs().size(), 9U);
  // The next holder listens in its place.
  import = given_import();
  feed(*import, make_frames({10}));
  EXPECT_EQ(run_json({"inspect"})["health"], "ok");
  EXPECT_EQ(import->wait().status, 0);
}

TEST_F(CliHeld, AHolderThatCannotBeAskedIsNamed) {
  const auto import = given_import();
  feed(*import, make_frames({1}));
  std::filesystem::remove(archive / "control.sock");
  for (const std::vector<std::string>& verb : std::vector<std::vector<std::string>>{
           {"inspect"}, {"tail"}, {"epoch", "new", "--stream", "repos", "--reason", "x"}}) {
    expect_refusal(verb, 1, std::to_string(import->id()));
  }
}

TEST_F(CliHeld, ReadersOfAnArchiveThatNobodyHoldsDoNotDisturbOneAnother) {
  import({given_file("a", make_frame_range(1, 3))});
  const auto before = std::filesystem::last_write_time(archive);
  EXPECT_EQ(tailed_seqs().size(), 3U);
  EXPECT_EQ(run_json({"inspect"})["health"], "read_only");
  EXPECT_EQ(std::filesystem::last_write_time(archive), before);  // nothing was made or renamed
}

TEST_F(CliHeld, PartitionsRollAsTheOptionsSay) {
  const json summary = import({given_file("a", make_frame_range(1, 40)), "--commit-frames", "5",
                               "--partition-bytes", "8KiB", "--partition-bytes-min", "0"});
  EXPECT_EQ(summary["accepted"], 40);
  const json partitions = run_json({"inspect"})["streams"][0]["epochs"][0]["partitions"];
  EXPECT_GT(partitions.size(), 2U);
  EXPECT_EQ(partitions[0]["state"], "sealed");
  EXPECT_EQ(partitions[0]["first"], 1);
  EXPECT_LE(partitions[0]["raw_bytes"], 8'192);
  EXPECT_EQ(partitions[1]["first"], partitions[0]["last"].get<std::int64_t>() + 1);
  EXPECT_TRUE(exported() == make_frame_range(1, 40));
}

}  // namespace
}  // namespace standpipe::test
