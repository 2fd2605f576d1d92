// The client library over the wire, against a raw read of the same socket; and what decoding costs.
//
// A child process sends 256 MB of frames like real ones as fast as the socket takes them; the
// reader is this process. Rates over the wire are of the wall clock, as the two run side by side;
// the rest is CPU, of one core.
//
// Usage: client_bench [--json]
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "archiver/firehose/async_client.h"
#include "archiver/firehose/firehose.h"
#include "schema/car.h"
#include "schema/cbor_scan.h"
#include "schema/frame.h"
#include "tests/support/bench_report.h"
#include "tests/support/bulk_frames.h"
#include "tools/play/http_wire.h"
#include "tools/play/server_wire.h"

namespace standpipe::test {
namespace {

namespace asio = boost::asio;
using tools::play::append_server_frame;
using tools::play::Opcode;
using tools::play::websocket_accept;
constexpr std::size_t kStreamBytes = std::size_t{256} << 20;
constexpr int kRounds = 7;

void check(bool holds, const char* what) {
  if (holds) return;
  std::perror(what);
  std::_Exit(1);
}

// The frames as they go over the wire, one after the other, with rising seqs.
struct Stream {
  Bytes wire;
  std::vector<ByteView> frames;
  std::int64_t last = 0;
  bool is_real = false;
};

Stream make_stream() {
  BulkFramesOptions options;
  options.first = Seq{1};
  BulkFrames source(options);
  Stream stream;
  stream.is_real = source.is_from_corpus();
  std::vector<std::pair<std::size_t, std::size_t>> places;
  stream.wire.reserve(kStreamBytes + (std::size_t{1} << 20));
  while (stream.wire.size() < kStreamBytes) {
    const ByteView frame = source.next();
    append_server_frame(stream.wire, Opcode::binary, frame);
    places.emplace_back(stream.wire.size() - frame.size(), frame.size());
  }
  stream.last = to_int(source.seq());
  for (const auto& [at, size] : places) {
    stream.frames.push_back(ByteView(stream.wire).subspan(at, size));
  }
  return stream;
}

// -- The sender -----------------------------------------------------------------------------------

void write_all(int socket, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (wrote <= 0) return;  // whoever reads has read enough
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
  }
}

std::string read_request(int socket) {
  std::string request;
  char byte = 0;
  while (!request.ends_with("\r\n\r\n") && ::recv(socket, &byte, 1, 0) == 1) request += byte;
  return request;
}

void serve(int socket, const Stream& stream) {
  const std::string request = read_request(socket);
  constexpr std::string_view kKey = "Sec-WebSocket-Key: ";
  const std::size_t at = request.find(kKey);
  if (at != std::string::npos) {
    const std::size_t begin = at + kKey.size();
    const std::string accept =
        websocket_accept(request.substr(begin, request.find('\r', begin) - begin));
    const std::string answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " +
        accept + "\r\n\r\n";
    write_all(socket, as_bytes(answer));
  }
  write_all(socket, stream.wire);
  char rest = 0;
  while (::recv(socket, &rest, 1, 0) > 0) continue;
  ::close(socket);
}

class Sender {
 public:
  explicit Sender(const Stream& stream) {
    const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof place;
    check(::bind(listener, reinterpret_cast<sockaddr*>(&place), size) == 0, "bind");
    check(::listen(listener, 4) == 0, "listen");
    check(::getsockname(listener, reinterpret_cast<sockaddr*>(&place), &size) == 0, "getsockname");
    port_ = ntohs(place.sin_port);
    child_ = ::fork();
    check(child_ >= 0, "fork");
    if (child_ > 0) {
      ::close(listener);
      return;
    }
    for (;;) {
      const int socket = ::accept(listener, nullptr, nullptr);
      check(socket >= 0, "accept");
      serve(socket, stream);
    }
  }
  ~Sender() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  std::uint16_t port() const { return port_; }
  std::string uri() const { return fmt::format("ws://127.0.0.1:{}", port_); }

