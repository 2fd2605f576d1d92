// Durable before served, by the harshest judge: the power goes at any operation of the disk, and
// what any subscriber has received by then is still there.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/archive_fixture.h"
#include "tests/support/bulk_frames.h"
#include "tests/support/fault_fs.h"
#include "tests/support/mirror_in_process.h"
#include "tests/support/scale.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kLast = 400;
constexpr std::size_t kRecorders = 3;

// A subscriber across the lives of a mirror: takes what comes until the connection ends, and comes
// back with the last seq that it got.
class Recorder {
 public:
  ~Recorder() { join(); }

  // Requires that it is not running; nothing happens where it has everything. `first_query`: for as
  // long as nothing was received.
  void start(std::uint16_t port, const std::string& first_query) {
    if (last_ == kLast) return;
    const std::string query =
        frames_.empty() ? first_query : "?cursor=" + std::to_string(last_.load());
    thread_ = std::thread([this, port, query] { run(port, query); });
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  std::int64_t last() const { return last_; }

  // The following once it is not running. The seqs that came, without a hole; empty if all is well.
  std::string fault() const {
    if (!fault_.empty()) return fault_;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      const std::int64_t seq = first_ + static_cast<std::int64_t>(i);
      if (frames_[i] != make_frame(seq)) {
        return "frame " + std::to_string(i) + " is not seq " + std::to_string(seq);
      }
    }
    return {};
  }
  bool has_frames() const { return !frames_.empty(); }
  std::int64_t first() const { return first_; }

 private:
  void run(std::uint16_t port, const std::string& query) {
    bool is_connected = false;
    try {
      Subscriber subscriber = Subscriber::connect(port, std::string(kSubscribeRepos) + query);
      is_connected = true;
      for (;;) {
        Received received = subscriber.next();
        if (std::holds_alternative<TcpEnd>(received)) return;
        const Bytes* const frame = std::get_if<Bytes>(&received);
        const std::optional<std::int64_t> seq = frame ? seq_of(*frame) : std::nullopt;
        if (!seq) {
          fault_ = "received " + describe(received);
          return;
        }
        if (frames_.empty()) first_ = *seq;
        frames_.push_back(*frame);
        last_ = *seq;
        if (*seq == kLast) return;
      }
    } catch (const std::exception& error) {
      // Refused, or cut off within the handshake: the mirror is going. What is wrong shows later.
      if (!is_connected || frames_.empty()) return;
      fault_ = error.what();
    }
  }

  std::thread thread_;
  std::atomic<std::int64_t> last_ = 0;
  std::int64_t first_ = 0;
  std::vector<Bytes> frames_;
  std::string fault_;
};

// A disk that can fail, a mirror on it, an upstream that holds everything, subscribers.
class Lab {
 public:
  explicit Lab(const ScriptedUpstream& upstream) : upstream_(upstream) {
    fs::create_directory(dir_ / "disk");
    disk.emplace(dir_ / "disk");
  }

  storage::ArchiveOptions archive_options(bool is_faulty) {
    storage::ArchiveOptions options = small_archive_options(SystemClock::instance());
    options.partition_bytes_max = 40'000;
    options.background = true;
    options.env = is_faulty ? disk->env() : nullptr;
    return options;
  }
  // False: it did not get as far as listening and following.
  bool start(bool is_faulty = true) {
    InProcessOptions options;
    options.dir = archive_dir();
    options.upstream_url = upstream_.url();
    options.archive = archive_options(is_faulty);
    options.stream.writer.commit_interval = std::chrono::milliseconds(0);
    options.stream.writer.commit_frames_max = 8;
    options.stream.upstream.reconnect.delay_min = std::chrono::milliseconds(1);
    options.stream.upstream.reconnect.delay_max = std::chrono::milliseconds(5);
    options.server.live_log = {.bytes_max = 64 << 10, .segment_bytes = 16 << 10};
    options.server.network_threads = 1;
    Result<std::unique_ptr<InProcessMirror>> started = InProcessMirror::start(std::move(options));
    if (!started) {
      why_not = to_string(started.error());
      return false;
    }
    mirror = std::move(*started);
    return true;
  }
  // One reads from the oldest, one what comes, one from somewhere.
  void subscribe(Random& random) {
    recorders[0].start(mirror->port(), "?cursor=0");
    recorders[1].start(mirror->port(), "");
    const std::int64_t newest = std::min(recorders[0].last(), kLast - 1);
    const std::uint64_t cursor = random.below(static_cast<std::uint64_t>(newest) + 1);
    recorders[2].start(mirror->port(), "?cursor=" + std::to_string(cursor));
  }
  // Until the first of them has everything, or the mirror has failed.
  void wait() {
    const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
    while (recorders[0].last() < kLast && !mirror->fatal() &&
           mirror->archive().health() == storage::Health::ok) {
      if (std::chrono::steady_clock::now() > deadline) {
        throw std::runtime_error("the mirror neither fails nor ends");
      }
      std::this_thread::yield();
    }
  }
  // The process ends, whatever it was at; what was sent by then is received.
  void end_process() {
    mirror.reset();
    for (Recorder& recorder : recorders) recorder.join();
  }
  void live(Random& random) {
    if (start()) {
      subscribe(random);
      wait();
    }
    end_process();
  }

