// A mirror that lets go of what is old while it archives and serves: each subscriber gets a whole
// sequence until its typed end, the ledger says what is gone, the disk stays bounded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/support/hex.h"
#include "tests/support/mirror_status_fixture.h"
#include "tests/support/process.h"
#include "tests/support/scale.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::int64_t kChunk = 500;
constexpr std::int64_t kLast = 24 * kChunk;  // 51 MB, of which some 16 are kept
constexpr std::uint64_t kMiB = 1 << 20;
// The limit, what is open, what is sealed but not yet looked at, and the directory.
constexpr std::uint64_t kDiskBytesMax = 20 * kMiB;
// A stop seals what waits for it, and lets nothing go any more.
constexpr std::uint64_t kDiskBytesMaxStopped = 28 * kMiB;

const std::vector<std::string> kSixteenMiB{"--retain-bytes", "16MiB", "--live-bytes",    "512KiB",
                                           "--cache-bytes",  "1MiB",  "--stall-timeout", "10m"};

Bytes large_frame(std::int64_t seq) {
  return make_frame(FrameSpec{.seq = seq, .blocks_bytes = 4'000});
}

// That these are the frames `first` and following, without a hole; returns the last seq.
std::int64_t expect_large(const std::vector<Bytes>& frames, std::int64_t first) {
  std::int64_t seq = first;
  for (const Bytes& frame : frames) {
    EXPECT_TRUE(frame == large_frame(seq)) << seq << ": " << seq_of(frame).value_or(0);
    if (frame != large_frame(seq)) break;
    ++seq;
  }
  return seq - 1;
}

class MirrorRetention : public MirrorStatusFixture {
 protected:
  void append_large(std::int64_t first, std::int64_t last) {
    for (std::int64_t seq = first; seq <= last; ++seq) upstream().append(seq, large_frame(seq));
  }
  // The last seq that retention took, by the ledger, which has to be one row; 0: none.
  std::int64_t floor() const {
    const json body = json::parse(http_get(port(), "/stream/repos/gaps").body);
    if (body["gaps"].empty()) return 0;
    EXPECT_THAT(body["gaps"], SizeIs(1)) << body.dump();
    EXPECT_EQ(body["gaps"][0]["after"], 0);
    EXPECT_EQ(body["gaps"][0]["reason"], "retention");
    return body["gaps"][0]["before"].get<std::int64_t>() - 1;
  }
  void wait_for_floor(std::int64_t least) const {
    const Deadline deadline = deadline_from_now();
    while (floor() < least) {
      if (std::chrono::steady_clock::now() >= deadline) {
        throw std::runtime_error("waited in vain for seq " + std::to_string(least) + " to go\n" +
                                 process().error_text());
      }
    }
  }
  std::uint64_t table_file_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(archive() / "db")) {
      if (entry.path().extension() == ".sst") bytes += entry.file_size();
    }
    return bytes;
  }

  // Of an archive that nobody writes to: all that it has is there, in one piece, and what is not
  // there is in the ledger. Returns the last seq that is gone.
  std::int64_t expect_window(std::int64_t last) {
    given_server();
    const std::int64_t gone = floor();
    Subscriber oldest = subscribe("?cursor=0");
    EXPECT_EQ(expect_large(oldest.read_until_seq(last), gone + 1), last);
    EXPECT_TRUE(oldest.read_until_pong().empty());
    stop();
    return gone;
  }
};

