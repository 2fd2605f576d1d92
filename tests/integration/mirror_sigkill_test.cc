// SIGKILL at random moments of a mirror that ingests as fast as its upstream sends, with
// subscribers on it: nothing that any of them got is missing, and each gets everything once.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/archive_fixture.h"
#include "tests/support/bulk_frames.h"
#include "tests/support/mirror_fixture.h"
#include "tests/support/scale.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {
namespace {

constexpr std::int64_t kAhead = 3'000;  // what upstream holds beyond the newest, when a life begins

// Small partitions and a small live log: rolls, and falling back to the archive, are near.
const std::vector<std::string> kSmall{
    "--live-bytes",          "256KiB", "--partition-bytes", "600KiB", "--partition-span", "1s",
    "--partition-bytes-min", "100KiB", "--cache-bytes",     "1MiB"};

// What upstream has so far. Frames are appended by one thread and read by all.
class Model {
 public:
  explicit Model(std::int64_t last_max) { frames_.reserve(static_cast<std::size_t>(last_max)); }

  std::vector<UpstreamFrame> extend(std::int64_t last) {
    std::vector<UpstreamFrame> added;
    for (std::int64_t seq = last_.load() + 1; seq <= last; ++seq) {
      frames_.push_back(make_frame(seq));
      added.push_back({seq, frames_.back()});
    }
    last_.store(std::max(last, last_.load()));
    return added;
  }
  std::int64_t last() const { return last_; }
  bool is_right(std::int64_t seq, ByteView bytes) const {
    return seq >= 1 && seq <= last_ &&
           std::ranges::equal(frames_[static_cast<std::size_t>(seq - 1)], bytes);
  }

 private:
  std::vector<Bytes> frames_;  // never reallocated
  std::atomic<std::int64_t> last_ = 0;
};

// The lives of the mirror, as subscribers see them: where it listens, if it does.
class Lives {
 public:
  void begin(std::uint16_t port) {
    const std::lock_guard lock(mutex_);
    port_ = port;
    ++number_;
    changed_.notify_all();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
    changed_.notify_all();
  }
  // The port of a life after number `seen`, which becomes its number; nullopt: there is none.
  std::optional<std::uint16_t> wait_after(int& seen) {
    std::unique_lock lock(mutex_);
    ++idle_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return is_over_ || number_ > seen; });
    --idle_;
    if (number_ <= seen) return std::nullopt;
    seen = number_;
    return port_;
  }
  // Until so many subscribers have read to the end of the present life.
  bool wait_for_idle(int count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kTestDeadline, [&] { return idle_ == count; });
  }

 private:
  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::uint16_t port_ = 0;
  int number_ = 0;
  int idle_ = 0;
  bool is_over_ = false;
};

struct EndOfLives {
  Lives& lives;
  ~EndOfLives() { lives.end(); }
};

// Connects to each life with the last seq that it got, and checks each frame as it comes.
class Follower {
 public:
  Follower(const Model& model, Lives& lives, std::string first_query)
      : model_(model), lives_(lives), first_query_(std::move(first_query)) {}

  ~Follower() { join(); }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  void start() {
    thread_ = std::thread([this] { run(); });
  }
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  std::int64_t last() const { return last_; }
  std::uint64_t frames() const { return frames_; }
  bool has_failed() const { return has_failed_; }
  // Once joined:
  std::int64_t first() const { return first_; }
  const std::string& failure() const { return failure_; }

 private:
  void run() {
    for (int seen = 0; const auto port = lives_.wait_after(seen);) {
      std::optional<Subscriber> subscriber;
      try {
        const std::string query =
            last_ == 0 ? first_query_ : "?cursor=" + std::to_string(last_.load());
        subscriber = Subscriber::connect(*port, std::string(kSubscribeRepos) + query);
      } catch (const std::exception&) {
        continue;  // it was killed before there was a connection
      }
      if (subscriber->is_upgraded()) follow(*subscriber);
    }
  }

  void follow(Subscriber& subscriber) {
    try {
      for (;;) {
        const Received received = subscriber.next();
        if (std::holds_alternative<TcpEnd>(received)) return;
        if (!take(received)) return;
      }
    } catch (const std::exception& error) {
      fail(error.what());
    }
  }

  bool take(const Received& received) {
    const Bytes* const frame = std::get_if<Bytes>(&received);
    const std::int64_t seq = frame == nullptr ? 0 : seq_of(*frame).value_or(0);
    if (seq == 0) return fail("received " + describe(received));
    if (last_ != 0 && seq != last_ + 1) {
      return fail("seq " + std::to_string(seq) + " after " + std::to_string(last_));
    }
    if (!model_.is_right(seq, *frame)) return fail("other bytes for seq " + std::to_string(seq));
    if (last_ == 0) first_ = seq;
    last_ = seq;
    ++frames_;
    return true;
  }
  bool fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
    has_failed_ = true;
    return false;
  }

  const Model& model_;  // not ours
  Lives& lives_;        // not ours
  const std::string first_query_;
  std::thread thread_;
  std::atomic<std::int64_t> last_ = 0;
  std::atomic<std::uint64_t> frames_ = 0;
  std::atomic<bool> has_failed_ = false;
  std::int64_t first_ = 0;
  std::string failure_;
};

