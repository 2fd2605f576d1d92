// Verbs for tests of a whole stream: an archive, an upstream that follows a script, and the
// StreamArchiver between them.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "archiver/stream_archiver.h"
#include "tests/support/appender_fixture.h"
#include "tests/support/fault_fs.h"
#include "tests/support/net_stream.h"
#include "tests/support/scripted_upstream.h"

namespace standpipe::test {

class ArchiverFixture : public AppenderFixture {
 protected:
  ArchiverFixture() {
    stream_options.writer.clock = &clock;
    stream_options.writer.commit_interval = std::chrono::milliseconds(0);
    stream_options.writer.retry_interval = std::chrono::milliseconds(1);
    stream_options.upstream.reconnect.delay_min = std::chrono::milliseconds(1);
    stream_options.upstream.reconnect.delay_max = std::chrono::milliseconds(1);
  }
  ~ArchiverFixture() override {
    let_go_ = {};  // whoever is still held goes on
    stop();
    crash();  // before its disk goes
  }

  // Frames `first` to `last`, inclusive, as the upstream has them.
  static std::vector<UpstreamFrame> frames(std::int64_t first, std::int64_t last) {
    std::vector<UpstreamFrame> out;
    for (std::int64_t seq = first; seq <= last; ++seq) out.push_back({seq, make_frame(seq)});
    return out;
  }
  // The frames' model: what must be stored.
  static FrameMap stored(std::int64_t first, std::int64_t last) {
    FrameMap out;
    for (const UpstreamFrame& frame : frames(first, last)) {
      out[frame.seq] = std::string(as_text(frame.bytes));
    }
    return out;
  }

  static std::size_t bytes_of(const FrameMap& frames) {
    std::size_t bytes = 0;
    for (const auto& [seq, frame] : frames) bytes += frame.size();
    return bytes;
  }

  ScriptedUpstream& given_upstream(UpstreamOptions script) {
    server_ = std::make_unique<ScriptedUpstream>(std::move(script));
    return *server_;
  }
  ScriptedUpstream& given_upstream(std::int64_t first, std::int64_t last) {
    UpstreamOptions script;
    script.frames = frames(first, last);
    return given_upstream(std::move(script));
  }
  // Has seqs 1 to `last`, and sends those that are released.
  ScriptedUpstream& given_paced_upstream(std::int64_t last) {
    UpstreamOptions script;
    script.frames = frames(1, last);
    script.is_paced = true;
    return given_upstream(std::move(script));
  }
  ScriptedUpstream& server() { return *server_; }

  // The archive is made on a disk that fails when it is told to.
  void given_failing_disk() {
    std::filesystem::create_directories(archive_dir());
    disk.emplace(archive_dir());
    options.env = disk->env();
  }

  Result<void> try_start() {
    storage::StreamSpec spec;
    spec.name = "repos";
    spec.url = server().url();
    STANDPIPE_TRY(const storage::StreamInfo info,
                  archive().ensure_stream(spec, /*change_upstream=*/true));
    archiver::StreamCallbacks callbacks;
    callbacks.on_durable = [this](storage::EpochNumber number,
                                  const storage::CommitReport& report) { note(number, report); };
    callbacks.on_epoch_began = [this](storage::EpochNumber number) {
      const std::lock_guard lock(mutex_);
      began_.push_back(static_cast<int>(to_int(number)));
    };
    callbacks.on_fatal = [this](const Error& error) {
      const std::lock_guard lock(mutex_);
      fatal_.push_back(error.code);
    };
    STANDPIPE_TRY(stream_archiver_, archiver::StreamArchiver::start(archive(), info, stream_options,
                                                                    std::move(callbacks)));
    return {};
  }
  void start() { ASSERT_OK(try_start()); }
  void stop() { stream_archiver_.reset(); }
  archiver::StreamArchiver& stream_archiver() { return *stream_archiver_; }
  archiver::StreamStatus status() { return stream_archiver_->status(); }
  std::string state() { return std::string(to_string(status().state)); }

