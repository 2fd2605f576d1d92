// Who reads slowly, or not at all, slows nobody else and costs little; and a pong is prompt.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/bulk_frames.h"
#include "tests/support/mirror_status_fixture.h"
#include "tests/support/sanitizer.h"
#include "tests/support/scale.h"
#include "tests/support/subscriber_crowd.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kLiveReaders = 20;

std::size_t wire_bytes_of(const std::vector<Bytes>& frames) {
  std::size_t bytes = 0;
  for (const Bytes& frame : frames) bytes += frame.size() + (frame.size() <= 0xFFFF ? 4 : 10);
  return bytes;
}

class MirrorSlow : public MirrorStatusFixture {
 protected:
  // -- A backlog of frames that weigh what real ones do -------------------------------------------
  // They are in the archive; an upstream has the newest of them, and goes on from there.
  void given_backlog(std::size_t bytes) {
    std::vector<Bytes> frames;
    for (std::size_t made = 0; made < bytes; made += frames.back().size()) {
      frames.push_back(to_bytes(made_.next()));
    }
    given_imported(frames);
    backlog_ = frames.size();
    UpstreamOptions options;
    options.frames.push_back({newest(), std::move(frames.back())});
    given_upstream(std::move(options));
  }
  std::int64_t newest() const { return to_int(made_.seq()); }
  std::size_t backlog() const { return backlog_; }

