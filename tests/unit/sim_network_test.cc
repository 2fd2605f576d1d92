// The simulated network: the same bytes for the same seed, and figures like the real ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "schema/cbor.h"
#include "schema/frame.h"
#include "schema/hash.h"
#include "tests/support/scale.h"
#include "tools/sim/network.h"
#include "tools/sim/report.h"
#include "tools/sim/schedule.h"

namespace standpipe::tools::sim {
namespace {

struct Made {
  std::string checksum;  // SHA-256 over all frames
  std::vector<std::string> frames;
};

Made make(const NetworkOptions& options) {
  auto network = Network::create(options).value();
  Made made;
  Sha256 hash;
  while (auto frame = network->next()) {
    hash.update(frame->bytes);
    made.frames.emplace_back(as_text(frame->bytes));
  }
  made.checksum = to_hex(hash.finish());
  return made;
}

NetworkOptions of_frames(std::uint64_t frames) {
  NetworkOptions options;
  options.frames = frames;
  return options;
}

std::string refusal(const NetworkOptions& options) {
  const auto network = Network::create(options);
  return network ? "" : to_string(network.error());
}

// What a frame file of this seed has had since the first version must stay so: others compare
// archives of it. The figures come from the same frames, which take a while to make.
TEST(SimNetwork, TwentyThousandFramesOfASeedAreTheseBytesAndLikeRealOnes) {
  if (test::scaled(20'000) < 20'000) {
    GTEST_SKIP() << "fewer frames have another checksum: this one runs in full or not at all";
  }
  auto network = Network::create(of_frames(20'000)).value();
  Sha256 hash;
  Report report;
  while (auto frame = network->next()) {
    hash.update(frame->bytes);
    ASSERT_TRUE(report.take(frame->bytes).has_value());
  }
  EXPECT_EQ(to_hex(hash.finish()),
            "401e432e321706546fdff6bc87041224c99eb2514a886901535603c95dbe7831");
  ASSERT_EQ(report.frames(), 20'000U);
  struct Bounds {
    std::string name;
    double low;
    double high;
  };
  // Real: 98.4 %, then 5525, 3634, 5430, 7412, 9000 B, 8.44, 4.64, 68.0, 0.99 and so on.
  const std::vector<Bounds> expected = {
      {"commits of all frames", 97.5, 99},
      {"commit, mean", 5000, 6100},
      {"commit, p10", 3300, 4000},
      {"commit, median", 4900, 6000},
      {"commit, p90", 6700, 8200},
      {"commit, p99", 8000, 12'000},
      {"MST nodes per commit", 7.9, 8.9},
      {"entries per MST node", 4.2, 5.1},
      {"CIDs per commit of what is not in it", 61, 75},
      {"records per commit", 0.9, 1.1},
      {"commits with one operation", 98, 99.8},
      {"commits with nodes for their proof alone", 17, 28},
      {"operations that create a like", 62, 75},
      {"operations that create a post", 8, 14},
      {"operations that create a repost", 7, 13},
      {"operations that create a follow", 2.5, 8},
      {"operations that delete", 1.5, 4},
      {"operations that update", 0.4, 2},
      {"commits within 10 s of the one before", 33, 41},
      {"commits within 1 min of the one before", 65, 73},
      {"commits within 10 min of the one before", 79, 87},
      {"commits within 1 h of the one before", 85, 91},
  };
  const std::vector<Figure> figures = report.figures();
  for (const Bounds& bounds : expected) {
    bool was_found = false;
    for (const Figure& figure : figures) {
      if (figure.name != bounds.name) continue;
      was_found = true;
      EXPECT_GE(figure.simulated, bounds.low) << figure.name;
      EXPECT_LE(figure.simulated, bounds.high) << figure.name;
    }
    EXPECT_TRUE(was_found) << bounds.name;
  }
}

TEST(SimNetwork, BytesDoNotDependOnTheNumberOfThreads) {
  NetworkOptions options = of_frames(3'000);
  options.odd_per_mille.fill(4);
  options.threads = 1;
  const Made alone = make(options);
  options.threads = 3;
  EXPECT_EQ(make(options).checksum, alone.checksum);
  EXPECT_EQ(alone.frames.size(), 3'000U);
}

TEST(SimNetwork, LongerRunBeginsAsAShorterOne) {
  const Made shorter = make(of_frames(700));
  const Made longer = make(of_frames(1'500));
  ASSERT_EQ(longer.frames.size(), 1'500U);
  EXPECT_TRUE(std::equal(shorter.frames.begin(), shorter.frames.end(), longer.frames.begin()));
}

TEST(SimNetwork, BehindASeqTheSameFramesFollow) {
  NetworkOptions options = of_frames(1'500);
  options.accounts = 60;  // many commits each: what was passed over tells
  options.rate = 10;
  options.odd_per_mille.fill(6);
  options.mix.sync = 30;
  options.first_seq = Seq{1'000};
  const Made whole = make(options);
  for (const std::int64_t after : {999, 1'000, 1'700, 2'450, 6'000}) {
    SCOPED_TRACE(after);
    options.after = Seq{after};
    auto network = Network::create(options).value();
    while (network->pass_over()) {
    }
    std::vector<std::string> rest;
    while (auto frame = network->next()) rest.emplace_back(as_text(frame->bytes));
    ASSERT_LE(rest.size(), whole.frames.size());
    EXPECT_TRUE(std::equal(rest.rbegin(), rest.rend(), whole.frames.rbegin()));
    // All whose seq is greater, and what stands between them; the seqs began at 1,000.
    std::size_t wanted = 0;
    std::int64_t seq = 999;
    for (const std::string& frame : whole.frames) {
      const FrameScan scan = scan_frame(as_bytes(frame));
      if (scan.why == Unarchivable::archivable) seq = to_int(*scan.envelope.seq);
      if (scan.why == Unarchivable::archivable ? seq > after : seq >= after) ++wanted;
    }
    EXPECT_EQ(rest.size(), wanted);
  }
}

TEST(SimNetwork, WithoutFramesItHasNoEnd) {
  NetworkOptions options;
  options.accounts = 50;
  auto network = Network::create(options).value();
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(network->next().has_value());
  EXPECT_LE(network->accounts(), 80U);  // fifty at a time, and few of them go
}

TEST(SimNetwork, AnotherSeedIsAnotherNetwork) {
  NetworkOptions options = of_frames(50);
  const Made one = make(options);
  options.seed = 2;
  const Made two = make(options);
  for (std::size_t i = 0; i < 50; ++i) EXPECT_NE(one.frames[i], two.frames[i]);
}

TEST(SimNetwork, SeqsAreDenseAndTimeRunsAtTheRate) {
  NetworkOptions options = of_frames(4'000);
  options.rate = 1'000;
  options.accounts = 500;
  options.first_seq = Seq{31'527'015'321};
  options.start_ms = 1'767'225'600'000;
  auto network = Network::create(options).value();
  std::int64_t seq = 31'527'015'321;
  std::int64_t time_ms = options.start_ms;
  while (auto frame = network->next()) {
    const FrameScan scan = scan_frame(frame->bytes);
    ASSERT_EQ(scan.why, Unarchivable::archivable);
    EXPECT_EQ(scan.envelope.seq, Seq{seq});
    EXPECT_EQ(frame->seq, Seq{seq});
    EXPECT_GE(frame->time_ms, time_ms);
    time_ms = frame->time_ms;
    ++seq;
    CborOptions strict;
    const auto header = check_cbor(frame->bytes, strict);
    ASSERT_TRUE(header.has_value());
    const auto payload = check_cbor(ByteView(frame->bytes).subspan(*header), strict);
    ASSERT_TRUE(payload.has_value()) << payload.error().detail;
  }
  EXPECT_EQ(seq, 31'527'015'321 + 4'000);
  EXPECT_NEAR(static_cast<double>(time_ms - options.start_ms), 4'000, 250);  // four deviations
}

// Half an hour: thirty bursts or so, of 2 s each at 200 a second; the mean stays what it was.
TEST(SimNetwork, BurstsAreFasterAndTheMeanStays) {
  ScheduleOptions options;
  options.seed = 3;
  options.rate = 40;
  options.burst_rate = 400;
  options.accounts = 1'000;
  Schedule schedule(options);
  constexpr std::size_t kSeconds = 1'800;
  std::vector<std::uint64_t> per_second(kSeconds);
  for (;;) {
    const std::uint64_t second = schedule.next()->micros / 1'000'000;
    if (second >= kSeconds) break;
    ++per_second[second];
  }
  const auto total = std::accumulate(per_second.begin(), per_second.end(), std::uint64_t{0});
  EXPECT_NEAR(static_cast<double>(total), 40.0 * kSeconds, 40.0 * kSeconds / 5);
  const auto fast = std::count_if(per_second.begin(), per_second.end(),
                                  [](std::uint64_t frames) { return frames > 300; });
  EXPECT_GE(fast, 10);
  EXPECT_LE(fast, 120);
  const auto between = std::count_if(per_second.begin(), per_second.end(),
                                     [](std::uint64_t frames) { return frames < 60; });
  EXPECT_GE(between, 1'500);
}

TEST(SimNetwork, OptionsOutOfRangeAreNamed) {
  NetworkOptions options = of_frames(1);
  options.rate = 0;
  EXPECT_EQ(refusal(options), "invalid: rate: 1 to 100000 frames a second");
  for (const std::uint64_t burst : {341U, 6'841U}) {
    options = of_frames(1);
    options.burst_rate = burst;
    EXPECT_EQ(refusal(options),
              "invalid: bursts: from the rate up to 20 times the rate, at most 100000 frames a "
              "second");
  }
  options = of_frames(1);
  options.accounts = 0;
  EXPECT_EQ(refusal(options), "invalid: accounts: 1 to 10000000");
  options = of_frames(1);
  options.start_ms = 0;
  EXPECT_EQ(refusal(options), "invalid: start: between the years 2020 and 2100");
  options = of_frames(1);
  options.first_seq = kSeqNone;
  EXPECT_EQ(refusal(options), "invalid: first seq: 1 to 4503599627370496");
  options = of_frames(1);
  options.mix.identity = 999;
  EXPECT_EQ(refusal(options), "invalid: mix: shares of more than 1000 per mille");
  options = of_frames(1);
  options.odd_per_mille[0] = 1001;
  EXPECT_EQ(refusal(options), "invalid: odd legacy: up to 1000 per mille");
}

}  // namespace
}  // namespace standpipe::tools::sim
