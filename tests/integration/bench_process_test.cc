// What benches stand on: the program pinned, its threads told apart, a load that notices one byte.
#include "tests/support/bench_process.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <stdexcept>
#include <string>

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
