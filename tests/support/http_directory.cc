#include "tests/support/http_directory.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <utility>

namespace standpipe::test {
namespace {

using tools::play::find_header;
using tools::play::http_head_end;
using tools::play::parse_http_head;

}  // namespace

HttpDirectory::HttpDirectory(Answer answer, TlsContext tls)
    : answer_(std::move(answer)), tls_(std::move(tls)) {
  thread_ = std::thread([this] { accept_all(); });
}

HttpDirectory::~HttpDirectory() {
  is_stopping_ = true;
  wake_.wake();
  thread_.join();
}

std::string HttpDirectory::url() const {
  return fmt::format("{}://127.0.0.1:{}", tls_ ? "https" : "http", listener_.port);
}

std::vector<std::string> HttpDirectory::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::string HttpDirectory::user_agent() const {
  const std::lock_guard lock(mutex_);
  return user_agent_;
}

std::size_t HttpDirectory::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

void HttpDirectory::wait(int fd, short events) const {
  std::array<pollfd, 2> entries = {pollfd{fd, events, 0}, pollfd{wake_.fd(), POLLIN, 0}};
  ::poll(entries.data(), entries.size(), -1);
}

void HttpDirectory::accept_all() {
  while (!is_stopping_) {
    wait(listener_.socket.get(), POLLIN);
    FileDescriptor accepted(::accept4(listener_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted.get() < 0) continue;
    {
      const std::lock_guard lock(mutex_);
      ++connections_;
    }
    workers_.emplace_back(
        [this, stream = NetStream(std::move(accepted))]() mutable { serve(std::move(stream)); });
  }
  for (std::thread& worker : workers_) worker.join();
}

// One request after the other, until either side ends.
void HttpDirectory::serve(NetStream stream) {
  if (tls_) stream.begin_server_tls(tls_);
  std::string text;
  std::array<std::byte, 4096> piece;
  while (!is_stopping_) {
    if (const auto end = http_head_end(text)) {
      const auto head = parse_http_head(text.substr(0, *end));
      text.erase(0, *end);
      if (!head) return;
      const std::size_t first = head->first_line.find(' ');
      const std::string target =
          head->first_line.substr(first + 1, head->first_line.rfind(' ') - first - 1);
      DirectoryReply reply;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(target);
        user_agent_ = find_header(head->headers, "User-Agent").value_or("");
        reply = answer_(target);
      }
      if (reply.ends_instead) return;
      if (reply.is_silent) continue;
      std::string out = fmt::format("HTTP/1.1 {} Said\r\nContent-Length: {}\r\n", reply.status,
                                    reply.body.size());
      for (const auto& [name, value] : reply.headers) out += name + ": " + value + "\r\n";
      if (!write(stream, out + "\r\n" + reply.body) || reply.ends_after) return;
      continue;
    }
    const IoResult read = stream.read(piece);
    if (read.status == IoStatus::done) {
      text += as_text(ByteView(piece).first(read.bytes));
    } else if (read.status == IoStatus::would_block) {
      wait(stream.fd(), stream.events(false));
    } else {
      return;
    }
  }
}

bool HttpDirectory::write(NetStream& stream, const std::string& text) const {
  ByteView rest = as_bytes(text);
  while (!rest.empty() && !is_stopping_) {
    const IoResult written = stream.write(rest);
    if (written.status == IoStatus::done) {
      rest = rest.subspan(written.bytes);
    } else if (written.status == IoStatus::would_block) {
      wait(stream.fd(), stream.events(true));
    } else {
      return false;
    }
  }
  return rest.empty();
}

}  // namespace standpipe::test
