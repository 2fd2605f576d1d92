#include "tests/support/bench_unpacker.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <stdexcept>

#include "replay/socket_state.h"
#include "tests/support/bench_feeder.h"
#include "tests/support/net_stream.h"

namespace standpipe::test {
namespace {

constexpr int kLevel = 1;
constexpr std::size_t kSliceBytes = 256 << 10;

void check(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(fmt::format("bench unpacker: {}", what));
}

// False: the subscriber has gone.
bool send_all(int socket, const char* at, std::size_t left) {
  while (left > 0) {
    const ssize_t sent =
        ::send(socket, at, std::min(left, kSliceBytes), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      at += sent;
      left -= static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return false;
    pollfd entry{socket, POLLOUT, 0};
    ::poll(&entry, 1, -1);
  }
  return true;
}

void send_groups(int socket, const PackedWire& packed, ZSTD_DCtx& context, std::string& buffer) {
  for (const std::string& group : packed.groups) {
    const std::size_t size =
        ZSTD_decompressDCtx(&context, buffer.data(), buffer.size(), group.data(), group.size());
    check(ZSTD_isError(size) == 0, "a group does not decompress");
    if (!send_all(socket, buffer.data(), size)) return;
  }
}

}  // namespace

PackedWire pack_wire(const BenchWire& wire, std::size_t frames, std::size_t bytes) {
  PackedWire packed;
  const std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> context(ZSTD_createCCtx(),
                                                                        ZSTD_freeCCtx);
  for (std::size_t first = 0; first < wire.size();) {
    std::size_t end = first + 1;
    while (end < wire.size() && end - first < frames &&
           wire.ends[end] - wire.begin_of(first) <= bytes) {
      ++end;
    }
    const std::size_t size = wire.ends[end - 1] - wire.begin_of(first);
    std::string group(ZSTD_compressBound(size), '\0');
    const std::size_t written =
        ZSTD_compressCCtx(context.get(), group.data(), group.size(),
                          wire.bytes.data() + wire.begin_of(first), size, kLevel);
    check(ZSTD_isError(written) == 0, "a group does not compress");
    group.resize(written);
    group.shrink_to_fit();
    packed.groups.push_back(std::move(group));
    packed.group_bytes_max = std::max(packed.group_bytes_max, size);
    first = end;
  }
  return packed;
}

BenchUnpacker::BenchUnpacker(const PackedWire& packed, const std::vector<int>& cores) {
  const FileDescriptor listener = listen_anywhere(port_);
  process_ = std::make_unique<ForkedProcess>(cores, [&] {
    const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                          ZSTD_freeDCtx);
    std::string buffer(packed.group_bytes_max, '\0');
    for (;;) {
      const FileDescriptor socket(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      check(socket.get() >= 0 && answer_upgrade(socket.get()), "no subscriber");
      // As the server has it, so that only what is done differs.
      replay::prepare_subscriber_socket(socket.get(), std::chrono::hours(1));
      send_groups(socket.get(), packed, *context, buffer);
      // It goes once it has all.
      pollfd entry{socket.get(), POLLRDHUP, 0};
      ::poll(&entry, 1, -1);
    }
  });
}

}  // namespace standpipe::test
