#include "tests/support/subscriber_crowd.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "schema/base/assert.h"
#include "schema/frame.h"
#include "tests/support/client_wire.h"
#include "tests/support/http_exchange.h"

namespace standpipe::test {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr int kEventsAtOnce = 256;
constexpr std::size_t kFaultsShown = 5;

struct DigestDelete {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};
using DigestState = std::unique_ptr<XXH3_state_t, DigestDelete>;

DigestState new_digest() {
  DigestState state(XXH3_createState());
  STANDPIPE_ASSERT(state != nullptr && XXH3_64bits_reset(state.get()) == XXH_OK, "no digest");
  return state;
}

// Each connection is a descriptor: as many as the system lets us have.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

struct Member {
  std::optional<NetStream> stream;  // empty: it has ended
  bool reads = true;
  Bytes partial;  // the beginning of a frame
  DigestState digest;
  CrowdMember seen;
};

}  // namespace

std::uint64_t crowd_digest(std::span<const Bytes> frames) {
  const DigestState state = new_digest();
  for (const Bytes& frame : frames) {
    Bytes header = {std::byte{0x82}};
    if (frame.size() <= 125) {
      header.push_back(static_cast<std::byte>(frame.size()));
    } else if (frame.size() <= 0xFFFF) {
      header.resize(4, std::byte{126});
      store_be(&header[2], static_cast<std::uint16_t>(frame.size()));
    } else {
      header.resize(10, std::byte{127});
      store_be(&header[2], static_cast<std::uint64_t>(frame.size()));
    }
    XXH3_64bits_update(state.get(), header.data(), header.size());
    XXH3_64bits_update(state.get(), frame.data(), frame.size());
  }
  return XXH3_64bits_digest(state.get());
}

