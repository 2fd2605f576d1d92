// Label streams: any number of labelers beside a relay, each archived and served by its name. What
// makes them different is what labelers do: they sign their past anew, and skip.

#include <gmock/gmock.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/frame_json.h"
#include "tests/support/hex.h"
#include "tests/support/mirror_status_fixture.h"
#include "tests/support/process.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kSubscribeLabels = "/xrpc/com.atproto.label.subscribeLabels";

// A frame of one label. `signature` is all that a labeler with another key changes.
Bytes label_frame(std::int64_t seq, std::string_view signature = "AAAA") {
  const json label{{"cts", kWorkedTime},
                   {"sig", {{"$bytes", signature}}},
                   {"src", kWorkedDid},
                   {"uri", "at://" + std::string(kWorkedDid) + "/app.bsky.feed.post/" +
                               std::to_string(1'000 + seq)},
                   {"val", "spam"},
                   {"ver", 1}};
  return frame_from_json("#labels", {{"seq", seq}, {"labels", json::array({label})}});
}

std::vector<Bytes> label_frames(const std::vector<std::int64_t>& seqs,
                                std::string_view signature = "AAAA") {
  std::vector<Bytes> frames;
  for (const std::int64_t seq : seqs) frames.push_back(label_frame(seq, signature));
  return frames;
}

UpstreamOptions labeler_holding(const std::vector<std::int64_t>& seqs,
                                std::string_view signature = "AAAA") {
  UpstreamOptions options;
  for (const std::int64_t seq : seqs) options.frames.push_back({seq, label_frame(seq, signature)});
  return options;
}

class MirrorLabels : public MirrorStatusFixture {
 protected:
  ScriptedUpstream& given_labeler(UpstreamOptions options) {
    labelers_.push_back(std::make_unique<ScriptedUpstream>(std::move(options)));
    return *labelers_.back();
  }
  static std::string named(const std::string& name, const ScriptedUpstream& labeler) {
    return name + "=" + labeler.url();
  }

  // From the oldest frame of what stands at that path.
  Subscriber subscribe_at(const std::string& path, std::int64_t cursor = 0) const {
    return Subscriber::connect(port(), path + "?cursor=" + std::to_string(cursor));
  }
  Subscriber subscribe_to_labels(const std::string& prefix = "", std::int64_t cursor = 0) const {
    return subscribe_at(prefix + std::string(kSubscribeLabels), cursor);
  }
  static void expect_frames(Subscriber subscriber, const std::vector<Bytes>& frames) {
    EXPECT_EQ(subscriber.read_frames(frames.size()), frames);
    EXPECT_THAT(subscriber.read_until_pong(), IsEmpty());
  }

  static json stream_of(const json& inspected, const std::string& name) {
    for (const json& stream : inspected["streams"]) {
      if (stream["name"] == name) return stream;
    }
    return {};
  }

 private:
  std::vector<std::unique_ptr<ScriptedUpstream>> labelers_;
};

TEST_F(MirrorLabels, EveryLabelerStandsUnderItsNameAndTheFirstAtTheRoot) {
  given_upstream(holding(1, 10));
  ScriptedUpstream& first = given_labeler(labeler_holding({5, 7, 20}));
  ScriptedUpstream& second = given_labeler(labeler_holding({1, 2, 3}, "BBBB"));
  given_mirror({"--labeler", named("first", first), "--labeler", named("second", second)});
  wait_until_durable(10);
  wait_until_durable(20, "first");
  wait_until_durable(3, "second");
  EXPECT_EQ(first.connection(0).target, std::string(kSubscribeLabels) + "?cursor=0");
  EXPECT_EQ(second.connection(0).target, std::string(kSubscribeLabels) + "?cursor=0");

  expect_frames(subscribe_to_labels(), label_frames({5, 7, 20}));
  expect_frames(subscribe_to_labels("/stream/first"), label_frames({5, 7, 20}));
  expect_frames(subscribe_to_labels("/stream/second"), label_frames({1, 2, 3}, "BBBB"));
  expect_served(frames_between(1, 10));
  // A stream has one kind.
  EXPECT_EQ(subscribe_at("/stream/first" + std::string(kSubscribeRepos)).handshake().status, 404);
  EXPECT_EQ(subscribe_to_labels("/stream/repos").handshake().status, 404);
  EXPECT_EQ(subscribe_to_labels("/stream/third").handshake().status, 404);
}

TEST_F(MirrorLabels, CursorsAreOfTheStreamThatIsAskedFor) {
  given_upstream(holding(1, 10));
  ScriptedUpstream& labeler = given_labeler(labeler_holding({5, 7, 20}));
  given_mirror({"--labeler", named("moderation", labeler)});
  wait_until_durable(10);
  wait_until_durable(20, "moderation");
  expect_frames(subscribe_to_labels("", 6), label_frames({7, 20}));

  Subscriber live = subscribe_to_labels("", 20);  // for the relay a cursor of the future
  labeler.append(31, label_frame(31));
  EXPECT_EQ(live.next_frame(), label_frame(31));

  Subscriber ahead = subscribe_to_labels("", 32);
  EXPECT_EQ(ahead.next_frame(), hex(kWorkedFutureCursor));
  EXPECT_EQ(ahead.next(), Received(Closed{1008, "FutureCursor"}));
}

TEST_F(MirrorLabels, ALabelerNeedsNoRelayBesideIt) {
  ScriptedUpstream& labeler = given_labeler(labeler_holding({1, 2, 3}));
  NetworkProcess mirror({"mirror", "--data", archive().string(), "--labeler",
                         named("moderation", labeler), "--min-free", "0", "--quiet"});
  const auto target = [](std::string_view path) { return std::string(path) + "?cursor=0"; };
  Subscriber labels = Subscriber::connect(mirror.port(), target(kSubscribeLabels));
  EXPECT_EQ(labels.read_frames(3), label_frames({1, 2, 3}));
  const Subscriber repos = Subscriber::connect(mirror.port(), target(kSubscribeRepos));
  EXPECT_EQ(repos.handshake().status, 501);
  EXPECT_EQ(mirror.stop().status, 0);
}

TEST_F(MirrorLabels, SeqsThatALabelerSkipsAreNoGap) {
  given_upstream(holding(1, 1));
  ScriptedUpstream& labeler = given_labeler(labeler_holding({5, 7, 20, 400}));
  labeler.plan_next(ConnectionPlan().cut_after(2));
  given_mirror({"--labeler", named("moderation", labeler)});
  wait_until_durable(400, "moderation");
  EXPECT_EQ(labeler.connection(1).cursor, 7);
  const json ledger = json::parse(http_get(port(), "/stream/moderation/gaps").body);
  EXPECT_THAT(ledger["gaps"], IsEmpty());
}

// protocol.md 3.3: after a rotation of keys a labeler sends other bytes for its old seqs.
TEST_F(MirrorLabels, WhatALabelerSignsAnewIsKeptAsideAndTheFirstStays) {
  given_upstream(holding(1, 1));
  ScriptedUpstream& before = given_labeler(labeler_holding({1, 2, 3, 4, 5}));
  given_watched_mirror({"--labeler", named("moderation", before)});
  wait_until_durable(5, "moderation");
  stop();

  UpstreamOptions rotated = labeler_holding({1, 2, 3, 4, 5, 6, 7}, "BBBB");
  rotated.cursor_mode = CursorMode::ignored;  // it sends its whole past
  ScriptedUpstream& after = given_labeler(std::move(rotated));
  given_watched_mirror({"--labeler", named("moderation", after), "--change-upstream"});
  wait_until_durable(7, "moderation");
  // A labeler may do this: nothing was reset.
  wait_for_status(
      "five conflicts, and live",
      [](const json& now) { return now["conflicts"] == 5 && now["state"] == "live"; },
      "moderation");

  std::vector<Bytes> kept = label_frames({1, 2, 3, 4, 5});
  for (Bytes& frame : label_frames({6, 7}, "BBBB")) kept.push_back(std::move(frame));
  expect_frames(subscribe_to_labels(), kept);
  EXPECT_EQ(inspected()["quarantine"]["by_reason"], json({{"conflict", 5}}));

  // The same once more, on the next connection: they are known, and still not served.
  kill();
  given_mirror({"--labeler", named("moderation", after)});
  after.append(8, label_frame(8, "BBBB"));
  wait_until_durable(8, "moderation");
  kept.push_back(label_frame(8, "BBBB"));
  expect_frames(subscribe_to_labels(), kept);
}

TEST_F(MirrorLabels, SignaturesOfLabelsAreVerifiedAtIngest) {
  given_upstream(holding(1, 1));
  UpstreamOptions options;
  options.frames = {{5, hex(kWorkedLabels)},
                    {6, label_frame(6)}};  // the second is signed by nobody
  ScriptedUpstream& labeler = given_labeler(std::move(options));
  const json method{{"id", "#atproto_label"},
                    {"type", "Multikey"},
                    {"controller", kWorkedDid},
                    {"publicKeyMultibase", kWorkedLabelKey}};
  const json document{{"id", kWorkedDid}, {"verificationMethod", json::array({method})}};
  std::ofstream(dir / "docs.json") << document.dump() << "\n"
                                   << R"({"id":"nobody"})"
                                   << "\n";
  given_watched_mirror({"--labeler", named("moderation", labeler), "--verify-ingest", "full",
                        "--did-docs", dir / "docs.json"});
  const json check = wait_for_status(
      "two verdicts", [](const json& now) { return now["verify"]["frames"] == 2; },
      "moderation")["verify"];
  EXPECT_EQ(check["signatures"], (json{{"valid", 1}, {"wrong", 1}, {"unchecked", 0}}));
  EXPECT_EQ(check["findings_by_kind"], (json{{"label_signature_wrong", 1}}));
  wait_for_log("DID documents: 1, of which without a usable key 0; refused 1");
}

TEST_F(MirrorLabels, ALabelerThatBeganAnewSaysSoByFutureCursor) {
  given_upstream(holding(1, 1));
  ScriptedUpstream& before = given_labeler(labeler_holding({1, 2, 3, 4, 5}));
  given_mirror({"--labeler", named("moderation", before)});
  wait_until_durable(5, "moderation");
  stop();
  ScriptedUpstream& after = given_labeler(labeler_holding({1, 2}, "BBBB"));
  given_watched_mirror({"--labeler", named("moderation", after), "--change-upstream"});
  wait_for_status(
      "a reset", [](const json& now) { return now["state"] == "upstream_reset"; }, "moderation");
  wait_for_newest(1);  // the relay beside it is not concerned
  expect_frames(subscribe_to_labels(), label_frames({1, 2, 3, 4, 5}));
}

TEST_F(MirrorLabels, TailReadsEachByItsPath) {
  given_upstream(holding(1, 1));
  ScriptedUpstream& first = given_labeler(labeler_holding({1, 2, 3}));
  ScriptedUpstream& second = given_labeler(labeler_holding({4, 5, 6}, "BBBB"));
  given_mirror({"--labeler", named("first", first), "--labeler", named("second", second)});
  wait_until_durable(3, "first");
  wait_until_durable(6, "second");
  const std::string url = "ws://127.0.0.1:" + std::to_string(port());
  const auto tailed = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "tail");
    arguments.insert(arguments.end(), "--json");
    const Outcome outcome = run_standpipe(arguments);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  };
  const std::string of_root = tailed({url, "--kind", "labels", "--cursor", "1", "--until", "3"});
  EXPECT_EQ(json::parse(of_root.substr(0, of_root.find('\n')))["seq"], 2);
  EXPECT_THAT(of_root, AllOf(HasSubstr("\"val\":\"spam\""), HasSubstr(kWorkedDid)));
  const std::string of_second =
      tailed({url + "/stream/second", "--kind", "labels", "--cursor", "5", "--until", "6"});
  EXPECT_EQ(json::parse(of_second)["seq"], 6);
  // Of the archive itself, which the mirror holds.
  const std::string of_data =
      tailed({"--data", archive().string(), "--stream", "second", "--cursor", "5"});
  EXPECT_EQ(json::parse(of_data)["seq"], 6);
}

