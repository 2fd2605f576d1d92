// Many subscribers that want little each, live: each gets what it wants and nothing else, whoever
// comes and goes beside it, and those who get nothing still stand where they should.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/bulk_frames.h"
#include "tests/support/frame_json.h"
#include "tests/support/scale.h"
#include "tests/support/serve_fixture.h"
#include "tests/support/subscriber_crowd.h"

namespace standpipe::test {
namespace {

std::string did_of(std::size_t account) {
  return "did:web:host" + std::to_string(account) + ".example";
}

// #identity frames, each of one account; every fifth seq does not exist.
class ServeFilterCrowd : public ServeFixture {
 protected:
  struct Sent {
    std::int64_t seq;
    std::size_t account;
    Bytes bytes;
  };

  void given_live(std::size_t accounts, const std::vector<std::string>& arguments = {}) {
    accounts_ = accounts;
    given_upstream(UpstreamOptions{});
    send(1);
    given_mirror(arguments);
    wait_until_durable(last());
  }

  // The next frames of upstream, in one go: of anybody, or all of one account.
  void send(std::size_t count, std::optional<std::size_t> account = {}) {
    std::vector<UpstreamFrame> frames;
    for (; count > 0; --count) {
      const std::int64_t seq = sent_.empty() ? 1 : last() + (last() % 5 == 3 ? 2 : 1);
      const std::size_t of = account.value_or(random_.below(accounts_));
      const std::string filler(random_.below(400), 'x');
      Bytes bytes = frame_from_json("#identity", {{"seq", seq},
                                                  {"did", did_of(of)},
                                                  {"time", "2026-01-01T00:00:00.000Z"},
                                                  {"filler", filler}});
      frames.push_back({seq, bytes});
      sent_.push_back({seq, of, std::move(bytes)});
    }
    upstream().append(std::move(frames));
  }
  std::int64_t last() const { return sent_.back().seq; }

  std::vector<Bytes> of_account(std::size_t account, std::int64_t after, std::int64_t until) const {
    std::vector<Bytes> frames;
    for (const Sent& one : sent_) {
      if (one.account == account && one.seq > after && one.seq <= until) {
        frames.push_back(one.bytes);
      }
    }
    return frames;
  }
  static std::string one_did(std::size_t account, const std::string& more = "") {
    return "?wantedDids=" + did_of(account) + more;
  }
  static void add(SubscriberCrowd& crowd, const std::string& query) {
    CrowdGroup group;
    group.target = repos(query);
    crowd.add(group);
  }
  void expect_member(const CrowdMember& member, std::size_t account, std::int64_t after,
                     std::int64_t until) const {
    SCOPED_TRACE(did_of(account));
    const std::vector<Bytes> expected = of_account(account, after, until);
    EXPECT_EQ(member.frames, expected.size());
    EXPECT_EQ(member.digest, crowd_digest(expected));
    EXPECT_EQ(member.fault, "");
    EXPECT_EQ(member.end, "close 1000 ");
  }

