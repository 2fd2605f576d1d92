// One run of `standpipe play`: a fixture, its faults, its pace, and what is asked of it by HTTP.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"
#include "tools/play/fault_book.h"
#include "tools/play/report.h"
#include "tools/play/server.h"
#include "tools/play_fixture.h"
#include "tools/play_pace.h"
#include "tools/stop_signal.h"

namespace standpipe::tools {

enum class PlayPaceKind : std::uint8_t { reader, speed, rate, stepped };

// When it ends by itself; whichever comes first.
struct PlayUntil {
  std::optional<std::uint64_t> caught_up;    // so many connections have been sent the last frame
  std::optional<std::uint64_t> connections;  // so many have ended
  std::optional<std::int64_t> ms;            // since it was ready
  bool is_faults = false;                    // each fault has happened
};
// "end", "end=2", "connections=3", "faults", "30s"; adds to `until`. invalid: anything else.
Result<void> parse_until(std::string_view text, PlayUntil& until);

struct PlayRunOptions {
  PlayPaceKind pace = PlayPaceKind::reader;
  double factor = 1;  // of speed; frames per second of rate
  PlayUntil until;
  play::Scenario scenario;
  std::string scenario_file;
  play::CursorMode cursor_mode = play::CursorMode::exclusive;
  std::optional<play::TlsIdentity> tls;
  std::uint16_t port = 0;
  std::uint64_t connections_max = 256;
};

// Thread-safe but for run().
class PlayRun {
 public:
  // invalid: a fault at a frame that is not there; a speed of frames without times; a certificate.
  // io: no port.
  static Result<std::unique_ptr<PlayRun>> start(PlayRunOptions options, PlayFixture fixture);
  ~PlayRun();
  PlayRun(const PlayRun&) = delete;
  PlayRun& operator=(const PlayRun&) = delete;

  // {"url": "ws://127.0.0.1:43121", ...} and a newline: what is said once it is ready.
  std::string ready_text() const;
  // Returns when it has ended, by --until, by stop(), or by the signal.
  void run(const StopSignal& signal);
  void stop();

  std::string report() const;
  std::string missed() const;  // empty: all faults happened

 private:
  PlayRun(PlayRunOptions options, const PlayFixture& fixture);
  play::Server& server() const;
  play::PlayOptions server_options(PlayFixture fixture);
  bool is_over(const std::vector<play::ConnectionRecord>& connections) const;
  std::optional<play::HttpAnswer> answer(const play::ConnectionRecord& request);
  play::HttpAnswer answer_control(const play::ConnectionRecord& request, std::string_view path);
  play::HttpAnswer advance(const play::ConnectionRecord& request);
  play::FixtureFigures figures() const;

  PlayRunOptions options_;
  play::FixtureFigures figures_;
  std::unique_ptr<play::FaultBook> book_;
  std::unique_ptr<play::Server> owned_;
  std::atomic<play::Server*> server_ = nullptr;  // of owned_, for calls that come before it is set
  std::atomic<std::uint64_t> released_ = 0;      // of the pace; not used by the reader's
  std::mutex advance_;                           // one advance at a time
  std::atomic<bool> is_stopped_ = false;
  std::unique_ptr<PlayPace> pace_;
};

}  // namespace standpipe::tools
