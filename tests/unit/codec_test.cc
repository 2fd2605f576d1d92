#include "storage/codec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/options.h"
#include "storage/rows.h"
#include "storage/store.h"
#include "tests/support/temp_dir.h"

namespace standpipe::storage {
namespace {

constexpr PartitionId kBefore{6}, kOurs{7}, kBehind{8};

std::string wire(std::string_view frame) {
  std::string bytes;
  append_wire_frame(bytes, as_bytes(frame));
  return bytes;
}
std::string frame_text(std::int64_t seq, std::size_t bytes) {
  return std::to_string(seq) + std::string(bytes, '.');
}

// A group of the frames `seqs`, each a text of its seq and `bytes` more.
std::string group_of(const std::vector<std::int64_t>& seqs, std::size_t bytes = 3) {
  GroupBuilder builder;
  for (const std::int64_t seq : seqs) {
    const std::string frame = wire(frame_text(seq, bytes));
    builder.add(Seq{seq}, frame, wire_hash(frame));
  }
  return builder.finish({seqs.front() * 10, seqs.back() * 10, seqs.back() * 10});
}

std::vector<std::int64_t> seqs_of(const WireRun& run) {
  std::vector<std::int64_t> seqs;
  for (const RunFrame& frame : run.frames) seqs.push_back(to_int(frame.seq));
  return seqs;
}

// One database for all; a container for each test.
class Codec : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<test::TempDir>();
    store_ = Store::open(*dir_ / "db", ArchiveOptions()).value();
  }
  static void TearDownTestSuite() {
    store_.reset();
    dir_.reset();
  }
  void SetUp() override {
    container_ =
        "frames/" + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(store_->create_container(container_).has_value());
  }

  // Written, all together, by the next decoder().
  void put(std::string key, std::string value) {
    pending_.put(container_, std::move(key), std::move(value));
  }
  void given_group(const std::vector<std::int64_t>& seqs, std::size_t bytes = 3) {
    put(group_key(kOurs, Seq{seqs.front()}), group_of(seqs, bytes));
  }
  // As a shared container has them: other partitions on both sides, and self-descriptions.
  void given_neighbours() {
    put(self_description_key(kBefore), "self");
    put(group_key(kBefore, Seq{1}), group_of({1, 2, 3}));
    put(group_key(kBefore, Seq{500}), group_of({500}));
    put(self_description_key(kOurs), "self");
    put(self_description_key(kBehind), "self");
    put(group_key(kBehind, Seq{1}), group_of({1, 2, 3}));
  }
  std::unique_ptr<StoreScan> scan() {
    if (!pending_.empty()) {
      EXPECT_TRUE(store_->write(std::exchange(pending_, StoreBatch())).has_value());
    }
    return store_->scan(container_, /*bulk=*/true).value();
  }
  std::unique_ptr<PartitionDecoder> decoder(std::size_t run_bytes_target = 256 << 10,
                                            bool is_final = false) {
    return make_decoder(kCodecFrames, {kOurs, EpochNumber{2}, run_bytes_target, is_final},
                        make_group_source(scan(), kOurs))
        .value();
  }
  std::int64_t find(std::int64_t after) {
    const auto found = decoder()->find(Seq{after}).value();
    return found ? to_int(*found) : -1;
  }

 private:
  static std::unique_ptr<test::TempDir> dir_;
  static std::unique_ptr<Store> store_;
  std::string container_;
  StoreBatch pending_;
};
std::unique_ptr<test::TempDir> Codec::dir_;
std::unique_ptr<Store> Codec::store_;

TEST_F(Codec, FindLandsOnTheGroupOfTheFirstFrameAfter) {
  given_neighbours();
  given_group({10, 11, 15});
  given_group({20, 21});
  given_group({30});
  EXPECT_EQ(find(0), 10);   // our self-description stands there
  EXPECT_EQ(find(9), 10);   // first - 1
  EXPECT_EQ(find(10), 10);  // first
  EXPECT_EQ(find(14), 10);  // last - 1
  EXPECT_EQ(find(15), 20);  // last
  EXPECT_EQ(find(16), 20);  // last + 1
  EXPECT_EQ(find(19), 20);
  EXPECT_EQ(find(20), 20);
  EXPECT_EQ(find(21), 30);
  EXPECT_EQ(find(29), 30);
  EXPECT_EQ(find(30), -1);
  EXPECT_EQ(find(31), -1);
  EXPECT_EQ(find(to_int(kSeqMax)), -1);
}

