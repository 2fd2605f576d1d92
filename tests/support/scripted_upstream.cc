#include "tests/support/scripted_upstream.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <list>
#include <thread>
#include <utility>

#include "schema/base/assert.h"
#include "tests/support/upstream_connection.h"
#include "tests/support/upstream_state.h"

namespace standpipe::test {

std::string_view to_string(ConnectionEnd end) {
  switch (end) {
    case ConnectionEnd::open:
      return "open";
    case ConnectionEnd::refused:
      return "refused";
    case ConnectionEnd::cut:
      return "cut";
    case ConnectionEnd::reset:
      return "reset";
    case ConnectionEnd::closed:
      return "closed";
    case ConnectionEnd::future_cursor:
      return "future_cursor";
    case ConnectionEnd::closed_by_peer:
      return "closed_by_peer";
    case ConnectionEnd::left:
      return "left";
    case ConnectionEnd::left_by_reset:
      return "left_by_reset";
    case ConnectionEnd::tls_failed:
      return "tls_failed";
    case ConnectionEnd::broken:
      return "broken";
    case ConnectionEnd::stopped:
      return "stopped";
  }
  return "?";
}

std::optional<std::string> ConnectionRecord::header(std::string_view name) const {
  return find_header(headers, name);
}

// Accepts on a thread of its own, and gives each connection one.
class ScriptedUpstream::Listener {
 public:
  explicit Listener(UpstreamState& state)
      : state_(state), socket_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    STANDPIPE_ASSERT(::bind(socket_.get(), generic, size) == 0 &&
                         ::listen(socket_.get(), SOMAXCONN) == 0 &&
                         ::getsockname(socket_.get(), generic, &size) == 0,
                     "cannot listen on 127.0.0.1");
    port_ = ntohs(address.sin_port);
    state_.add_waker(&wake_);
    thread_ = std::thread([this] { accept_all(); });
  }

  ~Listener() {
    thread_.join();
    state_.remove_waker(&wake_);
  }

  std::uint16_t port() const { return port_; }
  std::size_t open_connections() const { return open_; }

 private:
  struct Worker {
    std::atomic<bool> is_done = false;
    std::thread thread;
  };

  void accept_all() {
    while (!state_.is_stopping()) {
      std::array<pollfd, 2> entries = {pollfd{socket_.get(), POLLIN, 0},
                                       pollfd{wake_.fd(), POLLIN, 0}};
      ::poll(entries.data(), entries.size(), -1);
      wake_.clear();
      FileDescriptor accepted(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      join_if([](const Worker& worker) { return worker.is_done.load(); });
      if (accepted.get() >= 0) start(NetStream(std::move(accepted)));
    }
    socket_.close();
    join_if([](const Worker&) { return true; });
  }

  void start(NetStream stream) {
    if (workers_.size() >= state_.options().connections_max) return stream.reset();
    const auto number = state_.add_connection();
    if (!number) return stream.reset();
    ++open_;
    Worker& worker = workers_.emplace_back();
    // The connection is made here, so that plans are taken in the order of the numbers.
    auto connection = std::make_unique<UpstreamConnection>(state_, std::move(stream), *number);
    worker.thread = std::thread([this, &worker, held = std::move(connection)]() mutable {
      held->run();
      held.reset();
      --open_;
      worker.is_done = true;
    });
  }

  template <typename Condition>
  void join_if(Condition condition) {
    for (auto at = workers_.begin(); at != workers_.end();) {
      if (!condition(*at)) {
        ++at;
        continue;
      }
      at->thread.join();
      at = workers_.erase(at);
    }
  }

  UpstreamState& state_;
  FileDescriptor socket_;
  std::uint16_t port_ = 0;
  const WakeEvent wake_;
  std::atomic<std::size_t> open_ = 0;
  std::list<Worker> workers_;  // of the accepting thread
  std::thread thread_;
};

ScriptedUpstream::ScriptedUpstream(UpstreamOptions options)
    : state_(std::make_unique<UpstreamState>(std::move(options))),
      listener_(std::make_unique<Listener>(*state_)) {}

ScriptedUpstream::~ScriptedUpstream() { state_->stop(); }

std::uint16_t ScriptedUpstream::port() const { return listener_->port(); }

std::string ScriptedUpstream::url(std::string_view path) const {
  return fmt::format("{}://127.0.0.1:{}{}", state_->tls() == nullptr ? "ws" : "wss", port(), path);
}

void ScriptedUpstream::append(std::vector<UpstreamFrame> frames) {
  state_->append(std::move(frames));
}

void ScriptedUpstream::append(std::int64_t seq, Bytes bytes) {
  std::vector<UpstreamFrame> frames;
  frames.push_back({seq, std::move(bytes)});
  state_->append(std::move(frames));
}

void ScriptedUpstream::forget(std::int64_t seq) { state_->forget(seq); }

void ScriptedUpstream::release(std::uint64_t frames) { state_->release(frames); }

void ScriptedUpstream::release_all() { state_->release_all(); }

void ScriptedUpstream::plan_next(ConnectionPlan plan) { state_->plan_next(std::move(plan)); }

std::vector<ConnectionRecord> ScriptedUpstream::connections() const { return state_->records(); }

ConnectionRecord ScriptedUpstream::connection(std::size_t number) const {
  return state_->record(number);
}

std::size_t ScriptedUpstream::open_connections() const { return listener_->open_connections(); }

void ScriptedUpstream::wait_for_connections(std::size_t count) const {
  const auto holds = [count](const std::vector<ConnectionRecord>& records) {
    return records.size() >= count &&
           std::all_of(records.begin(), records.begin() + static_cast<std::ptrdiff_t>(count),
                       [](const ConnectionRecord& record) {
                         return record.has_request || record.is_silent ||
                                record.end != ConnectionEnd::open;
                       });
  };
  state_->wait(holds, fmt::format("{} connections", count));
}

void ScriptedUpstream::wait_until_sent(std::int64_t seq) const {
  const auto holds = [seq](const std::vector<ConnectionRecord>& records) {
    return std::any_of(records.begin(), records.end(), [seq](const ConnectionRecord& record) {
      return record.greatest_seq_sent >= seq;
    });
  };
  state_->wait(holds, fmt::format("seq {} to be sent", seq));
}

void ScriptedUpstream::wait_until_sent(std::size_t number, std::int64_t seq) const {
  wait_for(number, fmt::format("seq {} to be sent", seq),
           [seq](const ConnectionRecord& record) { return record.greatest_seq_sent >= seq; });
}

ConnectionRecord ScriptedUpstream::wait_for_end(std::size_t number) const {
  return wait_for(number, "its end",
                  [](const ConnectionRecord& record) { return record.end != ConnectionEnd::open; });
}

void ScriptedUpstream::wait_for_pongs(std::size_t number, std::size_t count) const {
  wait_for(number, fmt::format("{} pongs", count),
           [count](const ConnectionRecord& record) { return record.pongs.size() >= count; });
}

ConnectionRecord ScriptedUpstream::wait_for(
    std::size_t number, std::string_view what,
    const std::function<bool(const ConnectionRecord&)>& holds) const {
  ConnectionRecord found;
  const auto is_so = [&](const std::vector<ConnectionRecord>& records) {
    if (number >= records.size() || !holds(records[number])) return false;
    found = records[number];
    return true;
  };
  state_->wait(is_so, fmt::format("connection {}: {}", number, what));
  return found;
}

}  // namespace standpipe::test