// Members are connected and upgraded on the caller's thread, then read on the crowd's own.
class SubscriberCrowd::Impl {
 public:
  Impl(std::uint16_t port, CrowdOptions options)
      : port_(port),
        options_(std::move(options)),
        buffer_(kReadBytes),
        epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
    raise_descriptor_limit();
    STANDPIPE_ASSERT(epoll_.get() >= 0, "no epoll");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kWakeNumber;
    STANDPIPE_ASSERT(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.fd(), &event) == 0, "no epoll");
    thread_ = std::thread([this] { run(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      is_stopping_ = true;
    }
    wake_.wake();
    thread_.join();
    for (Member& member : members_) {
      if (member.stream) member.stream->reset();
    }
  }

  void add(const CrowdGroup& group) {
    SubscriberOptions connection;
    connection.source_address = options_.source_address;
    connection.receive_buffer = group.receive_buffer;
    for (std::size_t left = group.count; left > 0;) {
      const std::size_t batch = std::min(left, options_.connecting_max);
      std::vector<NetStream> streams;
      for (std::size_t i = 0; i < batch; ++i) {
        streams.push_back(connect_stream(port_, connection));
        ask_for_upgrade(streams.back(), group.target);
      }
      for (NetStream& stream : streams) admit(std::move(stream), group);
      left -= batch;
    }
  }

  void set_reading(std::size_t first, std::size_t count, bool reads) {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = first; i < first + count; ++i) {
      Member& member = members_.at(i);
      member.reads = reads;
      if (member.stream) watch(EPOLL_CTL_MOD, i);
    }
  }

  std::vector<CrowdMember> seen() const {
    const std::lock_guard lock(mutex_);
    std::vector<CrowdMember> all;
    for (const Member& member : members_) all.push_back(snapshot_of(member));
    return all;
  }
  CrowdMember seen(std::size_t number) const {
    const std::lock_guard lock(mutex_);
    return snapshot_of(members_.at(number));
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return members_.size();
  }

  // Until `holds` for each member, of those that read or of all; see the header for what throws.
  void wait(const std::string& what, bool waits_for_ends,
            const std::function<bool(const CrowdMember&)>& holds) const {
    std::unique_lock lock(mutex_);
    bool is_hopeless = false;
    const auto is_settled = [&] {
      bool hold_all = true;
      for (const Member& member : members_) {
        if ((!member.reads && !waits_for_ends) || holds(member.seen)) continue;
        hold_all = false;
        if (!member.seen.end.empty()) is_hopeless = true;
      }
      return hold_all || is_hopeless;
    };
    const bool is_in_time = changed_.wait_for(lock, kTestDeadline, is_settled);
    if (is_in_time && !is_hopeless) return;
    std::string text = fmt::format("crowd waited in vain for {}", what);
    std::size_t shown = 0;
    for (std::size_t i = 0; i < members_.size() && shown < kFaultsShown; ++i) {
      const CrowdMember& member = members_[i].seen;
      if ((!members_[i].reads && !waits_for_ends) || holds(member)) continue;
      text += fmt::format("; {}: {} frames up to seq {}, {} {}", i, member.frames, member.last_seq,
                          member.end.empty() ? "open" : member.end, member.fault);
      ++shown;
    }
    throw std::runtime_error(text);
  }

 private:
  static constexpr std::uint64_t kWakeNumber = ~std::uint64_t{0};

  void ask_for_upgrade(NetStream& stream, const std::string& target) const {
    const std::string request = fmt::format(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        target, port_);
    write_all(stream, as_bytes(request), deadline_from_now());
  }

  void admit(NetStream stream, const CrowdGroup& group) {
    const HttpExchange exchange = read_reply(stream, "GET", deadline_from_now());
    if (exchange.reply.status != 101) {
      throw std::runtime_error(fmt::format("crowd: {} in place of 101: {}", exchange.reply.status,
                                           exchange.reply.body.substr(0, 200)));
    }
    const std::lock_guard lock(mutex_);
    Member& member = members_.emplace_back();
    member.stream = std::move(stream);
    member.reads = group.reads;
    if (options_.takes_digests) member.digest = new_digest();
    watch(EPOLL_CTL_ADD, members_.size() - 1);
    take(member, as_bytes(exchange.rest));
    changed_.notify_all();
  }

  // Level-triggered. Of one that does not read, only its end is heard.
  void watch(int operation, std::size_t number) {
    const Member& member = members_[number];
    epoll_event event{};
    event.events = member.reads ? EPOLLIN : EPOLLRDHUP;
    event.data.u64 = number;
    STANDPIPE_ASSERT(::epoll_ctl(epoll_.get(), operation, member.stream->fd(), &event) == 0,
                     std::strerror(errno));
  }

  void run() {
    std::array<epoll_event, kEventsAtOnce> events{};
    for (;;) {
      const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, -1);
      const std::lock_guard lock(mutex_);
      if (is_stopping_) return;
      for (int i = 0; i < count; ++i) {
        const std::uint64_t number = events[static_cast<std::size_t>(i)].data.u64;
        if (number == kWakeNumber) {
          wake_.clear();
        } else {
          serve(members_[static_cast<std::size_t>(number)]);
        }
      }
      changed_.notify_all();
    }
  }

  void serve(Member& member) {
    if (!member.stream) return;
    const IoResult result = member.reads ? member.stream->read(buffer_) : end_of(*member.stream);
    switch (result.status) {
      case IoStatus::done:
        return take(member, ByteView(buffer_).first(result.bytes));
      case IoStatus::would_block:
        return;
      case IoStatus::fin:
        return end(member, "FIN");
      case IoStatus::reset:
      case IoStatus::failed:
        return end(member, "RST");
    }
  }

  // How the connection of one that does not read has ended, now that epoll says that it has.
  static IoResult end_of(NetStream& stream) {
    return {stream.take_error() ? IoStatus::reset : IoStatus::fin};
  }

  void end(Member& member, std::string how) {
    member.seen = snapshot_of(member);
    member.seen.end = std::move(how);
    if (!member.partial.empty()) member.seen.end += " within a frame";
    member.stream->close();
    member.stream.reset();
    member.partial = {};
    member.digest.reset();
  }

  void take(Member& member, ByteView bytes) {
    if (!member.partial.empty()) {
      member.partial.insert(member.partial.end(), bytes.begin(), bytes.end());
      Bytes whole = std::exchange(member.partial, {});
      const ByteView rest = take_frames(member, whole);
      if (!member.stream) return;
      whole.erase(whole.begin(), whole.end() - static_cast<std::ptrdiff_t>(rest.size()));
      member.partial = std::move(whole);
    } else {
      const ByteView rest = take_frames(member, bytes);
      if (member.stream) member.partial = to_bytes(rest);
    }
  }

  // Whole frames from the front; returns what is left. The member may have ended.
  ByteView take_frames(Member& member, ByteView bytes) {
    while (const auto header = peek_server_header(bytes)) {
      std::string fault = fault_of(*header);
      if (fault.empty() && header->payload_bytes > options_.message_bytes_max) {
        fault = "a message that is too large";
      }
      if (!fault.empty()) return leave(member, std::move(fault));
      const std::size_t size =
          header->header_bytes + static_cast<std::size_t>(header->payload_bytes);
      if (bytes.size() < size) break;
      take_frame(member, *header, bytes.first(size));
      if (!member.stream) return {};
      bytes = bytes.subspan(size);
    }
    return bytes;
  }

  void take_frame(Member& member, const ServerFrameHeader& header, ByteView wire) {
    const ByteView payload = wire.subspan(header.header_bytes);
    if (header.opcode == kOpcodePing) {
      ++member.seen.pings;
      Bytes pong;
      append_client_frame(pong, payload, {kOpcodePong, true, true, 0});
      member.stream->write(pong);
    } else if (header.opcode == kOpcodeClose) {
      end(member, payload.empty()
                      ? "close"
                      : fmt::format("close {} {}", load_be<std::uint16_t>(payload.data()),
                                    as_text(payload.subspan(2))));
    } else if (header.opcode == kOpcodePong) {
      leave(member, "a pong to no ping");
    } else if (header.opcode != kOpcodeBinary || !header.is_final) {
      leave(member, header.opcode == kOpcodeText ? "a text message" : "a message is fragmented");
    } else {
      take_binary(member, wire, payload);
    }
  }

  void take_binary(Member& member, ByteView wire, ByteView payload) {
    CrowdMember& seen = member.seen;
    ++seen.frames;
    seen.bytes += payload.size();
    if (member.digest != nullptr) {
      XXH3_64bits_update(member.digest.get(), wire.data(), wire.size());
    }
    if (!options_.checks_seqs) return;
    const auto seq = scan_frame(payload).envelope.seq;
    if (!seq) {
      ++seen.frames_without_seq;
      return;
    }
    if (to_int(*seq) <= seen.last_seq) {
      leave(member, fmt::format("seq {} after {}", to_int(*seq), seen.last_seq));
      return;
    }
    if (seen.first_seq == 0) seen.first_seq = to_int(*seq);
    seen.last_seq = to_int(*seq);
  }

  ByteView leave(Member& member, std::string fault) {
    member.seen.fault = std::move(fault);
    end(member, "left");
    return {};
  }

  static CrowdMember snapshot_of(const Member& member) {
    CrowdMember seen = member.seen;
    if (member.digest != nullptr) seen.digest = XXH3_64bits_digest(member.digest.get());
    return seen;
  }

  const std::uint16_t port_;
  const CrowdOptions options_;
  Bytes buffer_;  // of the crowd's thread
  FileDescriptor epoll_;
  WakeEvent wake_;

  mutable std::mutex mutex_;  // guards everything below
  mutable std::condition_variable changed_;
  std::vector<Member> members_;
  bool is_stopping_ = false;

  std::thread thread_;
};

