#include "tests/support/bench_load.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "tests/support/http_exchange.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kReadBytes = 256 << 10;
constexpr int kEventsAtOnce = 512;
constexpr std::chrono::seconds kLoadDeadline{300};

}  // namespace

NetStream subscribe_at(std::uint16_t port, const std::string& target, const TlsContext& tls) {
  NetStream stream = connect_stream(port, {});
  if (tls != nullptr) begin_client_tls(stream, tls, "127.0.0.1");
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
      target, port);
  if (!write_all(stream, as_bytes(request), deadline_from_now())) {
    throw std::runtime_error("it cannot ask");
  }
  // Unless somebody is to read, nothing of the frames may leave the socket: so the reply is read to
  // its end, and no further.
  std::string reply;
  while (!reply.ends_with("\r\n\r\n")) {
    std::byte byte{};
    const auto got = stream.read({&byte, 1});
    if (got.status == IoStatus::would_block) {
      if (!wait_for(stream, false, deadline_from_now())) throw std::runtime_error("no reply");
    } else if (got.status != IoStatus::done) {
      throw std::runtime_error(fmt::format("it is refused: {}", reply));
    } else {
      reply += static_cast<char>(byte);
    }
  }
  if (!reply.starts_with("HTTP/1.1 101")) {
    throw std::runtime_error(fmt::format("it is refused: {}", reply));
  }
  return stream;
}

std::size_t LatencyCounts::place_of(std::uint64_t ns) {
  if (ns < kSteps) return static_cast<std::size_t>(ns);
  const int shift = static_cast<int>(std::bit_width(ns)) - 6;  // 32 to 63 are left
  return static_cast<std::size_t>(shift + 1) * kSteps +
         static_cast<std::size_t>((ns >> shift) - kSteps);
}

std::uint64_t LatencyCounts::count() const {
  std::uint64_t all = 0;
  for (const auto& one : counts_) all += one;
  return all;
}

double LatencyCounts::percentile_ms(double share) const {
  const auto wanted = share * static_cast<double>(count());
  std::uint64_t seen = 0;
  for (std::size_t place = 0; place < counts_.size(); ++place) {
    seen += counts_[place];
    if (seen == 0 || static_cast<double>(seen) < wanted) continue;
    if (place < kSteps) return static_cast<double>(place) / 1e6;
    const std::size_t shift = place / kSteps - 1;
    return static_cast<double>((kSteps + place % kSteps) << shift) / 1e6;
  }
  return 0;
}

void LatencyCounts::clear() {
  for (auto& one : counts_) one = 0;
}

// What the process of the subscribers does.
class BenchLoad::Run {
 public:
  Run(const BenchWire& wire, const LoadOptions& options, State& state,
      const std::atomic<std::uint64_t>* sent_ns, int bell)
      : wire_(wire),
        options_(options),
        state_(state),
        sent_ns_(sent_ns),
        bell_(bell),
        buffer_(kReadBytes),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  void operator()() {
    try {
      if (options_.niceness > 0 && ::setpriority(PRIO_PROCESS, 0, options_.niceness) != 0) {
        throw std::runtime_error("the subscribers cannot be made nice");
      }
      for (std::size_t i = 0; i < count(); ++i) {
        members_.push_back(connect(i, options_.places.empty() ? common_ : options_.places[i]));
      }
      state_.connected = members_.size();
      ring();
      if (options_.reads) read_all();
      for (;;) ::pause();
    } catch (const std::exception& thrown) {
      // The owner looks at it once this process has ended.
      std::strncpy(state_.fault.data(), thrown.what(), state_.fault.size() - 1);
      throw;
    }
  }

 private:
  struct Member {
    NetStream stream;
    std::size_t at;        // bytes of the wire that it has got
    std::size_t stop = 0;  // reads no further; 0: that of all
  };

  std::size_t count() const {
    return options_.places.empty() ? options_.subscribers : options_.places.size();
  }

  void ring() const {
    const std::uint64_t one = 1;
    if (::write(bell_, &one, sizeof one) != sizeof one) throw std::runtime_error("no bell");
  }

  NetStream subscribe(std::size_t number, const LoadPlace& place) const {
    try {
      return subscribe_at(options_.port, place.target, options_.tls);
    } catch (const std::exception& thrown) {
      throw std::runtime_error(fmt::format("subscriber {}: {}", number, thrown.what()));
    }
  }

