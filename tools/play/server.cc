#include "tools/play/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <list>
#include <thread>
#include <utility>

#include "schema/base/descriptors.h"
#include "tools/play/connection.h"
#include "tools/play/server_state.h"

namespace standpipe::tools::play {
namespace {

constexpr std::chrono::milliseconds kAcceptPause{100};  // after the descriptors have run out
constexpr std::size_t kDescriptorsEach = 2;             // of a connection: its socket, its waker
constexpr std::size_t kDescriptorsReserved = 64;        // that are not for connections

// Whoever is accepted must have a waker, too: that there are enough is settled beforehand.
Result<void> check_descriptors(std::size_t connections) {
  const std::size_t limit = raise_descriptor_limit();
  const std::size_t room = limit - std::min(limit, kDescriptorsReserved);
  if (connections <= room / kDescriptorsEach) return {};
  return Error{Errc::invalid,
               fmt::format("{} connections at once are too many for {} descriptors (ulimit -n): up "
                           "to {} are possible",
                           connections, limit, room / kDescriptorsEach)};
}

}  // namespace

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
class Server::Listener {
 public:
  static Result<std::unique_ptr<Listener>> start(ServerState& state, std::uint16_t port) {
    FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    // A port that was asked for is often one that a fixture before this one had.
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.get(), generic, size) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
        ::getsockname(socket.get(), generic, &size) != 0) {
      return Error{Errc::io,
                   fmt::format("cannot listen on 127.0.0.1:{}: {}", port, std::strerror(errno))};
    }
    return std::unique_ptr<Listener>(
        new Listener(state, std::move(socket), ntohs(address.sin_port)));
  }

  ~Listener() {
    thread_.join();
    state_.remove_waker(&wake_);
  }

  std::uint16_t port() const { return port_; }
  std::size_t open_connections() const { return open_; }

 private:
  Listener(ServerState& state, FileDescriptor socket, std::uint16_t port)
      : state_(state), socket_(std::move(socket)), port_(port) {
    state_.add_waker(&wake_);
    thread_ = std::thread([this] { accept_all(); });
  }

  struct Worker {
    std::atomic<bool> is_done = false;
    std::thread thread;
  };

  void accept_all() {
    bool is_short = false;  // of descriptors: who waits to be accepted stays readable
    while (!state_.is_stopping()) {
      if (state_.is_finishing()) socket_.close();
      std::array<pollfd, 2> entries = {pollfd{is_short ? -1 : socket_.get(), POLLIN, 0},
                                       pollfd{wake_.fd(), POLLIN, 0}};
      ::poll(entries.data(), entries.size(),
             is_short ? static_cast<int>(kAcceptPause.count()) : -1);
      wake_.clear();
      FileDescriptor accepted(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      is_short = accepted.get() < 0 && (errno == EMFILE || errno == ENFILE);
      join_if([](const Worker& worker) { return worker.is_done.load(); });
      if (accepted.get() >= 0) start(NetStream(std::move(accepted)));
    }
    socket_.close();
    join_if([](const Worker&) { return true; });
  }

  void start(NetStream stream) {
    if (workers_.size() >= state_.options().connections_max) return stream.reset();
    ++open_;
    Worker& worker = workers_.emplace_back();
    // Made here, so that numbers and plans are taken in the order of accept.
    auto connection = std::make_unique<Connection>(state_, std::move(stream));
    worker.thread = std::thread([this, &worker, held = std::move(connection)]() mutable {
      held->run();
      --open_;
      held.reset();  // which has waits look again
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

  ServerState& state_;
  FileDescriptor socket_;
  const std::uint16_t port_;
  const WakeEvent wake_;
  std::atomic<std::size_t> open_ = 0;
  std::list<Worker> workers_;  // of the accepting thread
  std::thread thread_;
};

Result<std::unique_ptr<Server>> Server::start(PlayOptions options) {
  STANDPIPE_CHECK(check_descriptors(options.connections_max));
  TlsContext tls;
  if (options.tls) {
    STANDPIPE_TRY(tls, make_server_tls(*options.tls));
  }
  const std::uint16_t port = options.port;
  auto state = std::make_unique<ServerState>(std::move(options), std::move(tls));
  STANDPIPE_TRY(auto listener, Listener::start(*state, port));
  return std::unique_ptr<Server>(new Server(std::move(state), std::move(listener)));
}

Server::Server(std::unique_ptr<ServerState> state, std::unique_ptr<Listener> listener)
    : state_(std::move(state)), listener_(std::move(listener)) {}

Server::~Server() { state_->stop(); }

std::uint16_t Server::port() const { return listener_->port(); }

std::string Server::url(std::string_view path) const {
  return fmt::format("{}://127.0.0.1:{}{}", state_->tls() == nullptr ? "ws" : "wss", port(), path);
}

void Server::append(std::vector<PlayFrame> frames) { state_->append(std::move(frames)); }

void Server::forget(std::int64_t seq) { state_->forget(seq); }

void Server::release(std::uint64_t frames) { state_->release(frames); }

void Server::release_all() { state_->release_all(); }

void Server::plan_next(ConnectionPlan plan) { state_->plan_next(std::move(plan)); }

void Server::finish() { state_->finish(); }

std::vector<ConnectionRecord> Server::connections() const { return state_->records(); }

std::size_t Server::open_connections() const { return listener_->open_connections(); }

bool Server::wait(const Holds& holds, std::chrono::steady_clock::time_point deadline) const {
  return state_->wait(holds, deadline);
}

void Server::touch() const { state_->touch(); }

std::string Server::summary() const { return state_->summary(); }

}  // namespace standpipe::tools::play