TEST_F(MirrorRetention, RollsWhileSubscribersReadAndEachGetsAWholeSequence) {
  given_upstream({});
  append_large(1, kChunk);
  given_watched_mirror(kSixteenMiB);
  wait_until_durable(kChunk);
  SubscriberOptions small;
  small.receive_buffer = 16 << 10;
  small.read_bytes = 4 << 10;
  Subscriber fast = subscribe("?cursor=0");
  Subscriber live = subscribe();
  EXPECT_TRUE(live.read_until_pong().empty());
  EXPECT_EQ(expect_large(fast.read_frames(kChunk), 1), kChunk);
  // Two that stop where they are: at the beginning, and some way on.
  Subscriber at_start = subscribe("?cursor=0", small);
  EXPECT_EQ(expect_large(at_start.read_frames(1), 1), 1);
  Subscriber further_on = subscribe("?cursor=100", small);
  EXPECT_EQ(expect_large(further_on.read_frames(200), 101), 300);
  for (std::int64_t from = kChunk; from < kLast; from += kChunk) {
    append_large(from + 1, from + kChunk);
    EXPECT_EQ(expect_large(fast.read_frames(kChunk), from + 1), from + kChunk);
    EXPECT_EQ(expect_large(live.read_frames(kChunk), from + 1), from + kChunk);
  }
  wait_for_floor(kLast / 2);

  // Both go on, and are told that what follows is gone.
  std::int64_t position = 1;
  for (Subscriber* stopped : {&at_start, &further_on}) {
    Received end;
    std::vector<Bytes> got = stopped->read_to_end(&end);
    EXPECT_EQ(end, Received(Closed{1008, "ConsumerTooSlow"})) << describe(end);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back(), hex(kWorkedTooSlow));
    got.pop_back();
    EXPECT_LT(expect_large(got, position + 1), floor());
    position = 300;
  }
  // Who comes back with the seq that it had is told, and gets all that is left.
  Subscriber returned = subscribe("?cursor=300");
  EXPECT_EQ(returned.next_frame(), hex(kWorkedOutdatedCursor));
  const std::vector<Bytes> rest = returned.read_until_seq(kLast);
  EXPECT_EQ(expect_large(rest, kLast - static_cast<std::int64_t>(rest.size()) + 1), kLast);
  EXPECT_TRUE(returned.read_until_pong().empty());
  EXPECT_TRUE(fast.read_until_pong().empty());
  EXPECT_TRUE(live.read_until_pong().empty());

  const std::string status = process().output_text();
  const Outcome stopped = stop();
  EXPECT_THAT(stopped.err, HasSubstr("stream repos: retention dropped seqs 1 to "));
  std::uint64_t most = 0;
  json line;
  for (std::size_t at = 0, end = 0; (end = status.find('\n', at)) != std::string::npos;
       at = end + 1) {
    line = json::parse(status.substr(at, end - at));
    most = std::max(most, line["stored_bytes"].get<std::uint64_t>());
  }
  EXPECT_LE(most, kDiskBytesMax);
  EXPECT_GE(most, 14 * kMiB);
  EXPECT_GE(line["retention"]["partitions"], 10);
  EXPECT_GE(line["retention"]["stored_bytes"], 20 * kMiB);
  EXPECT_LE(table_file_bytes(), kDiskBytesMaxStopped);
  const std::int64_t gone = expect_window(kLast);

  // A restart keeps what there is, and goes on with it.
  given_mirror(kSixteenMiB);
  append_large(kLast + 1, kLast + kChunk);
  Subscriber again = subscribe("?cursor=" + std::to_string(kLast));
  EXPECT_EQ(expect_large(again.read_frames(kChunk), kLast + 1), kLast + kChunk);
  stop();
  EXPECT_GE(expect_window(kLast + kChunk), gone);
  EXPECT_LE(table_file_bytes(), kDiskBytesMaxStopped);
}

// The position that is the floor has everything before it: nothing was missed.
TEST_F(MirrorRetention, ACursorAtTheFloorIsNotOutdatedAndOneBelowItIs) {
  given_upstream({});
  append_large(1, 12 * kChunk);
  given_mirror(kSixteenMiB);
  wait_for_floor(1);
  stop();
  given_server();
  const std::int64_t gone = floor();
  Subscriber at = subscribe("?cursor=" + std::to_string(gone));
  EXPECT_EQ(expect_large(at.read_frames(1), gone + 1), gone + 1);
  Subscriber below = subscribe("?cursor=" + std::to_string(gone - 1));
  EXPECT_EQ(below.next_frame(), hex(kWorkedOutdatedCursor));
  EXPECT_EQ(expect_large(below.read_frames(1), gone + 1), gone + 1);
}

