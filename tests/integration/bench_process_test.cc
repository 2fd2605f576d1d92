// What benches stand on: the program pinned, its threads told apart, a load that notices one byte.
#include "tests/support/bench_process.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/bench_feeder.h"
#include "tests/support/bench_load.h"
#include "tests/support/bench_senders.h"
#include "tests/support/bulk_frames.h"

namespace standpipe::test {
namespace {

BenchWire bulk_wire(std::size_t frames) {
  BulkFramesOptions options;
  options.uses_corpus = false;
  BulkFrames source(options);
  BenchWire wire;
  while (wire.size() < frames) {
    const ByteView frame = source.next();
    wire.append(frame, to_int(source.seq()), wire.size());
  }
  return wire;
}

TEST(BenchProcess, TellsTheNetworkThreadsOfAPinnedServer) {
  const BenchWire feed = bulk_wire(8);
  BenchFeeder feeder;
  const BenchCores cores = bench_cores();
  const BenchServer server(
      "mirror", {"--network-threads", "2", "--upstream", feeder.url(), "--from", "oldest"},
      cores.server);
  feeder.accept();
  feeder.send(feed.bytes);
  server.wait_until_durable(feed.seqs.back());  // asked over HTTP, which a network thread answers
  EXPECT_EQ(thread_cpu_seconds(server.id(), "network").size(), 2U);
  EXPECT_GT(process_cpu_seconds(server.id()), 0);
  EXPECT_THROW(thread_cpu_seconds(server.id(), "nobody"), std::runtime_error);
  cpu_set_t set;
  CPU_ZERO(&set);
  ASSERT_EQ(::sched_getaffinity(server.id(), sizeof set, &set), 0);
  EXPECT_EQ(CPU_COUNT(&set), 1);
}

TEST(BenchProcess, TellsThreadsByWhatTheyDo) {
  const BenchWire feed = bulk_wire(256);
  BenchFeeder feeder;
  const BenchServer server("mirror", {"--upstream", feeder.url()}, bench_cores().all);
  feeder.accept();
  feeder.send(feed.bytes);
  server.wait_until_durable(feed.seqs.back());
  std::map<std::string, double> seconds;
  for (const ThreadUse& thread : thread_uses(server.id()))
    seconds[thread.name] += thread.cpu_seconds;
  for (const char* name : {"network", "upstream", "writer", "storage", "accept", "status"}) {
    EXPECT_GT(seconds[name], 0) << name;
  }
}

TEST(BenchProcess, TellsHowLargeAServerIs) {
  constexpr std::size_t kSubscribers = 50;
  const BenchWire feed = bulk_wire(256);
  const TempDir dir(TempDir::Where::memory);
  BenchFeeder feeder;
  {
    BenchServer server("mirror", dir / "archive", {"--upstream", feeder.url()}, bench_cores().all);
    feeder.accept();
    feeder.send(feed.bytes);
    server.wait_until_durable(feed.seqs.back());
    server.stop();  // what it was fed goes to a table
  }
  const BenchServer server("mirror", dir / "archive", {"--upstream", feeder.url()},
                           bench_cores().all);
  feeder.accept();
  std::vector<NetStream> streams;
  const ProcessSize before = process_size(server.id());
  EXPECT_GT(before.resident_bytes, 1U << 20);
  EXPECT_GE(before.database_descriptors, 1U);
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    streams.push_back(subscribe_at(server.port(), "/xrpc/com.atproto.sync.subscribeRepos"));
  }
  const ProcessSize after = process_size(server.id());
  EXPECT_NEAR(static_cast<double>(after.descriptors - after.database_descriptors),
              static_cast<double>(before.descriptors - before.database_descriptors + kSubscribers),
              5);  // some that come and go
}

// An archive of these frames, and nobody who feeds more.
class BenchReplays : public testing::Test {
 protected:
  BenchReplays() {
    feeder_.accept();
    feeder_.send(wire_.bytes);
    server_.wait_until_durable(wire_.seqs.back());
  }

  LoadOptions over_and_over() const {
    const std::string until = "&until=" + std::to_string(wire_.seqs.back());
    const std::string path = "/xrpc/com.atproto.sync.subscribeRepos?cursor=";
    LoadOptions options;
    options.port = server_.port();
    options.places.push_back({path + std::to_string(wire_.seqs[9]) + until, 10, 54});
    options.places.push_back({path + std::to_string(wire_.seqs[59]) + until, 60, 4});
    options.again = LoadPlace{path + "0" + until, 0, 64};
    return options;
  }

  const BenchWire wire_ = bulk_wire(64);
  BenchFeeder feeder_;
  const BenchServer server_{"mirror", {"--upstream", feeder_.url()}, bench_cores().all};
};

TEST_F(BenchReplays, BeginAnewWhenTheyHaveAll) {
  const BenchLoad load(wire_, over_and_over(), bench_cores().load);
  const Deadline deadline = deadline_from_now();
  while (load.laps() < 6 && std::chrono::steady_clock::now() < deadline) load.check();
  ASSERT_GE(load.laps(), 6U);
  // Of six at least four began at the first frame, after one that began at the eleventh, and one
  // at the sixty-first.
  EXPECT_GE(load.bytes_read(), 4 * wire_.bytes.size());
}

TEST_F(BenchReplays, EndWithOneByteThatDiffersInALaterLap) {
  BenchWire wanted = wire_;
  wanted.bytes[wanted.begin_of(5) + 100] ^= std::byte{1};  // before the place of either
  const BenchLoad load(wanted, over_and_over(), bench_cores().load);
  const Deadline deadline = deadline_from_now();
  try {
    while (std::chrono::steady_clock::now() < deadline) load.check();
    FAIL() << "they went on";
  } catch (const std::runtime_error& thrown) {
    EXPECT_NE(std::string(thrown.what()).find("other bytes than were sent"), std::string::npos)
        << thrown.what();
  }
}

TEST(BenchLoad, ReturnsWhenAllHaveTheFrames) {
  const BenchWire wire = bulk_wire(64);
  const BenchCores cores = bench_cores();
  for (const auto how : {SenderOptions::How::raw, SenderOptions::How::beast}) {
    SenderOptions options;
    options.how = how;
    options.subscribers = 7;
    options.first = 3;
    BenchSender sender(wire, options, cores.server);
    LoadOptions load_options;
    load_options.port = sender.port();
    load_options.subscribers = 7;
    load_options.target = "/";
    load_options.first = 3;
    BenchLoad load(wire, load_options, cores.load);
    for (const std::size_t frames : {4U, 64U}) {
      load.expect(frames);
      sender.release(frames);
      load.wait();
    }
  }
}

TEST(BenchLoad, EndsWithOneByteThatDiffers) {
  const BenchWire sent = bulk_wire(64);
  BenchWire wanted = sent;
  wanted.bytes[wanted.begin_of(40) + 100] ^= std::byte{1};
  const BenchCores cores = bench_cores();
  SenderOptions options;
  options.subscribers = 3;
  BenchSender sender(sent, options, cores.server);
  LoadOptions load_options;
  load_options.port = sender.port();
  load_options.subscribers = 3;
  load_options.target = "/";
  BenchLoad load(wanted, load_options, cores.load);
  load.expect(64);
  sender.release(64);
  try {
    load.wait();
    FAIL() << "it went on";
  } catch (const std::runtime_error& thrown) {
    EXPECT_NE(std::string(thrown.what()).find("other bytes than were sent"), std::string::npos)
        << thrown.what();
  }
}

}  // namespace
}  // namespace standpipe::test
