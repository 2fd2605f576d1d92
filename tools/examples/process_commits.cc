// Commits in parallel, those of a repository in their order, with a cursor in a file: ended and
// started again, it goes on where everything was done.
//
//     example_process_commits CURSOR_FILE [BASE_URI]
#include <signal.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "archiver/firehose/firehose.h"

namespace firehose = standpipe::firehose;

namespace {

constexpr std::size_t kWorkers = 4;
constexpr std::size_t kQueueMax = 256;  // of each worker; whoever is full holds the stream back
constexpr std::uint64_t kSaveEvery = 1'000;

// One thread with the frames of its repositories.
class Worker {
 public:
  using Work = std::function<void(const firehose::MessageFrame&)>;
  explicit Worker(Work work) : work_(std::move(work)), thread_([this] { run(); }) {}
  ~Worker() { finish(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void put(firehose::MessageFrame frame) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return frames_.size() < kQueueMax; });
    frames_.push_back(std::move(frame));
    changed_.notify_all();
  }

  void finish() {  // what is queued is done first
    {
      const std::lock_guard lock(mutex_);
      is_finishing_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return is_finishing_ || !frames_.empty(); });
      if (frames_.empty()) return;
      const firehose::MessageFrame frame = std::move(frames_.front());
      frames_.pop_front();
      changed_.notify_all();
      lock.unlock();
      work_(frame);
    }
  }

  const Work work_;
  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::deque<firehose::MessageFrame> frames_;
  bool is_finishing_ = false;
  std::thread thread_;  // last: it uses everything above
};

std::optional<standpipe::Seq> read_cursor(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::int64_t cursor = 0;
  if (!(file >> cursor)) return std::nullopt;
  return standpipe::Seq{cursor};
}

// Beside it first: whoever reads it finds the old one or the new one.
void write_cursor(const std::filesystem::path& path, standpipe::Seq cursor) {
  const std::filesystem::path beside = path.string() + ".new";
  {
    std::ofstream file(beside, std::ios::trunc);
    file << standpipe::to_int(cursor) << '\n';
    if (!file.flush()) throw std::runtime_error("cannot write " + beside.string());
  }
  std::filesystem::rename(beside, path);
}

// The work: here, how many bytes of records a commit brings.
std::size_t record_bytes(const firehose::MessageFrame& frame) {
  const auto message = firehose::or_throw(firehose::parse_subscribe_repos_message(frame));
  const auto& commit = std::get<firehose::Commit>(message);
  if (commit.blocks.empty()) return 0;
  const auto car = firehose::or_throw(firehose::Car::from_bytes(commit.blocks));
  std::size_t bytes = 0;
  for (const firehose::RepoOp& op : commit.ops) {
    if (op.cid) bytes += car.find(*op.cid).value_or(standpipe::ByteView()).size();
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: " << argv[0] << " CURSOR_FILE [BASE_URI]\n";
    return 2;
  }
  // Before there are threads, which then block them too: one of them waits for these.
  sigset_t endings;
  sigemptyset(&endings);
  sigaddset(&endings, SIGINT);
  sigaddset(&endings, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &endings, nullptr);

  const std::filesystem::path path = argv[1];
  firehose::ClientOptions options;
  if (argc > 2) options.base_uri = argv[2];
  const std::optional<standpipe::Seq> start = read_cursor(path);
  firehose::CursorTracker tracker(start);
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<std::uint64_t> commits = 0;

  std::vector<std::unique_ptr<Worker>> workers;
  for (std::size_t i = 0; i < kWorkers; ++i) {
    workers.push_back(std::make_unique<Worker>([&](const firehose::MessageFrame& frame) {
      try {
        bytes += record_bytes(frame);
        ++commits;
      } catch (const std::exception& error) {
        std::cerr << "seq " << standpipe::to_int(*frame.seq()) << ": " << error.what() << '\n';
      }
      tracker.done(*frame.seq());  // a commit that cannot be read is done with, too
    }));
  }

  firehose::FirehoseSubscribeReposClient client({start}, options);
  std::thread stops([&] {
    int signal = 0;
    sigwait(&endings, &signal);
    client.stop();
  });
  std::uint64_t frames = 0;
  int status = 0;
  try {
    client.start([&](const firehose::MessageFrame& frame) {
      if (!frame.seq()) return;
      tracker.begin(*frame.seq());
      if (frame.kind() == standpipe::FrameKind::commit) {
        workers[std::hash<std::string_view>()(frame.did()) % kWorkers]->put(frame);
      } else {
        tracker.done(*frame.seq());
      }
      if (++frames % kSaveEvery == 0 && tracker.cursor()) write_cursor(path, *tracker.cursor());
    });
  } catch (const firehose::FirehoseError& error) {
    std::cerr << "the server ended it: " << error.what() << '\n';
    status = 1;
    pthread_kill(stops.native_handle(), SIGTERM);
  }
  stops.join();

  workers.clear();
  if (tracker.cursor()) write_cursor(path, *tracker.cursor());
  std::cout << commits << " commits, " << bytes << " bytes of records\n";
  return status;
}