  FrameMap read_all_of(std::uint32_t number) {
    Result<FrameMap> read =
        test::read_all(archive(), stream(), storage::EpochNumber{number}, kSeqNone);
    EXPECT_OK(read);
    return read ? std::move(*read) : FrameMap();
  }

  // Until the status says so; the test fails after a minute with what it says instead.
  void wait_for(const std::string& what,
                const std::function<bool(const archiver::StreamStatus&)>& holds) {
    const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
    for (;;) {
      const archiver::StreamStatus now = status();
      if (holds(now)) return;
      if (std::chrono::steady_clock::now() > deadline) {
        FAIL() << "waited in vain for " << what << ": " << to_string(now.state) << ", newest "
               << to_int(now.newest) << ", last error: " << now.last_error;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void wait_for_newest(std::int64_t seq) {
    wait_for("seq " + std::to_string(seq),
             [&](const archiver::StreamStatus& now) { return now.newest == Seq{seq}; });
  }
  void wait_for_state(archiver::StreamState state) {
    wait_for("state " + std::string(to_string(state)),
             [&](const archiver::StreamStatus& now) { return now.state == state; });
  }

  void wait_until_queued(std::int64_t first, std::int64_t last) {
    constexpr std::size_t kBeside = 48;  // what a message takes in the queue beside its bytes
    const std::size_t queued =
        bytes_of(stored(first, last)) + static_cast<std::size_t>(last - first + 1) * kBeside;
    wait_for("a queue",
             [&](const archiver::StreamStatus& now) { return now.queue_bytes == queued; });
  }

  // The writer stands in its first publication until it is let go: what comes meanwhile goes
  // together.
  void hold_writer() {
    while_publishing_ = [this, is_first = true]() mutable {
      if (!std::exchange(is_first, false)) return;
      is_publishing_.set_value();
      let_go_.get_future().wait();
    };
  }
  void wait_until_held() { is_publishing_.get_future().wait(); }
  void let_writer_go() { let_go_.set_value(); }

  // What on_durable was told, in order: "1:17" is seq 17 of epoch 1.
  std::vector<std::string> durable() const {
    const std::lock_guard lock(mutex_);
    return durable_;
  }
  std::vector<int> epochs_began() const {
    const std::lock_guard lock(mutex_);
    return began_;
  }
  std::vector<Errc> fatal() const {
    const std::lock_guard lock(mutex_);
    return fatal_;
  }
  std::vector<std::int64_t> cursors() {
    std::vector<std::int64_t> out;
    for (const ConnectionRecord& seen : server().connections()) {
      out.push_back(seen.cursor.value_or(-1));
    }
    return out;
  }

  archiver::StreamOptions stream_options;
  std::optional<FaultFs> disk;

 private:
  void note(storage::EpochNumber number, const storage::CommitReport& report) {
    if (while_publishing_) while_publishing_();
    const std::lock_guard lock(mutex_);
    for (const auto& seqs : seqs_of(report)) {
      for (const std::int64_t seq : seqs) {
        durable_.push_back(std::to_string(to_int(number)) + ":" + std::to_string(seq));
      }
      // Durable before served: whoever is told of a seq can read it.
      EXPECT_GE(to_int(archive().newest(stream(), number)), seqs.back());
    }
  }

  std::unique_ptr<ScriptedUpstream> server_;
  std::function<void()> while_publishing_;  // on the writer's thread, within on_durable
  std::promise<void> is_publishing_, let_go_;
  mutable std::mutex mutex_;  // guards everything below, but for the archiver
  std::vector<std::string> durable_;
  std::vector<int> began_;
  std::vector<Errc> fatal_;
  std::unique_ptr<archiver::StreamArchiver> stream_archiver_;  // goes first
};

}  // namespace standpipe::test