  Random random_{1};
  std::size_t accounts_ = 1;
  std::vector<Sent> sent_;
};

TEST_F(ServeFilterCrowd, EachOfAThousandGetsTheDidThatItWants) {
  const std::size_t count = scaled(1'000);
  given_live(count, {"--connections-per-address", "2000"});
  const std::int64_t start = last();
  const auto until = static_cast<std::int64_t>(4 * count);
  SubscriberCrowd crowd(port());
  auto leaving = std::make_unique<SubscriberCrowd>(port());
  for (std::size_t account = 0; account < count; ++account) {
    add(crowd,
        one_did(account, "&cursor=" + std::to_string(start) + "&until=" + std::to_string(until)));
    if (account % 4 == 0) add(*leaving, one_did(account));
  }
  // One frame at a time, some together, and now and then many of one account, which is more than
  // is remembered for it.
  while (last() < until) {
    if (leaving != nullptr && last() > until / 2) leaving.reset();
    send(random_.chance(3) ? 1 : 1 + random_.below(60));
    if (random_.chance(4)) send(1 + random_.below(40), random_.below(count));
  }
  send(20);
  crowd.wait_for_ends();
  for (std::size_t account = 0; account < count; ++account) {
    expect_member(crowd.member(account), account, start, until);
  }
}

// The first segment of a live log holds 256 frames, and this one keeps no other beside its newest:
// they fall below it while they wait, and go on from the archive.
TEST_F(ServeFilterCrowd, WhoWaitsWhileTheLiveLogRunsAwayLosesNothing) {
  given_live(20, {"--live-bytes", "4KiB"});
  const std::int64_t start = last();
  const auto until = static_cast<std::int64_t>(scaled(6'000));
  SubscriberCrowd crowd(port());
  for (std::size_t account = 0; account < 40; ++account) {
    add(crowd,
        one_did(account, "&cursor=" + std::to_string(start) + "&until=" + std::to_string(until)));
  }
  send(1'500);
  while (last() < until) send(1 + random_.below(500));
  crowd.wait_for_ends();
  for (std::size_t account = 0; account < 40; ++account) {
    expect_member(crowd.member(account), account, start, until);
  }
}

// From the archive, over the end of it, into what comes meanwhile.
TEST_F(ServeFilterCrowd, AReplayThatBecomesLiveLosesAndRepeatsNothing) {
  given_live(20, {"--live-bytes", "64KiB"});
  send(scaled(3'000));
  wait_until_durable(last());
  const std::int64_t until = last() + static_cast<std::int64_t>(scaled(3'000));
  SubscriberCrowd crowd(port());
  for (std::size_t account = 0; account < 25; ++account) {
    add(crowd, one_did(account, "&cursor=0&until=" + std::to_string(until)));
    send(1 + random_.below(10));
  }
  while (last() < until) send(1 + random_.below(30));
  crowd.wait_for_ends();
  for (std::size_t account = 0; account < 25; ++account) {
    expect_member(crowd.member(account), account, 0, until);
  }
}

TEST_F(ServeFilterCrowd, AnEndAmongFramesThatDoNotPassIsMetExactly) {
  given_live(3, {"--ping-interval", "1h"});  // nothing else calls them
  const std::int64_t start = last();
  constexpr std::int64_t kUntil = 34;  // does not exist: 33 is followed by 35
  constexpr std::size_t kNobody = 9;
  Subscriber nobody = subscribe(one_did(kNobody, "&until=34&cursor=" + std::to_string(start)));
  Subscriber somebody = subscribe(one_did(1, "&until=34&cursor=" + std::to_string(start)));
  Subscriber later = subscribe(one_did(kNobody));
  while (last() < kUntil - 1) send(1);
  wait_until_durable(last());
  expect_nothing_more(nobody);  // what is to come might be 34
  send(1);
  ASSERT_EQ(last(), 35);
  Received end;
  EXPECT_TRUE(nobody.read_to_end(&end).empty());
  EXPECT_EQ(describe(end), "close 1000 \"\"");
  EXPECT_EQ(somebody.read_to_end(&end), of_account(1, start, kUntil));
  EXPECT_EQ(describe(end), "close 1000 \"\"");
  send(1, kNobody);
  EXPECT_EQ(later.next_frame(), sent_.back().bytes);
}

// Nothing but the clock moves a subscriber that gets nothing; what it is told is where it stands.
TEST_F(ServeFilterCrowd, ProgressGoesOnWhereNothingPasses) {
  given_live(5);
  constexpr std::size_t kNobody = 9;
  Subscriber nobody = subscribe(one_did(kNobody, "&progress=1"));
  const Bytes begin = hex("a2 61't' 65'#info' 62'op' 01 a2 64'name' 68'Progress' 67'message'");
  const auto told = [&] {
    const Bytes frame = nobody.next_frame();
    if (frame.size() <= begin.size() || !std::equal(begin.begin(), begin.end(), frame.begin())) {
      ADD_FAILURE() << "no progress: " << describe(Received(frame));
      return std::int64_t{0};
    }
    return static_cast<std::int64_t>(
        std::stoll(std::string(as_text(ByteView(frame).subspan(begin.size() + 1)))));
  };
  expect_nothing_more(nobody);
  for (int i = 0; i < 3; ++i) {
    send(400);
    std::int64_t progress = 0;
    while (progress < last()) {
      const std::int64_t before = std::exchange(progress, told());
      ASSERT_GT(progress, before);
      ASSERT_LE(progress, last());
    }
  }
  // A frame for it comes after what was told, and before what is told next.
  send(50);
  send(1, kNobody);
  const std::int64_t wanted = last();
  send(50);
  Bytes frame = nobody.next_frame();
  while (seq_of(frame).value_or(0) == 0) frame = nobody.next_frame();  // progress on the way
  EXPECT_EQ(frame, sent_[sent_.size() - 51].bytes);
  EXPECT_GE(told(), wanted);
}

}  // namespace
}  // namespace standpipe::test
