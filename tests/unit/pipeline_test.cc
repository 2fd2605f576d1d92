#include "archiver/pipeline.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

namespace standpipe::archiver {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kCost = Pipeline::kEntryBytes;  // of an entry, beside its bytes

PipelineEntry entry(std::string_view text, EntryKind kind = EntryKind::frame,
                    std::int64_t received_ms = 0) {
  PipelineEntry out;
  out.kind = kind;
  out.received_ms = received_ms;
  out.bytes = as_bytes(text);
  out.bytes_total = text.size();
  return out;
}

// Whatever is there, at once.
Pipeline::Wait at_once() { return {SteadyClock::now(), SteadyClock::now(), 0}; }
// Until something is there.
Pipeline::Wait for_ever() { return {SteadyClock::now() + std::chrono::hours(1), {}, 1}; }

std::vector<std::string> texts(const PipelineBatch& batch) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    out.emplace_back(as_text(batch.entry(i).bytes));
  }
  return out;
}

TEST(Pipeline, HandsOverAllThatIsQueuedInOrderWithWhatWasSaidOfIt) {
  Pipeline pipeline(1 << 20);
  EXPECT_TRUE(pipeline.append(entry("", EntryKind::session_begin)));
  EXPECT_TRUE(pipeline.append(entry("one", EntryKind::frame, 17)));
  PipelineEntry head = entry("he", EntryKind::oversize, 18);
  head.bytes_total = 6'000'000;
  EXPECT_TRUE(pipeline.append(head));
  EXPECT_EQ(pipeline.bytes(), 3 * kCost + 5);
  PipelineBatch batch;
  ASSERT_TRUE(pipeline.take(batch, for_ever()));
  ASSERT_EQ(texts(batch), (std::vector<std::string>{"", "one", "he"}));
  EXPECT_EQ(batch.entry(0).kind, EntryKind::session_begin);
  EXPECT_EQ(batch.entry(1).received_ms, 17);
  EXPECT_EQ(batch.entry(2).kind, EntryKind::oversize);
  EXPECT_EQ(batch.entry(2).bytes_total, 6'000'000U);
  EXPECT_EQ(pipeline.bytes(), 0U);
  ASSERT_TRUE(pipeline.take(batch, at_once()));
  EXPECT_TRUE(batch.empty());
}

TEST(Pipeline, MemoryIsUsedAgain) {
  Pipeline pipeline(1 << 20);
  const std::string text(10'000, 'x');
  PipelineBatch batch;
  // Two batches go round: after each has been filled once, nothing is allocated.
  const std::byte* first = nullptr;
  for (int round = 0; round < 6; ++round) {
    EXPECT_TRUE(pipeline.append(entry(text)));
    ASSERT_TRUE(pipeline.take(batch, at_once()));
    const std::byte* at = batch.entry(0).bytes.data();
    if (round == 2) first = at;
    if (round == 4) {
      EXPECT_EQ(at, first);
    }
  }
}

TEST(Pipeline, AProducerThatFindsItFullWaitsUntilItIsTaken) {
  Pipeline pipeline(2 * (kCost + 10));
  EXPECT_TRUE(pipeline.append(entry("0123456789")));
  EXPECT_TRUE(pipeline.append(entry("0123456789")));
  std::future<bool> third =
      std::async(std::launch::async, [&] { return pipeline.append(entry("third")); });
  // Sessions need no room, and whoever ends one must not wait.
  EXPECT_TRUE(pipeline.append(entry("", EntryKind::session_end)));
  PipelineBatch batch;
  ASSERT_TRUE(pipeline.take(batch, for_ever()));
  std::vector<std::string> got = texts(batch);
  EXPECT_TRUE(third.get());
  ASSERT_TRUE(pipeline.take(batch, at_once()));
  for (std::string& text : texts(batch)) got.push_back(std::move(text));
  EXPECT_EQ(got, (std::vector<std::string>{"0123456789", "0123456789", "", "third"}));
}

TEST(Pipeline, AnEntryLargerThanTheLimitFitsWhereNothingElseIs) {
  Pipeline pipeline(100);
  const std::string large(5'000, 'l');
  EXPECT_TRUE(pipeline.append(entry(large)));
  PipelineBatch batch;
  ASSERT_TRUE(pipeline.take(batch, at_once()));
  EXPECT_EQ(texts(batch), std::vector<std::string>{large});
}

TEST(Pipeline, CloseWakesBothSidesAndLeavesWhatIsQueued) {
  Pipeline pipeline(kCost + 10);
  EXPECT_TRUE(pipeline.append(entry("0123456789")));
  std::future<bool> blocked =
      std::async(std::launch::async, [&] { return pipeline.append(entry("more")); });
  pipeline.close();
  EXPECT_FALSE(blocked.get());
  EXPECT_FALSE(pipeline.append(entry("", EntryKind::session_end)));
  PipelineBatch batch;
  ASSERT_TRUE(pipeline.take(batch, for_ever()));
  EXPECT_EQ(texts(batch), std::vector<std::string>{"0123456789"});
  EXPECT_FALSE(pipeline.take(batch, for_ever()));
}

TEST(Pipeline, AConsumerThatWaitsIsWokenByTheFirstEntryByWakeAndByClose) {
  Pipeline pipeline(1 << 20);
  PipelineBatch batch;
  std::thread first([&] { pipeline.append(entry("a")); });
  ASSERT_TRUE(pipeline.take(batch, for_ever()));
  first.join();
  EXPECT_EQ(batch.size(), 1U);
  std::thread second([&] { pipeline.wake(); });
  ASSERT_TRUE(pipeline.take(batch, for_ever()));
  second.join();
  EXPECT_TRUE(batch.empty());
  std::thread third([&] { pipeline.close(); });
  EXPECT_FALSE(pipeline.take(batch, for_ever()));
  third.join();
}

TEST(Pipeline, WhatComesBeforeTheNextCommitIsDueGoesTogetherUnlessItIsMuch) {
  Pipeline pipeline(1 << 20);
  PipelineBatch batch;
  Pipeline::Wait wait;
  wait.until = wait.not_before = SteadyClock::now() + std::chrono::hours(1);
  wait.bytes_enough = 2 * (kCost + 1);
  EXPECT_TRUE(pipeline.append(entry("a")));
  std::thread producer([&] { pipeline.append(entry("b")); });
  ASSERT_TRUE(pipeline.take(batch, wait));  // not before both are there
  producer.join();
  EXPECT_EQ(texts(batch), (std::vector<std::string>{"a", "b"}));
  // Sessions are passed on at once.
  EXPECT_TRUE(pipeline.append(entry("", EntryKind::session_end)));
  ASSERT_TRUE(pipeline.take(batch, wait));
  EXPECT_EQ(batch.size(), 1U);
}

TEST(Pipeline, NothingIsLostOrReorderedWhileBothSidesAreBusy) {
  constexpr int kEntries = 200'000;
  Pipeline pipeline(4'096);
  std::thread producer([&] {
    for (int i = 0; i < kEntries; ++i) {
      const std::string text = std::to_string(i);
      if (!pipeline.append(entry(text))) return;
    }
    pipeline.close();
  });
  PipelineBatch batch;
  int expected = 0;
  int wrong = 0;
  while (pipeline.take(batch, for_ever())) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (as_text(batch.entry(i).bytes) != std::to_string(expected++)) ++wrong;
    }
  }
  producer.join();
  EXPECT_EQ(expected, kEntries);
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace standpipe::archiver