  // What upstream sends next is the next of the same frames.
  void send_next(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      sent_.push_back(to_bytes(made_.next()));
      upstream().append(newest(), sent_.back());
    }
  }
  const std::vector<Bytes>& sent() const { return sent_; }

  // Holds what a subscriber from cursor 0 gets to the frames from the first one on.
  class FromFirst {
   public:
    void expect(const std::vector<Bytes>& frames) {
      for (const Bytes& frame : frames) {
        const Bytes wanted = to_bytes(frames_.next());
        ASSERT_TRUE(frame == wanted) << "seq " << seq_of(frame).value_or(0) << " in place of "
                                     << to_int(frames_.seq()) << ", or other bytes";
        ++count_;
      }
    }
    std::size_t count() const { return count_; }

   private:
    BulkFrames frames_;
    std::size_t count_ = 0;
  };

  // -- What the program says of itself ------------------------------------------------------------
  // The newest line of status, once it is as wanted. `what` completes "waited in vain for ...".
  json wait_for_line(const std::string& what, const std::function<bool(const json&)>& holds) const {
    const Deadline deadline = deadline_from_now();
    json line;
    for (;;) {
      const std::string output = process().output_text();
      const std::size_t end = output.rfind('\n');
      if (end != std::string::npos && end > 0) {
        const std::size_t before = output.rfind('\n', end - 1);
        const std::size_t begin = before == std::string::npos ? 0 : before + 1;
        line = json::parse(output.substr(begin, end - begin));
        if (holds(line)) return line;
      }
      if (std::chrono::steady_clock::now() >= deadline) {
        throw std::runtime_error("waited in vain for " + what + ": " + line.dump());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  json wait_for_server(const std::string& count, std::uint64_t wanted) const {
    const auto line =
        wait_for_line("a " + count + " of " + std::to_string(wanted),
                      [&](const json& now) { return now["server"][count] == wanted; });
    return line["server"];
  }
  std::uint64_t too_slow() const {
    const auto line = wait_for_line("a line", [](const json&) { return true; });
    return line["server"]["ended"]["too_slow"];
  }
  // "VmRSS": memory that the program has now; "VmHWM": the most that it ever had.
  std::size_t memory(const std::string& name) const {
    std::ifstream status("/proc/" + std::to_string(process().id()) + "/status");
    for (std::string word; status >> word;) {
      std::size_t kib = 0;
      if (word == name + ":" && status >> kib) return kib << 10;
    }
    throw std::runtime_error("/proc does not say how much memory the program has");
  }
  void wait_for_memory_below(std::size_t bytes) const {
    const Deadline deadline = deadline_from_now();
    while (memory("VmRSS") >= bytes) {
      ASSERT_TRUE(std::chrono::steady_clock::now() < deadline) << memory("VmRSS");
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  // -- Many that never read, and some that are live -----------------------------------------------
  static std::size_t stalled_count() { return std::max<std::size_t>(100, scaled(1'000)); }
  // Half of them from cursor 0, the others each from a place of its own in most of the backlog, so
  // that they have as little as possible in common.
  void add_stalled(SubscriberCrowd& crowd) const {
    const std::size_t half = stalled_count() / 2;
    CrowdGroup group;
    group.count = half;
    group.target = target_after(0);
    group.reads = false;
    crowd.add(group);
    group.count = 1;
    for (std::size_t i = half; i < stalled_count(); ++i) {
      const std::size_t skipped = (i - half) * (backlog() * 9 / 10) / half;
      group.target =
          target_after(to_int(BulkFramesOptions{}.first) + static_cast<std::int64_t>(skipped));
      crowd.add(group);
    }
  }
  void add_live(SubscriberCrowd& crowd) const {
    CrowdGroup group;
    group.count = kLiveReaders;
    group.target = kSubscribeRepos;
    crowd.add(group);
    wait_for_server("live", kLiveReaders);
  }
  // That each live one has got all that upstream sent, byte for byte, and is there.
  void expect_all_sent(const SubscriberCrowd& live) const {
    for (const CrowdMember& member : live.members()) {
      EXPECT_EQ(member.fault, "");
      EXPECT_EQ(member.end, "");
      EXPECT_EQ(member.frames, sent().size());
      EXPECT_EQ(member.digest, crowd_digest(sent()));
    }
  }

 private:
  BulkFrames made_;
  std::size_t backlog_ = 0;
  std::vector<Bytes> sent_;
};

// -- Pongs ----------------------------------------------------------------------------------------

// Before a pong stands what its receiver's kernel holds (twice the buffer that was asked for:
// 512 KiB), what our kernel takes before it says no (128 KiB), and one send (256 KiB). The bound is
// twice that, and a hundredth of what is to come.
TEST_F(MirrorSlow, APongComesAmidAReplayAtFullSpeed) {
  given_backlog(std::max(20 * kMiB, scaled(200 * kMiB)));
  given_mirror();
  SubscriberOptions options;
  options.receive_buffer = 256 << 10;
  Subscriber subscriber = subscribe("?cursor=0", options);
  FromFirst expected;
  for (int ping = 0; ping < 5; ++ping) {
    expected.expect(subscriber.read_frames(backlog() / 20));
    const std::vector<Bytes> before = subscriber.read_until_pong();
    ASSERT_LE(wire_bytes_of(before), 2 * kMiB);
    expected.expect(before);
    if (HasFatalFailure()) return;
  }
  // A quarter of it, at the least, was still to come at the last pong.
  EXPECT_LT(expected.count(), backlog() * 3 / 4);
  while (expected.count() < backlog() && !HasFatalFailure()) {
    expected.expect(
        subscriber.read_frames(std::min<std::size_t>(500, backlog() - expected.count())));
  }
  // And then it is live.
  send_next(10);
  expected.expect(subscriber.read_until_seq(newest()));
  EXPECT_EQ(expected.count(), backlog() + 10);
}

// The same for one whose kernel takes little: 32 KiB, where it was 512.
TEST_F(MirrorSlow, APongComesAmidAReplayToOneWhoReadsSlowly) {
  given_backlog(20 * kMiB);
  given_mirror();
  SubscriberOptions options;
  options.receive_buffer = 16 << 10;
  options.read_bytes = 4 << 10;
  Subscriber subscriber = subscribe("?cursor=0", options);
  FromFirst expected;
  for (int ping = 0; ping < 8; ++ping) {
    expected.expect(subscriber.read_frames(20));
    const std::vector<Bytes> before = subscriber.read_until_pong();
    ASSERT_LE(wire_bytes_of(before), kMiB / 2);
    expected.expect(before);
    if (HasFatalFailure()) return;
  }
  EXPECT_LT(expected.count(), backlog() / 2);
}

// -- Stalled --------------------------------------------------------------------------------------

// Programs that are started meanwhile give freed memory back to the kernel at once, where it is of
// some size: then what is resident is what is held.
class FreedIsGone {
 public:
  FreedIsGone() { ::setenv(kName, "65536", 1); }
  ~FreedIsGone() { ::unsetenv(kName); }
  FreedIsGone(const FreedIsGone&) = delete;
  FreedIsGone& operator=(const FreedIsGone&) = delete;

 private:
  static constexpr const char* kName = "MALLOC_MMAP_THRESHOLD_";
};

TEST_F(MirrorSlow, ManyWhoNeverReadCostLittleAndSlowNobody) {
  constexpr std::size_t kBytesEach = 256 << 10;
  constexpr std::size_t kBytesEachAtRest = 16 << 10;
  constexpr std::size_t kLiveBytes = 4 * kMiB;
  constexpr std::size_t kCacheBytes = 8 * kMiB;
  constexpr std::size_t kBaseBytes = 64 * kMiB;  // the program, its threads, RocksDB
  const FreedIsGone freed_is_gone;
  given_backlog(std::max(20 * kMiB, scaled(100 * kMiB)));
  given_watched_mirror({"--live-bytes", "4MiB", "--cache-bytes", "8MiB", "--stall-timeout", "10m",
                        "--connections-per-address", "2000"});
  SubscriberCrowd stalled(port());
  add_stalled(stalled);
  wait_for_server("blocked", stalled_count());
  SubscriberCrowd live(port());
  add_live(live);
  // Twice what the live log holds, at the least.
  for (std::size_t bytes = 0; bytes < 2 * kLiveBytes; bytes = wire_bytes_of(sent())) {
    send_next(20);
    live.wait_until_seq(newest());
  }
  expect_all_sent(live);
  const json line = wait_for_line("the last frame", [this](const json& now) {
    return now["streams"][0]["newest"] == newest();
  });
  EXPECT_EQ(line["server"]["subscribers"], stalled_count() + kLiveReaders);
  EXPECT_EQ(line["server"]["blocked"], stalled_count());
  for (const auto& [reason, count] : line["server"]["ended"].items()) EXPECT_EQ(count, 0) << reason;
  for (const CrowdMember& member : stalled.members()) ASSERT_EQ(member.end, "");
  if (!kIsSanitized) {
    constexpr std::size_t kShared = kLiveBytes + kCacheBytes + kBaseBytes;
    EXPECT_LT(memory("VmHWM"), stalled_count() * kBytesEach + kShared);
    // Who goes on taking nothing is not kept frames for.
    wait_for_memory_below(stalled_count() * kBytesEachAtRest + kShared);
  }
}

TEST_F(MirrorSlow, ManyWhoNeverReadAreEndedAndNobodyElseIs) {
  given_backlog(20 * kMiB);
  given_watched_mirror({"--live-bytes", "4MiB", "--cache-bytes", "8MiB", "--stall-timeout", "2s",
                        "--connections-per-address", "2000"});
  SubscriberCrowd live(port());
  add_live(live);
  SubscriberCrowd stalled(port());
  add_stalled(stalled);
  // The live ones get a frame at a time, before, between and after.
  const Deadline deadline = deadline_from_now();
  while (too_slow() < stalled_count()) {
    ASSERT_TRUE(std::chrono::steady_clock::now() < deadline) << too_slow();
    send_next(1);
    live.wait_until_seq(newest());
  }
  send_next(20);
  live.wait_until_seq(newest());
  expect_all_sent(live);
  const json server = wait_for_server("subscribers", kLiveReaders);
  EXPECT_EQ(server["live"], kLiveReaders);
  for (const auto& [reason, count] : server["ended"].items()) {
    EXPECT_EQ(count, reason == "too_slow" ? stalled_count() : 0) << reason;
  }
}

// -- Slow, but moving -----------------------------------------------------------------------------

// Time passes by the pings that the server sends to somebody whom no frame is for. In it, one who
// takes nothing is ended, twice over; one who takes a frame at each ping, while upstream sends
// five, falls out of the live log and is not ended.
TEST_F(MirrorSlow, WhoFallsBehindARunningUpstreamButMovesGetsEverythingOnce) {
  constexpr std::int64_t kImported = 300;  // 6 MB: more than all buffers of a connection hold
  constexpr int kSentAtOnce = 5;
  constexpr std::int64_t kBehind = 250;  // 5 MB, ten times the live log
  const auto large = [](std::int64_t seq) {
    return make_frame(FrameSpec{.seq = seq, .blocks_bytes = 20'000});
  };
  std::vector<Bytes> frames;
  for (std::int64_t seq = 1; seq <= kImported; ++seq) frames.push_back(large(seq));
  given_imported(frames);
  UpstreamOptions upstream_options;
  upstream_options.frames.push_back({kImported, large(kImported)});
  given_upstream(std::move(upstream_options));
  given_watched_mirror({"--live-bytes", "512KiB", "--cache-bytes", "1MiB", "--stall-timeout", "2s",
                        "--ping-interval", "50ms", "--network-threads", "1"});
  SubscriberOptions small;
  small.receive_buffer = 16 << 10;
  small.read_bytes = 4 << 10;
  Subscriber clock = subscribe("?wantedDids=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
  Subscriber slow = subscribe("", small);
  EXPECT_TRUE(slow.read_until_pong().empty());  // live, at the newest frame
  std::int64_t sent = kImported;
  std::int64_t read = kImported;
  const Deadline deadline = deadline_from_now();
  for (std::uint64_t ended = 1; ended <= 2; ++ended) {
    const Subscriber stalled = subscribe("?cursor=0", small);
    ASSERT_TRUE(stalled.is_upgraded());
    do {
      ASSERT_TRUE(std::chrono::steady_clock::now() < deadline) << ended << ": " << sent - read;
      clock.wait_for_ping();
      for (int i = 0; i < kSentAtOnce; ++i) {
        ++sent;
        upstream().append(sent, large(sent));
      }
      ++read;
      ASSERT_TRUE(slow.next_frame() == large(read)) << read;
    } while (too_slow() < ended || (ended == 2 && sent - read < kBehind));
  }
  while (read < sent) {
    ++read;
    ASSERT_TRUE(slow.next_frame() == large(read)) << read;
  }
  EXPECT_TRUE(slow.read_until_pong().empty());
  const json server = wait_for_server("live", 2);
  EXPECT_GE(server["fallbacks"], 1);
  EXPECT_EQ(server["ended"]["too_slow"], 2);
  EXPECT_EQ(server["subscribers"], 2);
}

}  // namespace
}  // namespace standpipe::test