class MirrorSigkill : public MirrorFixture {
 protected:
  // Reads what the dead process left, without changing it, from `checked` on. Empty if it is the
  // beginning of what upstream has, and ends at `received` or above.
  std::string check_archive(const Model& model, std::int64_t received) {
    storage::ArchiveOptions options;
    options.access = storage::Access::read_only;
    options.create_if_missing = false;
    auto opened = storage::Archive::open(archive(), options);
    if (!opened) return "does not open: " + to_string(opened.error());
    const std::optional<storage::StreamInfo> stream = (*opened)->find_stream("repos");
    if (!stream) return received == 0 ? "" : "the stream is gone";
    FrameMap held;
    const Result<void> read =
        read_into(held, **opened, stream->id, stream->epochs.back().number, Seq{checked});
    if (!read) return "reading: " + to_string(read.error());
    for (const auto& [seq, bytes] : held) {
      if (seq != checked + 1) return "seq " + std::to_string(seq) + " after a hole";
      if (!model.is_right(seq, as_bytes(bytes))) return "other bytes at " + std::to_string(seq);
      checked = seq;
    }
    if (checked >= received) return {};
    return "seq " + std::to_string(received) + " was received, and the archive ends at " +
           std::to_string(checked);
  }

  // A burst of work for the length of it, not of time.
  static void spin(std::uint64_t turns) {
    std::atomic<std::uint64_t> turned = 0;
    while (turned.fetch_add(1, std::memory_order_relaxed) < turns) {
    }
  }

  // Kills while it starts: after a random amount of our own work.
  void kill_while_starting(Random& random) {
    std::vector<std::string> arguments = arguments_of("mirror", kSmall);
    arguments.insert(arguments.end(), {"--listen", "127.0.0.1:0"});
    Process starting(arguments);
    spin(random.below(30'000'000));
    starting.signal(SIGKILL);
    EXPECT_EQ(starting.wait().status, -SIGKILL);
    ++killed_starting;
  }

  std::int64_t checked = 0;  // newest seq of the archive that was found right
  int killed_starting = 0;
};

TEST_F(MirrorSigkill, AtRandomMomentsLosesNothingAndRepeatsNothing) {
  const std::size_t rounds = scaled(50);
  Model model(static_cast<std::int64_t>(rounds + 2) * kAhead);
  Lives lives;
  Random random(2026);
  UpstreamOptions script;
  script.frames = model.extend(kAhead);
  given_upstream(std::move(script));
  std::vector<std::unique_ptr<Follower>> followers;
  const EndOfLives at_the_end{lives};  // goes before those who wait for another
  const auto follow = [&](const std::string& query) {
    followers.push_back(std::make_unique<Follower>(model, lives, query));
    followers.back()->start();
  };
  const auto received = [&] {
    std::int64_t newest = 0;
    for (const auto& follower : followers) newest = std::max(newest, follower->last());
    return newest;
  };
  for (const char* query : {"?cursor=0", "", "?cursor=0", ""}) follow(query);

  for (std::size_t round = 0; round < rounds; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    // Somebody who begins anywhere.
    if (round % 10 == 5)
      follow("?cursor=" + std::to_string(random.below(static_cast<std::uint64_t>(checked) + 1)));
    if (round % 8 == 7) kill_while_starting(random);
    const std::int64_t goal = checked + 1 + static_cast<std::int64_t>(random.below(kAhead - 500));
    upstream().append(model.extend(checked + kAhead));
    given_mirror(kSmall);
    lives.begin(port());
    // Upstream has sent so much, or a subscriber has got so much, and a moment more.
    if (random.chance(2)) {
      upstream().wait_until_sent(goal);
    } else {
      const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
      while (received() < goal) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nobody got seq " << goal;
        std::this_thread::yield();
      }
    }
    spin(random.below(200'000));
    EXPECT_EQ(kill().status, -SIGKILL);
    ASSERT_TRUE(lives.wait_for_idle(static_cast<int>(followers.size())));
    for (const auto& follower : followers) {
      if (!follower->has_failed()) continue;
      lives.end();
      follower->join();
      FAIL() << follower->failure();
    }
    ASSERT_EQ(check_archive(model, received()), "");
  }

  const std::int64_t last = model.last() + 100;
  upstream().append(model.extend(last));
  given_mirror(kSmall);
  lives.begin(port());
  wait_until_durable(last);
  Subscriber from_start = subscribe("?cursor=0");
  std::int64_t next = 1;
  for (; next <= last; ++next) ASSERT_TRUE(model.is_right(next, from_start.next_frame())) << next;
  // One frame for those who begin only now, and the end of the read for all.
  upstream().append(model.extend(last + 1));
  for (const auto& follower : followers) {
    const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
    while (follower->last() <= last && !follower->has_failed()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline);
      std::this_thread::yield();
    }
  }
  stop();
  lives.end();
  for (const auto& follower : followers) {
    follower->join();
    EXPECT_EQ(follower->failure(), "");
    EXPECT_EQ(follower->last(), last + 1);
    EXPECT_EQ(follower->frames(), static_cast<std::uint64_t>(last + 1 - follower->first() + 1));
  }
  EXPECT_EQ(followers[0]->first(), 1);

  const std::string file = dir / "all.zst";
  const Outcome exported = run_standpipe(
      {"export", "--data", archive().string(), "--output", file, "--zstd-level", "1", "--quiet"});
  ASSERT_EQ(exported.status, 0) << exported.err;
  const std::vector<Bytes> frames = read_frame_corpus(file);
  ASSERT_EQ(frames.size(), static_cast<std::size_t>(last + 1));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_TRUE(model.is_right(static_cast<std::int64_t>(i) + 1, frames[i])) << i;
  }
  std::printf("%d kills, %d more while it started; %d frames in the end\n",
              static_cast<int>(rounds), killed_starting, static_cast<int>(frames.size()));
}

}  // namespace
}  // namespace standpipe::test