TEST_F(Codec, GroupsOfOtherPartitionsNextToOursAreNotOurs) {
  put(group_key(kBefore, Seq{500}), group_of({500}));
  put(group_key(kBehind, Seq{1}), group_of({1, 2, 3}));
  EXPECT_EQ(find(0), -1);
  EXPECT_EQ(find(500), -1);
  given_group({10, 11});
  EXPECT_EQ(find(0), 10);
  EXPECT_EQ(find(10), 10);
  EXPECT_EQ(find(11), -1);
  EXPECT_EQ(decoder()->run_at(Seq{10}).value().next, std::nullopt);
}

// Counts the lookups behind a decoder.
class CountingSource final : public GroupSource {
 public:
  CountingSource(std::unique_ptr<GroupSource> source, int* seeks)
      : source_(std::move(source)), seeks_(seeks) {}
  Result<bool> seek(Seq seq) override {
    ++*seeks_;
    return source_->seek(seq);
  }
  Result<bool> seek_exactly(Seq first) override {
    ++*seeks_;
    return source_->seek_exactly(first);
  }
  Result<bool> next() override { return source_->next(); }
  Seq first() const override { return source_->first(); }
  std::string_view value() const override { return source_->value(); }

 private:
  std::unique_ptr<GroupSource> source_;
  int* seeks_;
};

TEST_F(Codec, AReaderThatGoesOnLooksUpOnce) {
  for (const std::int64_t seq : {20, 21, 22, 23}) given_group({seq}, 400);
  int seeks = 0;
  const auto reader =
      make_decoder(kCodecFrames, {kOurs, EpochNumber{2}, 500, false},
                   std::make_unique<CountingSource>(make_group_source(scan(), kOurs), &seeks))
          .value();
  Seq done = kSeqNone;
  for (const std::int64_t seq : {20, 21, 22, 23}) {
    const auto at = reader->find(done).value();
    ASSERT_EQ(at, Seq{seq});
    done = reader->run_at(*at).value().run->last();
  }
  EXPECT_EQ(seeks, 1);
  EXPECT_EQ(reader->find(Seq{21}).value(), Seq{22});  // back again
  EXPECT_EQ(seeks, 2);
  ASSERT_TRUE(reader->run_at(Seq{22}).has_value());  // now it stands on 23
  EXPECT_EQ(reader->find(Seq{0}).value(), Seq{20});
}

TEST_F(Codec, APartitionWithoutGroupsHoldsNothing) {
  given_neighbours();
  EXPECT_EQ(find(0), -1);
  EXPECT_EQ(find(400), -1);
  EXPECT_EQ(decoder()->run_at(Seq{1}).error().code, Errc::not_found);
  EXPECT_EQ(decoder()->frame(Seq{1}).value(), nullptr);
  EXPECT_EQ(decoder()->find_clock(0).value(), std::nullopt);
}

TEST_F(Codec, AContainerWithoutAnythingElseWorksAlike) {
  EXPECT_EQ(find(0), -1);
  given_group({10});
  EXPECT_EQ(find(0), 10);
  EXPECT_EQ(find(10), -1);
}

TEST_F(Codec, ARunJoinsGroupsAndKeepsTheirFrames) {
  ASSERT_FALSE(is_run_anchor(Seq{20}));
  given_neighbours();
  given_group({10, 11, 15});
  given_group({20, 21});
  const auto decoded = decoder()->run_at(Seq{10});
  ASSERT_TRUE(decoded.has_value()) << to_string(decoded.error());
  const WireRun& run = *decoded->run;
  EXPECT_EQ(run.partition, kOurs);
  EXPECT_EQ(run.epoch, EpochNumber{2});
  EXPECT_EQ(seqs_of(run), (std::vector<std::int64_t>{10, 11, 15, 20, 21}));
  EXPECT_EQ(run.wire,
            wire("10...") + wire("11...") + wire("15...") + wire("20...") + wire("21..."));
  EXPECT_EQ(as_text(run.frame_of(3)), "20...");
  EXPECT_EQ(as_text(run.wire_of(4)), wire("21..."));
  EXPECT_EQ(run.frames[4].hash, wire_hash(wire("21...")));
  EXPECT_EQ(run.received_first_ms, 100);
  EXPECT_EQ(run.received_last_ms, 210);
  EXPECT_EQ(run.clock_ms, 210);
  EXPECT_EQ(decoded->next, std::nullopt);
  EXPECT_TRUE(decoded->ends_at_tail);
  EXPECT_FALSE(decoder(256 << 10, /*is_final=*/true)->run_at(Seq{10}).value().ends_at_tail);
}

