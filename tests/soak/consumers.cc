#include "tests/soak/consumers.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>

#include "tests/support/http_exchange.h"
#include "tests/support/subscriber.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {
namespace {

using std::chrono::milliseconds;

bool holds(ByteView frame, std::string_view text) {
  return std::string_view(reinterpret_cast<const char*>(frame.data()), frame.size()).find(text) !=
         std::string_view::npos;
}

}  // namespace

// One connection, as far as it has been read.
class Consumer::Session {
 public:
  // Throws where there is no server.
  Session(Consumption& shared, std::int64_t cursor, SubscriberOptions options = {})
      : shared_(shared),
        position_(cursor),
        may_jump_(cursor == 0),  // the oldest frame, whichever that is
        subscriber_(Subscriber::connect(
            shared.port, fmt::format("{}?cursor={}", kSubscribeRepos, cursor), options)) {
    ++shared_.connections;
  }

  std::int64_t position() const { return position_; }
  Subscriber& subscriber() { return subscriber_; }

  // False: the connection has ended, or something was wrong, which then has been told.
  bool read_one() {
    const Received received = subscriber_.next();
    if (const Bytes* const frame = std::get_if<Bytes>(&received)) return take(*frame);
    if (const auto* const closed = std::get_if<Closed>(&received)) {
      if (closed->code == 1008 && closed->reason != "ConsumerTooSlow") tell(describe(received));
    } else if (!std::holds_alternative<TcpEnd>(received)) {
      tell(describe(received));
    }
    return false;
  }

 private:
  bool take(const Bytes& frame) {
    const std::optional<std::int64_t> seq = seq_of(frame);
    if (!seq) return take_note(frame);
    if (*seq != position_ + 1 && !(may_jump_ && *seq > position_)) {
      return tell(fmt::format("seq {} after {}", *seq, position_));
    }
    may_jump_ = false;
    position_ = *seq;
    if (!shared_.deliveries.note(*seq, frame)) {
      return tell(fmt::format("other bytes for seq {}", *seq));
    }
    return true;
  }
  // #info and errors: they say what the next seq may do.
  bool take_note(const Bytes& frame) {
    if (holds(frame, "OutdatedCursor")) {
      ++shared_.overtaken;
      may_jump_ = true;
      return true;
    }
    if (holds(frame, "ConsumerTooSlow")) {
      ++shared_.too_slow;
      return true;
    }
    return tell("an unexpected note");
  }
  bool tell(const std::string& what) {
    shared_.deliveries.fail(what);
    return false;
  }

  Consumption& shared_;
  std::int64_t position_;
  bool may_jump_;
  Subscriber subscriber_;
};

Consumer::Consumer(Consumption& shared, Habit habit, std::uint64_t seed)
    : shared_(shared), habit_(habit), random_(seed), thread_([this] { run(); }) {}

Consumer::~Consumer() { join(); }

void Consumer::join() {
  if (thread_.joinable()) thread_.join();
}

void Consumer::run() {
  while (!shared_.is_over) {
    if (shared_.port == 0) {
      pause(50);
      continue;
    }
    try {
      switch (habit_) {
        case Habit::follows:
          follow();
          break;
        case Habit::comes:
          come_and_go();
          break;
        case Habit::stalls:
          stall();
          break;
        case Habit::lies:
          lie();
          break;
      }
    } catch (const std::exception& error) {
      // Where the mirror was killed there is nobody to connect to; else nothing may be missing.
      if (habit_ == Habit::follows && !shared_.is_over &&
          std::string_view(error.what()).find("in vain") != std::string_view::npos) {
        shared_.deliveries.fail(error.what());
      }
      pause(50);
    }
  }
}

void Consumer::pause(std::uint64_t ms_max) {
  const auto end = std::chrono::steady_clock::now() + milliseconds(random_.below(ms_max + 1));
  while (!shared_.is_over && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::min(
        milliseconds(20), std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now())));
  }
}

void Consumer::follow() {
  Session session(shared_, position_);
  while (!shared_.is_over && session.read_one()) position_ = session.position();
  position_ = session.position();
}

void Consumer::come_and_go() {
  const std::int64_t newest = shared_.deliveries.newest();
  const std::int64_t cursor =
      static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(newest) + 1));
  Session session(shared_, cursor);
  for (std::uint64_t left = random_.below(20'000); left > 0 && !shared_.is_over; --left) {
    if (!session.read_one()) return;
  }
  switch (random_.below(4)) {
    case 0:
      session.subscriber().reset();
      break;
    case 1:
      session.subscriber().finish_writing();
      break;
    case 2:
      session.subscriber().send_close(1000);
      break;
    default:
      session.subscriber().close();
      break;
  }
  pause(500);
}

void Consumer::stall() {
  SubscriberOptions options;
  options.receive_buffer = 16 << 10;
  const std::int64_t newest = shared_.deliveries.newest();
  Session session(shared_, std::max<std::int64_t>(newest - 1'000, 0), options);
  if (!session.read_one()) return;
  pause(40'000);
  while (!shared_.is_over && session.read_one() && session.position() < newest + 20'000) continue;
}

// Half a request, none at all, other people's protocols, and frames that are not to be sent.
void Consumer::lie() {
  ++shared_.lies;
  SubscriberOptions options;
  switch (random_.below(4)) {
    case 0: {
      NetStream silent = connect_stream(shared_.port, options);
      pause(3'000);
      break;
    }
    case 1: {
      NetStream slow = connect_stream(shared_.port, options);
      const std::string request = fmt::format("GET {} HTTP/1.1\r\nHost: a\r\n", kSubscribeRepos);
      for (const char byte : request) {
        if (!write_all(slow, as_bytes(std::string_view(&byte, 1)), deadline_from_now())) return;
        pause(100);
      }
      break;
    }
    case 2: {
      std::string garbage;
      for (int i = 0; i < 2'000; ++i) garbage += static_cast<char>(random_.below(256));
      exchange_raw(shared_.port, garbage, options);
      break;
    }
    default: {
      Session session(shared_, shared_.deliveries.newest(), options);
      session.subscriber().send_text(std::string(1 << 20, 'x'));
      session.subscriber().send_binary(1 << 20);
      // Whatever it says to that: it ends the connection.
      for (int i = 0; i < 100; ++i) {
        const Received received = session.subscriber().next();
        if (!std::holds_alternative<Bytes>(received)) break;
      }
      break;
    }
  }
  pause(500);
}

}  // namespace standpipe::test
