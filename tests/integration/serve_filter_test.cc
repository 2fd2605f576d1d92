// What a filtered subscriber gets is what an unfiltered one would have got, filtered: in backfill,
// across cutover, live, up to an end, and with progress to resume from.
#include <algorithm>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/mixed_frames.h"
#include "tests/support/scale.h"
#include "tests/support/serve_fixture.h"

namespace standpipe::test {
namespace {

class ServeFilter : public ServeFixture {
 protected:
  void given_frames(std::uint64_t seed, std::size_t count) {
    mixed = std::make_unique<MixedFrames>(seed);
    frames = mixed->take(count);
  }
  std::int64_t last() const { return frames.back().seq; }

  // Those that come behind `after`, up to `until`, and pass.
  std::vector<Bytes> expected(const MixedFilter& filter, std::int64_t after,
                              std::int64_t until) const {
    std::vector<Bytes> passing;
    for (const MixedFrame& frame : frames) {
      if (frame.seq > after && frame.seq <= until && filter.passes(frame)) {
        passing.push_back(frame.bytes);
      }
    }
    return passing;
  }
  static void expect_equal(const std::vector<Bytes>& actual, const std::vector<Bytes>& wanted) {
    const auto [a, b] = std::mismatch(actual.begin(), actual.end(), wanted.begin(), wanted.end());
    if (a == actual.end() && b == wanted.end()) return;
    ADD_FAILURE() << actual.size() << " frames in place of " << wanted.size() << "; the first "
                  << "that differs is number " << std::distance(actual.begin(), a) << ": seq "
                  << (a == actual.end() ? 0 : seq_of(*a).value_or(0)) << " in place of "
                  << (b == wanted.end() ? 0 : seq_of(*b).value_or(0));
  }
  static std::string between(std::int64_t cursor, std::int64_t until) {
    return "?cursor=" + std::to_string(cursor) + "&until=" + std::to_string(until);
  }
  void expect_served(const MixedFilter& filter, std::int64_t cursor, std::int64_t until) const {
    const std::string query = between(cursor, until) + filter.query();
    SCOPED_TRACE(query);
    Received end;
    Subscriber subscriber = subscribe(query);
    expect_equal(subscriber.read_to_end(&end), expected(filter, cursor, until));
    EXPECT_EQ(describe(end), "close 1000 \"\"");
  }
  void append(std::size_t from, std::size_t to) {
    std::vector<UpstreamFrame> next;
    for (std::size_t i = from; i < std::min(to, frames.size()); ++i) {
      next.push_back({frames[i].seq, frames[i].bytes});
    }
    upstream().append(std::move(next));
  }

  // The seq that a #info Progress names; nullopt if it is another frame.
  static std::optional<std::int64_t> progress_of(const Bytes& frame) {
    const Bytes begin = hex("a2 61't' 65'#info' 62'op' 01 a2 64'name' 68'Progress' 67'message'");
    if (frame.size() <= begin.size() || !std::equal(begin.begin(), begin.end(), frame.begin())) {
      return std::nullopt;
    }
    const std::string digits(as_text(ByteView(frame).subspan(begin.size() + 1)));
    EXPECT_EQ(std::to_integer<std::size_t>(frame[begin.size()]), 0x60 + digits.size());
    return std::stoll(digits);
  }
  // What a subscriber with progress got, from the beginning: each progress names what has been
  // considered, which never lacks a frame that passes.
  struct Progress {
    std::int64_t seq;
    std::size_t frames_before;
  };
  struct Heard {
    std::vector<Bytes> frames;
    std::vector<Progress> progress;
    void take(Bytes frame) {
      if (const auto seq = progress_of(frame)) {
        progress.push_back({*seq, frames.size()});
      } else {
        frames.push_back(std::move(frame));
      }
    }
  };
  void expect_progress(const Heard& heard, const MixedFilter& filter) const {
    std::int64_t before = 0;
    for (const Progress& one : heard.progress) {
      SCOPED_TRACE(one.seq);
      EXPECT_GT(one.seq, before);
      EXPECT_LE(one.seq, last());
      EXPECT_EQ(one.frames_before, expected(filter, 0, one.seq).size());
      before = one.seq;
    }
  }