TEST_F(Codec, ARunEndsWhereTheNextGroupWouldPassTheTarget) {
  given_group({20}, 400);
  given_group({21}, 400);
  given_group({22}, 400);
  const std::size_t group_bytes = group_of({20}, 400).size();
  const auto two = decoder(2 * group_bytes)->run_at(Seq{20}).value();
  EXPECT_EQ(seqs_of(*two.run), (std::vector<std::int64_t>{20, 21}));
  EXPECT_EQ(two.next, Seq{22});
  EXPECT_FALSE(two.ends_at_tail);
  const auto one = decoder(2 * group_bytes - 1)->run_at(Seq{20}).value();
  EXPECT_EQ(seqs_of(*one.run), (std::vector<std::int64_t>{20}));
  // A group above the target is a run of its own.
  EXPECT_EQ(seqs_of(*decoder(1)->run_at(Seq{21}).value().run), (std::vector<std::int64_t>{21}));
}

// Anchors are picked by seq alone: these are the ones below 100.
TEST_F(Codec, AboutOneSeqInTwelveIsAnAnchor) {
  std::vector<int> anchors;
  int count = 0;
  for (int seq = 1; seq <= 12000; ++seq) {
    if (!is_run_anchor(Seq{seq})) continue;
    ++count;
    if (seq < 100) anchors.push_back(seq);
  }
  EXPECT_EQ(anchors, (std::vector<int>{11, 14, 18, 30, 36, 42, 56, 79, 83}));
  EXPECT_GT(count, 900);
  EXPECT_LT(count, 1100);
}

TEST_F(Codec, ReadersThatStartAnywhereShareTheRunsBehindTheNextAnchor) {
  std::vector<std::int64_t> anchors;
  for (std::int64_t seq = 1; seq <= 200; ++seq) {
    given_group({seq});
    if (is_run_anchor(Seq{seq})) anchors.push_back(seq);
  }
  // Every run that a reader sees, first seq to last, when it starts after `after`.
  const auto read_from = [this](std::int64_t after) {
    std::map<std::int64_t, std::int64_t> runs;
    const auto reader = decoder(20 * group_of({100}).size());
    std::optional<Seq> at = reader->find(Seq{after}).value();
    std::int64_t expected = after + 1;
    while (at) {
      const DecodedRun decoded = reader->run_at(*at).value();
      EXPECT_EQ(to_int(decoded.run->first()), expected);
      runs[expected] = to_int(decoded.run->last());
      expected = to_int(decoded.run->last()) + 1;
      at = reader->find(decoded.run->last()).value();
      EXPECT_EQ(decoded.next, at);
    }
    EXPECT_EQ(expected, 201);
    return runs;
  };
  const auto from_start = read_from(0);
  for (const std::int64_t anchor : anchors) EXPECT_EQ(from_start.count(anchor), 1U) << anchor;
  for (const std::int64_t after : {1, 37, 50, 70}) {
    const auto runs = read_from(after);
    const auto next_anchor = std::upper_bound(anchors.begin(), anchors.end(), after);
    ASSERT_NE(next_anchor, anchors.end());
    const std::int64_t meeting = *next_anchor;
    for (const auto& [first, last] : runs) {
      if (first < meeting) continue;
      const auto shared = from_start.find(first);
      ASSERT_NE(shared, from_start.end()) << first;
      EXPECT_EQ(shared->second, last);
    }
  }
}

TEST_F(Codec, RunAtRefusesASeqWhereNoGroupBegins) {
  given_group({10, 11});
  EXPECT_EQ(decoder()->run_at(Seq{11}).error().code, Errc::not_found);
  EXPECT_EQ(decoder()->run_at(Seq{9}).error().code, Errc::not_found);
  EXPECT_EQ(decoder()->run_at(Seq{12}).error().code, Errc::not_found);
}

