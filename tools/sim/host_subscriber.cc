#include "tools/sim/host_subscriber.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "replay/client_frames.h"
#include "replay/control_frames.h"
#include "replay/socket_state.h"
#include "schema/base/log.h"
#include "storage/run.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::size_t kAheadBytes = 256 << 10;
constexpr std::chrono::milliseconds kUserTimeout{60'000};
constexpr std::chrono::milliseconds kIdlePoll{1'000};
// A client that sends faster than it reads our pongs is not one of ours.
constexpr std::size_t kUnsentBytesMax = 1 << 20;

// What a thread does for its subscriber, until one of them has had enough.
class Conversation {
 public:
  Conversation(int fd, const HostSubscription& subscription, HostState& state)
      : fd_(fd), subscription_(subscription), state_(state) {}

  void begin(ByteView leftover) {
    take_input(leftover);
    const Seq newest = state_.newest(subscription_.kind);
    const Seq after = subscription_.cursor ? Seq{*subscription_.cursor} : newest;
    if (after > newest) {
      say(replay::future_cursor_frame());
      say_last(replay::close_frame(replay::kClosePolicy, replay::kFutureCursor));
      return;
    }
    source_ = state_.make_source(subscription_.kind, after);
    is_passing_ = true;
  }

  // A turn: makes what is due, sends what fits, reads what came. False: it is over.
  bool turn() {
    if (is_passing_) is_passing_ = source_->pass_over();
    if (!is_passing_) fill();
    if (is_last_said_ && unsent() == 0) return false;
    return exchange();
  }

 private:
  std::size_t unsent() const { return out_.size() - sent_; }
  void say(ByteView bytes) { out_ += as_text(bytes); }
  void say_last(ByteView bytes) {
    say(bytes);
    is_last_said_ = true;
  }

  void fill() {
    while (source_ && !is_last_said_ && unsent() < kAheadBytes) {
      if (!next_) next_ = source_->next();
      if (!next_) {
        source_.reset();  // no more of it; the connection stays, as that of a quiet host
        return;
      }
      if (!state_.clock().is_due(next_->time_ms)) return;
      storage::append_wire_frame(out_, next_->bytes);
      state_.on_handed_out(subscription_.kind, *next_);
      next_.reset();
    }
  }

  // Until when there is nothing to do but to wait for the peer.
  int wait_ms() const {
    if (is_passing_) return 0;
    std::chrono::milliseconds wait = kIdlePoll;
    if (next_ && unsent() < kAheadBytes) {
      wait = std::min(wait, state_.clock().until(next_->time_ms));
    }
    return static_cast<int>(wait.count());
  }

  bool exchange() {
    const short events = static_cast<short>(POLLIN | (unsent() > 0 ? POLLOUT : 0));
    pollfd waited{fd_, events, 0};
    if (::poll(&waited, 1, wait_ms()) < 0) return errno == EINTR;
    const auto came = static_cast<unsigned>(waited.revents);
    if ((came & POLLOUT) != 0 && !send()) return false;
    if ((came & (POLLIN | POLLHUP | POLLERR)) != 0 && !receive()) return false;
    return unsent() <= kUnsentBytesMax + kAheadBytes;
  }

  bool send() {
    const ssize_t size = ::send(fd_, out_.data() + sent_, unsent(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    sent_ += static_cast<std::size_t>(size);
    if (sent_ == out_.size()) {
      out_.clear();
      sent_ = 0;
    } else if (sent_ >= kAheadBytes) {
      out_.erase(0, sent_);
      sent_ = 0;
    }
    return true;
  }

  bool receive() {
    std::array<std::byte, 4096> bytes{};
    const ssize_t size = ::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    if (size == 0) return false;
    if (!is_last_said_) take_input(ByteView(bytes).first(static_cast<std::size_t>(size)));
    return true;
  }

  // Answers go behind whole frames: `out_` never ends within one.
  void take_input(ByteView bytes) {
    while (const auto event = reader_.next(bytes)) {
      switch (event->kind) {
        case replay::ClientEventKind::ping:
          say(replay::pong_frame(event->payload));
          break;
        case replay::ClientEventKind::pong:
          break;
        case replay::ClientEventKind::close: {
          const bool has_code = event->code != replay::kCloseNoCode;
          return say_last(replay::close_frame(has_code ? event->code : replay::kCloseNormal, ""));
        }
        case replay::ClientEventKind::violation:
          return say_last(replay::close_frame(event->code, event->why));
      }
    }
  }

  const int fd_;
  const HostSubscription& subscription_;
  HostState& state_;
  replay::ClientFrameReader reader_;
  std::unique_ptr<Source> source_;
  std::optional<TimedFrame> next_;  // made, and not due yet
  std::string out_;
  std::size_t sent_ = 0;  // of out_
  bool is_passing_ = false;
  bool is_last_said_ = false;
};

}  // namespace

HostSubscriber::HostSubscriber(int fd, Bytes leftover, HostSubscription subscription,
                               HostState& state, std::shared_ptr<void> place)
    : fd_(fd), subscription_(subscription), state_(state), place_(std::move(place)) {
  replay::prepare_subscriber_socket(fd_, kUserTimeout);
  thread_ =
      std::thread([this, leftover = std::move(leftover)]() mutable { run(std::move(leftover)); });
}

HostSubscriber::~HostSubscriber() {
  stop();
  thread_.join();
  ::close(fd_);
}

void HostSubscriber::stop() {
  is_stopped_ = true;
  ::shutdown(fd_, SHUT_RDWR);  // ends the thread's wait
}

void HostSubscriber::run(Bytes leftover) {
  try {
    Conversation conversation(fd_, subscription_, state_);
    conversation.begin(leftover);
    while (!is_stopped_ && conversation.turn()) {
    }
  } catch (const std::exception& error) {
    log_error(fmt::format("a subscriber of the simulated network ended: {}", error.what()));
  }
  ::shutdown(fd_, SHUT_RDWR);
  has_ended_ = true;
}

}  // namespace standpipe::tools::sim