TEST_F(MirrorRetention, ByAgeForEachStreamAsTheConfigFileHasIt) {
  constexpr std::int64_t kMinuteMs = 60'000;
  constexpr std::int64_t kFrames = 2'000;  // a minute apart
  const auto at_minute = [](std::int64_t seq) {
    return make_frame(FrameSpec{.seq = seq, .time_ms = kFirstFrameMs + seq * kMinuteMs});
  };
  std::ofstream(dir / "keep.toml") << "[mirror]\nretain-age = \"4h\"\nretain = [\"west=all\"]\n";
  UpstreamOptions frames;
  for (std::int64_t seq = 1; seq <= kFrames; ++seq) frames.frames.push_back({seq, at_minute(seq)});
  const ScriptedUpstream west(frames);
  given_upstream(frames);
  given_mirror({"--config", (dir / "keep.toml").string(), "--upstream", upstream().url(),
                "--upstream", "west=" + west.url()});
  wait_until_durable(kFrames, "west");
  wait_until_durable(kFrames);
  // The clock stands at the median of the last 64; partitions are of an hour, groups of 64 frames.
  wait_for_floor(kFrames - 240 - 32 - 60 - 2 * 64);
  EXPECT_LE(floor(), kFrames - 240) << "that was not old enough";
  Subscriber kept =
      Subscriber::connect(port(), "/stream/west" + std::string(kSubscribeRepos) + "?cursor=0");
  std::int64_t seq = 0;
  for (const Bytes& frame : kept.read_until_seq(kFrames)) {
    ++seq;
    ASSERT_TRUE(frame == at_minute(seq)) << seq;
  }
  EXPECT_EQ(seq, kFrames);
  stop();
}

TEST_F(MirrorRetention, ALimitForAStreamThatIsNotThereIsRefusedAndNothingGoes) {
  given_upstream({});
  append_large(1, 8 * kChunk);
  given_mirror();
  wait_until_durable(8 * kChunk);
  stop();
  std::vector<std::string> slip = kSixteenMiB;
  slip.insert(slip.end(), {"--retain", "reops=all", "--listen", "127.0.0.1:0"});
  const Outcome refused = run_standpipe(arguments_of("mirror", slip));
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("--retain reops: the archive has no stream of that name, but "
                                     "repos"));
  EXPECT_EQ(expect_window(8 * kChunk), 0);
  const Outcome nonsense = run_standpipe(arguments_of("mirror", {"--retain-age", "10m"}));
  EXPECT_EQ(nonsense.status, 2);
  EXPECT_THAT(nonsense.err, HasSubstr("--retain-age: '10m': an age to keep is 1h to 36500d"));
}

// Its thread may be anywhere: between two drops, in one, or not yet there.
TEST_F(MirrorRetention, AKillAtAnyMomentIsGoneOnFrom) {
  std::mt19937_64 random(20260728);
  given_upstream({});
  append_large(1, 8 * kChunk);
  std::int64_t last = 8 * kChunk;
  const std::size_t lives = scaled(8);
  for (std::size_t life = 0; life < lives; ++life) {
    given_mirror(kSixteenMiB);
    const std::int64_t before = last;
    last += 4 * kChunk;
    append_large(before + 1, last);
    wait_until_durable(before + static_cast<std::int64_t>(random() % (4 * kChunk)));
    kill();
  }
  given_mirror(kSixteenMiB);
  wait_until_durable(last);
  wait_for_floor(last - 5'500);
  stop();
  EXPECT_GT(expect_window(last), 0);
  EXPECT_LE(table_file_bytes(), kDiskBytesMaxStopped);
}

// Through the control socket of the mirror that holds the archive.
TEST_F(MirrorRetention, ATailThatIsOvertakenSaysWhatItMissed) {
  given_upstream({});
  append_large(1, 4 * kChunk);
  given_mirror(kSixteenMiB);
  wait_until_durable(4 * kChunk);
  Process tail({"tail", "--data", archive().string(), "--json"});
  std::int64_t seq = json::parse(tail.read_line())["seq"];  // the pipe is full, and it waits
  EXPECT_EQ(seq, 1);
  append_large(4 * kChunk + 1, 16 * kChunk);
  wait_for_floor(6 * kChunk);
  for (std::string line; !(line = tail.read_line()).empty();) {
    const std::int64_t next_seq = json::parse(line)["seq"];
    EXPECT_EQ(next_seq, seq + 1);
    seq = next_seq;
  }
  // It goes up to what was newest when it began, and that is gone, too.
  EXPECT_LT(seq, 4 * kChunk);
  const Outcome ended = tail.wait();
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.err, HasSubstr("standpipe tail: after " + std::to_string(seq) + " before "));
  EXPECT_THAT(ended.err, HasSubstr(" is not held any more (retention)"));
  stop();
}

}  // namespace
}  // namespace standpipe::test