TEST_F(MirrorLabels, WhatIsExportedAndImportedIsServedAsItCame) {
  given_upstream(holding(1, 1));
  ScriptedUpstream& labeler = given_labeler(labeler_holding({5, 7, 20}));
  given_mirror({"--labeler", named("moderation", labeler)});
  wait_until_durable(20, "moderation");
  stop();
  const std::string file = (dir / "labels.frames").string();
  const std::string copy = (dir / "copy").string();
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"export", "--data", archive().string(), "--stream", "moderation",
                                 "--output", file, "--quiet"},
        {"import", file, "--data", copy, "--kind", "labels", "--stream", "moderation", "--min-free",
         "0", "--quiet"}}) {
    const Outcome outcome = run_standpipe(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }
  const NetworkProcess server({"serve", "--data", copy, "--quiet"});
  Subscriber labels =
      Subscriber::connect(server.port(), std::string(kSubscribeLabels) + "?cursor=0");
  EXPECT_EQ(labels.read_frames(3), label_frames({5, 7, 20}));

  const Outcome inspected = run_standpipe({"inspect", "--data", copy, "--json"});
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  const json stream = stream_of(json::parse(inspected.out), "moderation");
  EXPECT_EQ(stream["kind"], "labels");
  EXPECT_THAT(stream["epochs"][0]["gaps"], IsEmpty());
  const Outcome frame = run_standpipe({"inspect", "frame", "7", "--data", copy, "--json"});
  ASSERT_EQ(frame.status, 0) << frame.err;
  EXPECT_THAT(frame.out, HasSubstr("\"spam\""));
}

}  // namespace
}  // namespace standpipe::test