  Member connect(std::size_t number, const LoadPlace& place) const {
    NetStream stream = subscribe(number, place);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = number;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stream.fd(), &event) != 0) {
      throw std::runtime_error("no epoll");
    }
    const std::size_t stop = place.frames > 0 ? wire_.begin_of(place.first + place.frames) : 0;
    return {std::move(stream), wire_.begin_of(place.first), stop};
  }

  void read_all() {
    std::array<epoll_event, kEventsAtOnce> events{};
    for (;;) {
      const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, -1);
      for (int i = 0; i < count; ++i) {
        read(static_cast<std::size_t>(events[static_cast<std::size_t>(i)].data.u64));
      }
    }
  }

  void read(std::size_t number) {
    Member& member = members_[number];
    // Of TLS one record, for it is not read ahead: what is left makes epoll tell again.
    const auto got = member.stream.read(buffer_);
    if (got.status == IoStatus::would_block) return;
    if (got.status != IoStatus::done) {
      throw std::runtime_error(fmt::format("subscriber {} was left by the server", number));
    }
    const std::size_t before = member.at;
    const std::size_t wanted = member.stop > 0 ? member.stop - before : kReadBytes;
    const std::size_t size = std::min(got.bytes, wanted);
    if (size > wire_.bytes.size() - before ||
        std::memcmp(buffer_.data(), wire_.bytes.data() + before, size) != 0) {
      throw std::runtime_error(
          fmt::format("subscriber {} got other bytes than were sent, within {} bytes from byte {}",
                      number, size, before));
    }
    member.at += size;
    state_.bytes_read += size;
    if (state_.takes_latency) count_latency(before, member.at);
    const std::size_t target = member.stop > 0 ? member.stop : state_.target.load();
    // What the server says behind its last frame is left unread.
    if (member.at == member.stop && options_.again) {
      ++state_.laps;
      member = connect(number, *options_.again);
      return;
    }
    if (member.at == member.stop) {
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, member.stream.fd(), nullptr);
    }
    if (before < target && member.at >= target && ++state_.at_target == members_.size()) ring();
  }

  void count_latency(std::size_t before, std::size_t after) {
    const std::uint64_t now = monotonic_ns();
    auto end = std::upper_bound(wire_.ends.begin(), wire_.ends.end(), before);
    for (; end != wire_.ends.end() && *end <= after; ++end) {
      state_.latency.add(now - sent_ns_[end - wire_.ends.begin()]);
    }
  }

  const BenchWire& wire_;
  const LoadOptions options_;
  const LoadPlace common_{options_.target, options_.first, 0};
  State& state_;
  const std::atomic<std::uint64_t>* const sent_ns_;
  const int bell_;
  Bytes buffer_;
  FileDescriptor epoll_;
  std::vector<Member> members_;
};

BenchLoad::BenchLoad(const BenchWire& wire, const LoadOptions& options,
                     const std::vector<int>& cores)
    : wire_(wire),
      subscribers_(options.places.empty() ? options.subscribers : options.places.size()),
      first_(options.first),
      sent_ns_(static_cast<std::atomic<std::uint64_t>*>(
          map_shared(std::max<std::size_t>(1, wire.size()) * sizeof *sent_ns_))),
      bell_(::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE)) {  // a ring is a ring

  if (options.expected > 0) expect(options.expected);
  has_to_wait_ = has_to_wait_ || (!options.places.empty() && !options.again);
  process_ = std::make_unique<ForkedProcess>(
      cores, [&] { Run(wire, options, *state_, sent_ns_, bell_.get())(); });
  wait_for_bell("upgrades");
}

BenchLoad::~BenchLoad() {
  process_.reset();
  unmap_shared(sent_ns_, std::max<std::size_t>(1, wire_.size()) * sizeof *sent_ns_);
}

void BenchLoad::wait_for_bell(const char* what) {
  const Deadline deadline = deadline_from_now(kLoadDeadline);
  for (;;) {
    pollfd entry{bell_.get(), POLLIN, 0};
    if (::poll(&entry, 1, 200) == 1) break;
    check();
    if (std::chrono::steady_clock::now() < deadline) continue;
    throw std::runtime_error(fmt::format("waited in vain for {} of {} subscribers: {} have it",
                                         what, subscribers_, state_->at_target.load()));
  }
  std::uint64_t rings = 0;
  if (::read(bell_.get(), &rings, sizeof rings) != sizeof rings) {
    throw std::runtime_error("no bell");
  }
}

void BenchLoad::expect(std::size_t frames) {
  has_to_wait_ = frames > first_;
  first_ = std::max(first_, frames);
  state_->at_target = 0;
  state_->target = wire_.begin_of(first_);
}

void BenchLoad::wait() {
  if (has_to_wait_) wait_for_bell("frames");
  has_to_wait_ = false;
}

void BenchLoad::check() const {
  if (process_->has_ended()) throw std::runtime_error(state_->fault.data());
}

void BenchLoad::begin_latency() {
  state_->latency.clear();
  state_->takes_latency = true;
}

void BenchLoad::told_sent(std::size_t frame) { sent_ns_[frame] = monotonic_ns(); }

}  // namespace standpipe::test
