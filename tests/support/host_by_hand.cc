#include "tests/support/host_by_hand.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>
#include <utility>

#include "schema/base/bytes.h"
#include "tests/support/http_exchange.h"

namespace standpipe::test {
namespace {

using tools::play::find_header;
using tools::play::http_head_end;
using tools::play::parse_http_head;

// False: the peer has ended.
bool read_more(NetStream& stream, std::string& text, Deadline deadline) {
  std::array<std::byte, 4096> piece;
  for (;;) {
    const IoResult read = stream.read(piece);
    if (read.status == IoStatus::done) {
      text += as_text(ByteView(piece).first(read.bytes));
      return true;
    }
    if (read.status != IoStatus::would_block) return false;
    if (!wait_for(stream, false, deadline)) throw std::runtime_error("the peer says nothing");
  }
}

}  // namespace

AskedByHand::AskedByHand(NetStream stream, std::string line, tools::play::HttpHeaders fields,
                         std::string text)
    : first_line(std::move(line)),
      headers(std::move(fields)),
      body(std::move(text)),
      stream_(std::move(stream)) {}

std::optional<std::string> AskedByHand::header(std::string_view name) const {
  return find_header(headers, name);
}

bool AskedByHand::send(std::string_view bytes) {
  return write_all(stream_, as_bytes(bytes), deadline_from_now());
}

std::size_t AskedByHand::send_what_is_taken(std::size_t size, std::chrono::milliseconds quiet) {
  const std::string piece(64 << 10, 'x');
  std::size_t taken = 0;
  while (taken < size) {
    const IoResult written =
        stream_.write(as_bytes(std::string_view(piece).substr(0, size - taken)));
    if (written.status == IoStatus::done) {
      taken += written.bytes;
      continue;
    }
    if (written.status != IoStatus::would_block) break;
    pollfd entry{stream_.fd(), POLLOUT, 0};
    if (::poll(&entry, 1, static_cast<int>(quiet.count())) == 0) break;
  }
  return taken;
}

void AskedByHand::end() { stream_.finish_writing(); }

void AskedByHand::wait_for_end() {
  std::string ignored;
  while (read_more(stream_, ignored, deadline_from_now())) {
  }
}

HostByHand::HostByHand() {
  thread_ = std::thread([this] { accept_all(); });
}

HostByHand::~HostByHand() {
  wake_.wake();
  thread_.join();
}

AskedByHand HostByHand::take() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kTestDeadline, [this] { return !asked_.empty(); })) {
    throw std::runtime_error("nobody has asked the host");
  }
  AskedByHand asked = std::move(asked_.front());
  asked_.pop_front();
  return asked;
}

// Requests are read here, one connection after the other: nobody who asks us takes his time.
void HostByHand::accept_all() {
  for (;;) {
    std::array<pollfd, 2> entries = {pollfd{listener_.socket.get(), POLLIN, 0},
                                     pollfd{wake_.fd(), POLLIN, 0}};
    ::poll(entries.data(), entries.size(), -1);
    if (entries[1].revents != 0) return;
    FileDescriptor accepted(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted.get() >= 0) serve(NetStream(std::move(accepted)));
  }
}

void HostByHand::serve(NetStream stream) {
  const Deadline deadline = deadline_from_now();
  std::string text;
  std::optional<std::size_t> end;
  while (!(end = http_head_end(text))) {
    if (!read_more(stream, text, deadline)) return;
  }
  const auto head = parse_http_head(text.substr(0, *end));
  if (!head || find_header(head->headers, "Upgrade")) return;
  text.erase(0, *end);
  const auto length = std::stoul(find_header(head->headers, "Content-Length").value_or("0"));
  while (text.size() < length) {
    if (!read_more(stream, text, deadline)) return;
  }
  const std::lock_guard lock(mutex_);
  asked_.emplace_back(std::move(stream), head->first_line, head->headers, std::move(text));
  changed_.notify_all();
}

}  // namespace standpipe::test