  std::unique_ptr<MixedFrames> mixed;
  std::vector<MixedFrame> frames;
};

TEST_F(ServeFilter, InBackfillItIsWhatPasses) {
  given_frames(1, scaled(6'000));
  std::vector<Bytes> all;
  for (const MixedFrame& frame : frames) all.push_back(frame.bytes);
  given_imported(all);
  given_server();
  Subscriber unfiltered = subscribe(between(0, last()));
  expect_equal(unfiltered.read_to_end(), all);
  Random random(2);
  std::size_t passed = 0;
  for (int i = 0; i < 60; ++i) {
    const auto any_seq = [&] {
      return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(last())));
    };
    const std::int64_t cursor = i % 3 == 0 ? 0 : any_seq();
    const std::int64_t until = i % 4 == 0 ? cursor + any_seq() / 8 : last();
    const MixedFilter filter = mixed->filter();
    passed += expected(filter, cursor, std::min(until, last())).size();
    expect_served(filter, cursor, std::min(until, last()));
  }
  EXPECT_GT(passed, all.size());  // they do ask for something
}

// The least that a filter can ask for, and what matches nothing by a hair.
TEST_F(ServeFilter, EachKindOfFrameIsJudgedAsTheTableSays) {
  given_frames(3, scaled(2'000));
  std::vector<Bytes> all;
  for (const MixedFrame& frame : frames) all.push_back(frame.bytes);
  given_imported(all);
  given_server();
  const auto somebody = std::find_if(frames.begin(), frames.end(),
                                     [](const MixedFrame& frame) { return !frame.did.empty(); });
  ASSERT_NE(somebody, frames.end());
  const std::string did = somebody->did;
  for (const MixedFilter& filter :
       std::vector<MixedFilter>{{{did}, {}},
                                {{did, did, "did:web:nobody.example"}, {}},
                                {{}, {"app.bsky.feed.post"}},
                                {{}, {"app.bsky.feed.*"}},
                                {{}, {"com.example.none"}},
                                {{did}, {"com.example.none"}},
                                {{did}, {"app.bsky.*", "com.example.thing"}},
                                {{"did:web:nobody.example"}, {"app.bsky.*"}}}) {
    expect_served(filter, 0, last());
  }
}

TEST_F(ServeFilter, AcrossCutoverWhileIngestRunsNothingIsLostOrSentTwice) {
  given_frames(4, scaled(8'000));
  const std::size_t half = frames.size() / 2;
  UpstreamOptions options;
  for (std::size_t i = 0; i < half; ++i) {
    options.frames.push_back({frames[i].seq, frames[i].bytes});
  }
  given_upstream(std::move(options));
  given_mirror({"--live-bytes", "256KiB", "--partition-bytes", "300KiB", "--partition-span", "1s",
                "--partition-bytes-min", "50KiB", "--cache-bytes", "1MiB"});
  wait_until_durable(frames[half / 2].seq);
  struct Reading {
    MixedFilter filter;
    std::int64_t cursor = 0;
    std::vector<Bytes> received;
    std::string failure;
    std::thread thread;
  };
  std::vector<Reading> readings(16);
  for (std::size_t i = 0; i < readings.size(); ++i) {
    Reading& reading = readings[i];
    if (i > 0) reading.filter = mixed->filter();
    reading.cursor = i % 2 == 0 ? 0 : frames[half / 2 * i / readings.size()].seq;
    reading.thread = std::thread([this, &reading] {
      try {
        Received end;
        Subscriber subscriber = subscribe(between(reading.cursor, last()) + reading.filter.query());
        reading.received = subscriber.read_to_end(&end);
        if (describe(end) != "close 1000 \"\"") reading.failure = describe(end);
      } catch (const std::exception& error) {
        reading.failure = error.what();
      }
    });
  }
  for (std::size_t next = half; next < frames.size(); next += 50) append(next, next + 50);
  for (Reading& reading : readings) {
    reading.thread.join();
    SCOPED_TRACE(between(reading.cursor, last()) + reading.filter.query());
    EXPECT_EQ(reading.failure, "");
    expect_equal(reading.received, expected(reading.filter, reading.cursor, last()));
  }
}

TEST_F(ServeFilter, LiveItIsWhatPasses) {
  given_frames(5, scaled(3'000));
  UpstreamOptions options;
  options.frames.push_back({frames[0].seq, frames[0].bytes});
  given_upstream(std::move(options));
  given_mirror();
  wait_until_durable(frames[0].seq);
  // One that has come is what all wait for: no commit, so that it passes them by collection.
  while (frames.back().is_commit) frames.push_back(mixed->next());
  std::vector<std::pair<MixedFilter, Subscriber>> subscribers;
  for (int i = 0; i < 12; ++i) {
    MixedFilter filter = mixed->filter();
    filter.dids.clear();
    subscribers.emplace_back(filter, subscribe("?" + filter.query()));
    expect_nothing_more(subscribers.back().second);
  }
  for (std::size_t next = 1; next < frames.size(); next += 20) append(next, next + 20);
  for (auto& [filter, subscriber] : subscribers) {
    SCOPED_TRACE(filter.query());
    expect_equal(subscriber.read_until_seq(last()), expected(filter, frames[0].seq, last()));
    expect_nothing_more(subscriber);
  }
}

TEST_F(ServeFilter, ProgressOfALiveSubscriberFollowsWhatDoesNotPass) {
  given_frames(6, 900);
  UpstreamOptions options;
  options.frames.push_back({frames[0].seq, frames[0].bytes});
  given_upstream(std::move(options));
  given_mirror({"--ping-interval", "100ms"});
  wait_until_durable(frames[0].seq);
  MixedFilter filter;
  filter.dids = {frames[1].did.empty() ? frames[2].did : frames[1].did};
  Subscriber subscriber = subscribe("?cursor=0&progress=1" + filter.query());
  Subscriber unasked = subscribe("?cursor=0" + filter.query());
  Heard heard;
  for (std::size_t next = 1; next < frames.size(); next += 300) {
    append(next, next + 300);
    const std::int64_t newest = frames[std::min(next + 300, frames.size()) - 1].seq;
    while (heard.progress.empty() || heard.progress.back().seq < newest) {
      heard.take(subscriber.next_frame());
    }
  }
  expect_equal(heard.frames, expected(filter, 0, last()));
  expect_progress(heard, filter);
  EXPECT_EQ(heard.progress.back().seq, last());
  // Who asked for none gets none, and nobody is told the same twice.
  expect_equal(unasked.read_until_pong(), expected(filter, 0, last()));
  for (int i = 0; i < 12; ++i) subscriber.wait_for_ping();
  expect_nothing_more(subscriber);
  for (const Progress& one : heard.progress) expect_served(filter, one.seq, last());
}

TEST_F(ServeFilter, ProgressOfAReplayIsAPlaceToResumeFrom) {
  given_frames(7, 6'000);
  std::vector<Bytes> all;
  for (const MixedFrame& frame : frames) all.push_back(frame.bytes);
  given_imported(all);
  // So slow that there is progress on the way.
  given_server({"--max-egress-per-subscriber", "500KB"});
  MixedFilter filter;
  filter.collections = {"app.bsky.*"};
  const std::string query = between(0, last()) + "&progress=1" + filter.query();
  Subscriber subscriber = subscribe(query);
  Heard heard;
  Received received = subscriber.next();
  for (; std::holds_alternative<Bytes>(received); received = subscriber.next()) {
    heard.take(std::get<Bytes>(std::move(received)));
  }
  EXPECT_EQ(describe(received), "close 1000 \"\"");
  expect_equal(heard.frames, expected(filter, 0, last()));
  expect_progress(heard, filter);
  ASSERT_FALSE(heard.progress.empty());
  EXPECT_LT(heard.progress.front().seq, last());
  stop();
  given_server();
  for (const Progress& one : heard.progress) expect_served(filter, one.seq, last());
}

}  // namespace
}  // namespace standpipe::test
