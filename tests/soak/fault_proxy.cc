#include "tests/soak/fault_proxy.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "tests/support/bench_feeder.h"

namespace standpipe::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kFlowBytes = 256 << 10;

// TCP ends at once and both sides are told by RST, with whatever lies between them lost.
void reset(FileDescriptor& socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  socket.close();
}

}  // namespace

FaultProxy::FaultProxy(std::uint16_t upstream_port, std::uint64_t seed, milliseconds between)
    : upstream_port_(upstream_port),
      between_(between),
      random_(seed),
      listener_(listen_anywhere(port_)),
      next_fault_(soon(between)) {
  thread_ = std::thread([this] { run(); });
}

FaultProxy::~FaultProxy() {
  is_over_ = true;
  thread_.join();
}

std::string FaultProxy::counts_text() const {
  return fmt::format("{} resets, {} cuts, {} stalls, {} outages", resets_.load(), cuts_.load(),
                     stalls_.load(), outages_.load());
}

FaultProxy::Time FaultProxy::soon(milliseconds about) {
  const auto half = static_cast<std::uint64_t>(about.count() / 2);
  return steady_clock::now() + milliseconds(half + random_.below(2 * half + 1));
}

void FaultProxy::run() {
  while (!is_over_) {
    wait();
    accept_all();
    if (!is_calm_ && !links_.empty() && steady_clock::now() >= next_fault_) {
      go_wrong();
      next_fault_ = soon(between_);
    }
    if (steady_clock::now() < stalled_until_) continue;
    for (Link& link : links_) pump(link);
    std::erase_if(links_, [](const Link& link) { return link.is_over; });
  }
}

// At most 20 ms: the clock has its own to say. A stalled link is not looked at, or it would wake
// us.
void FaultProxy::wait() {
  std::vector<pollfd> waited{{listener_.get(), POLLIN, 0}};
  if (steady_clock::now() >= stalled_until_) {
    const auto add = [&](const FileDescriptor& socket, const Flow& in, const Flow& out) {
      const int events = (in.bytes.empty() ? POLLIN : 0) | (out.bytes.empty() ? 0 : POLLOUT);
      waited.push_back({socket.get(), static_cast<short>(events), 0});
    };
    for (const Link& link : links_) {
      add(link.client, link.to_host, link.to_client);
      add(link.host, link.to_client, link.to_host);
    }
  }
  ::poll(waited.data(), waited.size(), 20);
}

void FaultProxy::accept_all() {
  pollfd waiting{listener_.get(), POLLIN, 0};
  while (::poll(&waiting, 1, 0) == 1) {
    FileDescriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.get() < 0) return;
    if (!is_calm_ && steady_clock::now() < refuses_until_) {
      reset(client);
      continue;
    }
    FileDescriptor host(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    place.sin_port = htons(upstream_port_);
    if (::connect(host.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0) {
      reset(client);
      continue;
    }
    links_.push_back({std::move(client), std::move(host), {}, {}, false});
  }
}

// False: it is gone.
bool FaultProxy::fill(int from, Flow& flow) {
  flow.bytes.resize(kFlowBytes);
  const ssize_t got = ::recv(from, flow.bytes.data(), flow.bytes.size(), MSG_DONTWAIT);
  const int error = errno;
  flow.bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  flow.written = 0;
  return got > 0 || (got < 0 && (error == EAGAIN || error == EINTR));
}

// False: one of the two is gone.
bool FaultProxy::move(int from, int to, Flow& flow) {
  if (flow.bytes.empty() && !fill(from, flow)) return false;
  const auto left = std::span(flow.bytes).subspan(flow.written);
  if (left.empty()) return true;
  const ssize_t sent = ::send(to, left.data(), left.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  flow.written += static_cast<std::size_t>(sent);
  if (flow.written == flow.bytes.size()) flow.bytes.clear();
  return true;
}

void FaultProxy::pump(Link& link) {
  link.is_over = !move(link.client.get(), link.host.get(), link.to_host) ||
                 !move(link.host.get(), link.client.get(), link.to_client);
}

void FaultProxy::go_wrong() {
  ++faults_;
  switch (random_.below(4)) {
    case 0:
      ++resets_;
      reset_all();
      break;
    case 1:  // FIN, somewhere in a frame: half of what is at hand has gone
      ++cuts_;
      for (Link& link : links_) {
        if (link.to_client.bytes.empty()) fill(link.host.get(), link.to_client);
        const auto left = std::span(link.to_client.bytes).subspan(link.to_client.written);
        const auto half = left.first(left.size() / 2);
        ::send(link.client.get(), half.data(), half.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      }
      links_.clear();
      break;
    case 2:
      ++stalls_;
      stalled_until_ = soon(std::chrono::seconds(4));
      break;
    default:
      ++outages_;
      refuses_until_ = soon(std::chrono::seconds(3));
      reset_all();
      break;
  }
}

void FaultProxy::reset_all() {
  for (Link& link : links_) {
    reset(link.client);
    reset(link.host);
  }
  links_.clear();
}

}  // namespace standpipe::test