 private:
  std::uint16_t port_ = 0;
  pid_t child_ = -1;
};

// -- The readers ----------------------------------------------------------------------------------

// As much as the socket has, up to 64 KiB, looked at by nobody.
void read_raw(const Sender& sender, const Stream& stream) {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  place.sin_port = htons(sender.port());
  check(::connect(socket, reinterpret_cast<sockaddr*>(&place), sizeof place) == 0, "connect");
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\n\r\n";
  check(::send(socket, kRequest.data(), kRequest.size(), 0) > 0, "send");
  std::vector<std::byte> buffer(64 << 10);
  for (std::size_t left = stream.wire.size(); left > 0;) {
    const ssize_t got = ::recv(socket, buffer.data(), buffer.size(), 0);
    check(got > 0, "recv");
    left -= static_cast<std::size_t>(got);
  }
  ::close(socket);
}

firehose::ClientOptions options_of(const Sender& sender) {
  firehose::ClientOptions options;
  options.base_uri = sender.uri();
  return options;
}

constexpr firehose::Params kFromOldest{Seq{0}};

// What a filter looks at, and no more: who it is about. Some of the DIDs are wanted.
bool is_wanted(const firehose::MessageFrame& frame) {
  return frame.kind() == FrameKind::commit && frame.did().ends_with('a');
}

void read_by_callback(const Sender& sender, const Stream& stream) {
  firehose::FirehoseSubscribeReposClient client(kFromOldest, options_of(sender));
  std::uint64_t wanted = 0;
  client.start([&](const firehose::MessageFrame& frame) {
    if (is_wanted(frame)) ++wanted;
    if (to_int(*frame.seq()) == stream.last) client.stop();
  });
  check(client.stats().frames == stream.frames.size() && wanted > 0, "frames are missing");
}

void read_by_range(const Sender& sender, const Stream& stream) {
  firehose::FirehoseSubscribeReposClient client(kFromOldest, options_of(sender));
  std::uint64_t wanted = 0;
  for (const firehose::MessageFrame& frame : client.messages()) {
    if (is_wanted(frame)) ++wanted;
    if (to_int(*frame.seq()) == stream.last) break;
  }
  check(client.stats().frames == stream.frames.size() && wanted > 0, "frames are missing");
}

asio::awaitable<void> read_all(firehose::AsyncFirehoseSubscribeReposClient& client,
                               std::int64_t last, std::uint64_t& wanted) {
  for (;;) {
    const auto frame = co_await client.async_next(asio::use_awaitable);
    if (!frame) co_return;
    if (is_wanted(*frame)) ++wanted;
    if (to_int(*frame->seq()) == last) client.stop();
  }
}

void read_by_coroutine(const Sender& sender, const Stream& stream) {
  asio::io_context io(1);
  firehose::AsyncFirehoseSubscribeReposClient client(io.get_executor(), kFromOldest,
                                                     options_of(sender));
  std::uint64_t wanted = 0;
  asio::co_spawn(io, read_all(client, stream.last, wanted), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  io.run();
  check(client.stats().frames == stream.frames.size() && wanted > 0, "frames are missing");
}

void read_by_async_callback(const Sender& sender, const Stream& stream) {
  asio::io_context io(1);
  firehose::AsyncFirehoseSubscribeReposClient client(io.get_executor(), kFromOldest,
                                                     options_of(sender));
  std::uint64_t wanted = 0;
  client.async_start(
      [&](const firehose::MessageFrame& frame) {
        if (is_wanted(frame)) ++wanted;
        if (to_int(*frame.seq()) == stream.last) client.stop();
      },
      {},
      [](const std::exception_ptr& thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  io.run();
  check(client.stats().frames == stream.frames.size() && wanted > 0, "frames are missing");
}

// -- Decoding, from memory ------------------------------------------------------------------------

// What is measured against: the frames copied to one place and looked at by nobody, ...
void copy_all(const Stream& stream) {
  Bytes place(kFrameBytesMax);
  for (const ByteView bytes : stream.frames) {
    std::memcpy(place.data(), bytes.data(), bytes.size());
    asm volatile("" : : "r"(place.data()) : "memory");
  }
}

// ... read where they lie, ...
void scan_all(const Stream& stream) {
  for (const ByteView bytes : stream.frames) {
    const FrameScan scan = scan_frame(bytes);
    asm volatile("" : : "r"(&scan) : "memory");
  }
}

// ... and with each block of their CARs stepped over, item by item.
void walk_all(const Stream& stream) {
  for (const ByteView bytes : stream.frames) {
    const ByteView blocks = scan_frame(bytes).envelope.blocks;
    if (blocks.empty()) continue;
    auto car = CarReader::open(blocks);
    while (car) {
      const auto block = car->next();
      if (!block || !*block) break;
      CborScanner scanner((*block)->bytes);
      const bool is_whole = scanner.skip_item(0);
      asm volatile("" : : "r"(is_whole) : "memory");
    }
  }
}

void take_all(const Stream& stream) {
  for (const ByteView bytes : stream.frames) {
    const auto frame = firehose::MessageFrame::from_bytes(bytes);
    asm volatile("" : : "r"(&frame) : "memory");
  }
}

// With every frame's own copy, as it comes out of the client.
void decode_all(const Stream& stream, const std::function<void(const firehose::Commit&)>& use) {
  for (const ByteView bytes : stream.frames) {
    const auto frame = firehose::MessageFrame::from_bytes(bytes);
    const auto message = firehose::or_throw(firehose::parse_subscribe_repos_message(frame));
    if (const auto* const commit = std::get_if<firehose::Commit>(&message)) use(*commit);
  }
}

void read_car(const firehose::Commit& commit) {
  const auto car = firehose::Car::from_bytes(commit.blocks);
  asm volatile("" : : "r"(&car) : "memory");
}

void read_records(const firehose::Commit& commit) {
  const auto car = firehose::Car::from_bytes(commit.blocks);
  if (!car) return;
  for (const firehose::RepoOp& op : commit.ops) {
    if (!op.cid) continue;
    const auto record = car->record(*op.cid);
    asm volatile("" : : "r"(&record) : "memory");
  }
}

// -- The table ------------------------------------------------------------------------------------

struct Rate {
  double per_second = 0;  // frames, of the wall clock
  double cpu_us = 0;      // of a frame
};

// The best of the rounds, which tells most of the work and least of what else the machine does. All
// of `works` in turn, so that they see the same machine.
std::vector<Rate> measure(std::size_t frames, const std::vector<std::function<void()>>& works) {
  std::vector<Rate> rates(works.size(), {0, std::numeric_limits<double>::max()});
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < works.size(); ++i) {
      const Stopwatch stopwatch;
      works[i]();
      const Cost cost = stopwatch.elapsed();
      const auto count = static_cast<double>(frames);
      rates[i].per_second = std::max(rates[i].per_second, count / cost.wall_seconds);
      rates[i].cpu_us = std::min(rates[i].cpu_us, cost.cpu_seconds * 1e6 / count);
    }
  }
  return rates;
}

BenchRow wire_row(std::string path, const Rate& rate, const Rate& raw,
                  std::optional<double> at_least) {
  BenchRow row;
  row.path = std::move(path);
  row.against = "a raw recv() of the same stream";
  row.figure = rate.per_second / raw.per_second;
  row.unit = "x";
  row.at_least = at_least;
  row.detail = fmt::format("{:.0f} against {:.0f} frames/s; {:.2f} against {:.2f} us CPU a frame",
                           rate.per_second, raw.per_second, rate.cpu_us, raw.cpu_us);
  return row;
}

// `reference`: the figures of the same run to read it by.
BenchRow decode_row(std::string path, const Rate& rate, const std::string& reference) {
  BenchRow row;
  row.path = std::move(path);
  row.against = "-";
  row.figure = 1e6 / rate.cpu_us;
  row.unit = "frames/s/core";
  row.detail = fmt::format("{:.2f} us CPU a frame; {}", rate.cpu_us, reference);
  return row;
}

int run(bool is_json) {
  const Stream stream = make_stream();
  const std::size_t frames = stream.frames.size();
  const Sender sender(stream);
  const std::vector<Rate> wire =
      measure(frames, {[&] { read_raw(sender, stream); }, [&] { read_by_callback(sender, stream); },
                       [&] { read_by_range(sender, stream); },
                       [&] { read_by_async_callback(sender, stream); },
                       [&] { read_by_coroutine(sender, stream); }});
  const auto nothing = [](const firehose::Commit&) {};
  const std::vector<Rate> memory = measure(
      frames, {[&] { copy_all(stream); }, [&] { scan_all(stream); }, [&] { walk_all(stream); },
               [&] { take_all(stream); }, [&] { decode_all(stream, nothing); },
               [&] { decode_all(stream, read_car); }, [&] { decode_all(stream, read_records); }});
  const std::string by_frame = fmt::format("memcpy {:.2f}, scan_frame() in place {:.2f}",
                                           memory[0].cpu_us, memory[1].cpu_us);
  const std::string by_car =
      fmt::format("scan_frame() and a walk over every block in place {:.2f}", memory[2].cpu_us);
  const std::vector<BenchRow> rows = {
      wire_row("header-only filter, start()", wire[1], wire[0], 0.5),
      wire_row("header-only filter, messages()", wire[2], wire[0], 0.5),
      wire_row("header-only filter, async_start()", wire[3], wire[0], 0.5),
      // An operation for each frame, whatever it is worth to whoever wants to write it so.
      wire_row("header-only filter, co_await async_next()", wire[4], wire[0], std::nullopt),
      decode_row("copy and header of a frame", memory[3], by_frame),
      decode_row("+ parse_subscribe_repos_message()", memory[4], by_frame),
      decode_row("+ Car::from_bytes()", memory[5], by_car),
      decode_row("+ each op's record as JSON", memory[6], by_car),
  };
  fmt::print(stderr, "{} frames {}, {} bytes on average; {} rounds\n", frames,
             stream.is_real ? "after real ones" : "of own making", stream.wire.size() / frames,
             kRounds);
  fmt::print("{}", is_json ? format_rows_json("client_bench", rows) : format_rows(rows));
  return 0;
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  const bool is_json = argc == 2 && std::string_view(argv[1]) == "--json";
  if (argc > 1 && !is_json) {
    fmt::print(stderr, "usage: client_bench [--json]\n");
    return 2;
  }
  return standpipe::test::run(is_json);
}