  // That the disk, without the layer, holds a beginning of what upstream sent, and all that was
  // received. Empty if so.
  std::string check() {
    std::int64_t received = 0;
    for (const Recorder& recorder : recorders) {
      if (std::string fault = recorder.fault(); !fault.empty()) return fault;
      if (recorder.has_frames()) received = std::max(received, recorder.last());
    }
    if (!fs::exists(archive_dir())) return received == 0 ? "" : "the archive is gone";
    Result<std::unique_ptr<storage::Archive>> opened =
        storage::Archive::open(archive_dir(), archive_options(false));
    if (!opened) return "does not open: " + to_string(opened.error());
    FrameMap held;
    const std::optional<storage::StreamInfo> stream = (*opened)->find_stream("repos");
    if (stream) {
      const Result<void> read = read_into(held, **opened, stream->id, stream->epochs.back().number);
      if (!read) return "reading: " + to_string(read.error());
    }
    const std::int64_t newest = held.empty() ? 0 : held.rbegin()->first;
    FrameMap expected;
    for (std::int64_t seq = 1; seq <= newest; ++seq) {
      expected[seq] = std::string(as_text(make_frame(seq)));
    }
    if (std::string wrong = differences(expected, held); !wrong.empty()) return wrong;
    if (newest >= received) return {};
    return "seq " + std::to_string(received) + " was served, and the archive ends at " +
           std::to_string(newest);
  }

  // Goes on to the end on a disk without faults: everybody has each frame once. Empty if so.
  std::string go_on(Random& random) {
    if (!start(/*is_faulty=*/false)) return "does not start again: " + why_not;
    subscribe(random);
    for (Recorder& recorder : recorders) {
      // Whoever came for what is new, and had nothing, may find that nothing new comes.
      if (&recorder == &recorders[1]) continue;
      recorder.join();
      if (recorder.last() != kLast) return "a subscriber ended before the end";
    }
    end_process();
    if (recorders[0].first() != 1) return "the first frame was not seq 1";
    for (const Recorder& recorder : recorders) {
      if (std::string fault = recorder.fault(); !fault.empty()) return "went on: " + fault;
    }
    return {};
  }

  fs::path archive_dir() const { return dir_ / "disk" / "archive"; }

 private:
  TempDir dir_{TempDir::Where::memory};
  const ScriptedUpstream& upstream_;

 public:
  std::optional<FaultFs> disk;
  std::unique_ptr<InProcessMirror> mirror;  // must go before disk
  std::vector<Recorder> recorders = std::vector<Recorder>(kRecorders);
  std::string why_not;
};

// How many operations an undisturbed life has, about: threads share the disk.
std::uint64_t count_steps(const ScriptedUpstream& upstream) {
  Random random(1);
  Lab lab(upstream);
  lab.live(random);
  EXPECT_EQ(lab.recorders[0].last(), kLast) << lab.why_not;
  EXPECT_EQ(lab.check(), "");
  return lab.disk->steps();
}

TEST(MirrorPowerLoss, WhatAnySubscriberReceivedIsThereAfterIt) {
  const ScriptedUpstream upstream(holding(1, kLast));
  const std::uint64_t steps = count_steps(upstream);
  Random random(11);
  std::int64_t served = 0;
  int cuts = 0;
  const std::size_t rounds = scaled(50);
  for (std::size_t round = 0; round < rounds; ++round) {
    Lab lab(upstream);
    const std::uint64_t cut = 1 + random.below(steps);
    lab.disk->cut_at(cut);
    lab.live(random);
    if (lab.disk->is_cut()) ++cuts;
    const std::string where = "cut at " + lab.disk->step_text(cut);
    lab.disk->materialize(round % 3 == 0 ? 0 : 2 + random.below(1'000));
    for (const Recorder& recorder : lab.recorders) served += recorder.last() > 0 ? 1 : 0;
    ASSERT_EQ(lab.check(), "") << where;
    ASSERT_EQ(lab.go_on(random), "") << where;
  }
  std::printf("%d power cuts of %d; %d subscriptions had received something\n", cuts,
              static_cast<int>(rounds), static_cast<int>(served));
  EXPECT_GE(static_cast<std::size_t>(cuts), rounds / 2);
}

// One operation fails and the process ends over it; the next one serves what it finds, and then the
// power goes. What a failed sync left in the kernel's memory looks stored, and is not.
TEST(MirrorPowerLoss, WhatWasServedAfterAFailedWriteIsThereAfterIt) {
  const ScriptedUpstream upstream(holding(1, kLast));
  const std::uint64_t steps = count_steps(upstream);
  Random random(12);
  int failed = 0;
  const std::size_t rounds = scaled(80);
  for (std::size_t round = 0; round < rounds; ++round) {
    Lab lab(upstream);
    const std::uint64_t step = 1 + random.below(steps);
    const Fault::Effect effects[] = {Fault::Effect::none, Fault::Effect::part,
                                     Fault::Effect::whole};
    lab.disk->fail_at(step, {Fault::Kind::io, effects[round % 3]});
    lab.live(random);
    if (lab.recorders[0].last() < kLast) ++failed;
    std::string where = lab.disk->step_text(step) + " failed";
    // In the midst of the recovery, or while what it found is served.
    const std::uint64_t cut = lab.disk->steps() + 1 + random.below(150);
    lab.disk->cut_at(cut);
    lab.live(random);
    where += ", then cut at " + lab.disk->step_text(cut);
    lab.disk->materialize(round % 3 == 0 ? 0 : 2 + random.below(1'000));
    ASSERT_EQ(lab.check(), "") << where;
    ASSERT_EQ(lab.go_on(random), "") << where;
  }
  std::printf("%d of %d failures ended the process\n", failed, static_cast<int>(rounds));
  EXPECT_GE(static_cast<std::size_t>(failed), rounds / 4);
}

}  // namespace
}  // namespace standpipe::test