SubscriberCrowd::SubscriberCrowd(std::uint16_t port, CrowdOptions options)
    : impl_(std::make_unique<Impl>(port, std::move(options))) {}
SubscriberCrowd::~SubscriberCrowd() = default;

void SubscriberCrowd::add(const CrowdGroup& group) { impl_->add(group); }

std::size_t SubscriberCrowd::size() const { return impl_->size(); }

void SubscriberCrowd::set_reading(std::size_t first, std::size_t count, bool reads) {
  impl_->set_reading(first, count, reads);
}

CrowdMember SubscriberCrowd::member(std::size_t number) const { return impl_->seen(number); }

std::vector<CrowdMember> SubscriberCrowd::members() const { return impl_->seen(); }

std::uint64_t SubscriberCrowd::frames() const {
  std::uint64_t frames = 0;
  for (const CrowdMember& member : members()) frames += member.frames;
  return frames;
}

std::vector<std::string> SubscriberCrowd::faults() const {
  std::vector<std::string> faults;
  const std::vector<CrowdMember> all = members();
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].fault.empty()) faults.push_back(fmt::format("{}: {}", i, all[i].fault));
  }
  return faults;
}

void SubscriberCrowd::wait_until_seq(std::int64_t seq) const {
  impl_->wait(fmt::format("seq {}", seq), false,
              [seq](const CrowdMember& member) { return member.last_seq >= seq; });
}

void SubscriberCrowd::wait_for_frames(std::uint64_t frames) const {
  impl_->wait(fmt::format("{} frames", frames), false,
              [frames](const CrowdMember& member) { return member.frames >= frames; });
}

void SubscriberCrowd::wait_for_ends() const {
  impl_->wait("their ends", true, [](const CrowdMember& member) { return !member.end.empty(); });
}

}  // namespace standpipe::test