TEST_F(Codec, OneFrameIsFoundBySeq) {
  given_neighbours();
  given_group({10, 11, 15});
  given_group({20});
  const WireRunPtr found = decoder()->frame(Seq{15}).value();
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(seqs_of(*found), (std::vector<std::int64_t>{15}));
  EXPECT_EQ(as_text(found->frame_of(0)), "15...");
  EXPECT_EQ(found->frames[0].hash, wire_hash(wire("15...")));
  for (const std::int64_t seq : {1, 9, 12, 14, 16, 19, 21, 500}) {
    EXPECT_EQ(decoder()->frame(Seq{seq}).value(), nullptr) << seq;
  }
}

TEST_F(Codec, ErasedFramesKeepTheirPlaceWithoutBytes) {
  GroupBuilder builder;
  builder.add(Seq{10}, wire("a"), 1);
  builder.add(Seq{11}, "", 2);
  builder.add(Seq{12}, wire("c"), 3);
  put(group_key(kOurs, Seq{10}), builder.finish({}));
  const WireRunPtr run = decoder()->run_at(Seq{10}).value().run;
  EXPECT_EQ(seqs_of(*run), (std::vector<std::int64_t>{10, 11, 12}));
  EXPECT_EQ(run->frames[1].length, 0U);
  EXPECT_EQ(as_text(run->frame_of(2)), "c");
  EXPECT_EQ(decoder()->frame(Seq{11}).value()->frames[0].length, 0U);
  EXPECT_EQ(decoder()->frame(Seq{11}).value()->frames[0].hash, 2U);
}

TEST_F(Codec, AClockIsFoundAtTheFirstGroupThatIsNotBelowIt) {
  given_neighbours();
  given_group({10, 11});
  for (const std::int64_t seq : {12, 1000, 1001, 5'000'000}) given_group({seq});
  const auto at = [this](std::int64_t clock_ms) {
    const auto found = decoder()->find_clock(clock_ms).value();
    return found ? to_int(*found) : -1;
  };
  // A group's clock is ten times its last seq.
  EXPECT_EQ(at(0), 10);
  EXPECT_EQ(at(110), 10);
  EXPECT_EQ(at(111), 12);
  EXPECT_EQ(at(120), 12);
  EXPECT_EQ(at(121), 1000);
  EXPECT_EQ(at(10'000), 1000);
  EXPECT_EQ(at(10'001), 1001);
  EXPECT_EQ(at(10'011), 5'000'000);
  EXPECT_EQ(at(50'000'000), 5'000'000);
  EXPECT_EQ(at(50'000'001), -1);
}

TEST_F(Codec, GroupsOfOneClockAreFoundAtTheFirstOfThem) {
  for (std::int64_t seq = 1; seq <= 40; ++seq) {
    GroupBuilder builder;
    builder.add(Seq{seq}, wire("x"), 1);
    put(group_key(kOurs, Seq{seq}), builder.finish({0, 0, seq < 17 ? 100 : 200}));
  }
  EXPECT_EQ(decoder()->find_clock(100).value(), Seq{1});
  EXPECT_EQ(decoder()->find_clock(101).value(), Seq{17});
  EXPECT_EQ(decoder()->find_clock(200).value(), Seq{17});
  EXPECT_EQ(decoder()->find_clock(201).value(), std::nullopt);
}

TEST_F(Codec, DamageIsReportedWithPartitionAndSeq) {
  std::string damaged = group_of({10, 11});
  damaged.back() = '!';
  put(group_key(kOurs, Seq{10}), damaged);
  const auto run = decoder()->run_at(Seq{10});
  ASSERT_FALSE(run.has_value());
  EXPECT_EQ(run.error().code, Errc::corrupt);
  EXPECT_EQ(run.error().detail.substr(0, 39), "partition 7, group at seq 10: group, by");

  put(group_key(kOurs, Seq{10}), group_of({9, 11}));  // under another's key
  EXPECT_EQ(to_string(decoder()->find(Seq{0}).error()),
            "corrupt: partition 7, group at seq 10: holds a group that begins at seq 9");

  put(group_key(kOurs, Seq{10}), group_of({10, 25}));  // reaches into the next one
  given_group({20});
  EXPECT_EQ(to_string(decoder()->run_at(Seq{10}).error()),
            "corrupt: partition 7, group at seq 20: the group before it reaches to seq 25");
}

TEST_F(Codec, AnUnknownCodecIsUnsupported) {
  EXPECT_EQ(make_decoder(1, {kOurs, EpochNumber{1}, 1, false}, nullptr).error().code,
            Errc::unsupported);
}

}  // namespace
}  // namespace standpipe::storage
