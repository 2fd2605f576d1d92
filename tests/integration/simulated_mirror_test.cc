// `mirror --upstream sim:`: the real program with a network of its own, ended and started again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>
#include <string>
#include <vector>

#include "schema/did_document.h"
#include "schema/event.h"
#include "schema/frame.h"
#include "schema/label_signature.h"
#include "tests/support/http_exchange.h"
#include "tests/support/mirror_fixture.h"
#include "tests/support/process.h"
#include "tests/support/simulation.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// Small, so that accounts come back; with an end, so that there is a whole to compare with.
const std::string kNetwork =
    "sim:seed=7,start=2026-07-01T00:00:00Z,accounts=60,rate=2,frames=900,sync=20,labels=100";

class SimulatedMirror : public MirrorFixture {
 protected:
  void given_mirror_of(const std::string& network, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--upstream", network});
    given_mirror(std::move(more));
  }

  std::vector<Bytes> archived(std::size_t frames) const {
    return subscribe("?cursor=0").read_frames(frames);
  }

  // Where the network's own host listens, as the log says.
  std::uint16_t host_port() const {
    const std::string log = process().error_text();
    const std::regex place("DID documents at http://127\\.0\\.0\\.1:(\\d+)/did:");
    std::smatch found;
    if (!std::regex_search(log, found, place)) throw std::runtime_error("no host in:\n" + log);
    return static_cast<std::uint16_t>(std::stoi(found[1]));
  }

  std::string inspected() const {
    return run_standpipe({"inspect", "--data", archive().string()}).out;
  }
};

TEST_F(SimulatedMirror, ArchivesAndServesTheFramesOfItsSeed) {
  given_mirror_of(kNetwork + ",speed=max");
  wait_until_durable(900);
  EXPECT_EQ(archived(900), simulated_frames(kNetwork));
  wait_for_health("ok");
  stop();
  EXPECT_THAT(inspected(), HasSubstr("900 frames"));
  EXPECT_THAT(inspected(), Not(HasSubstr("gap ")));
}

TEST_F(SimulatedMirror, GoesOnWhereItWasAfterEachEnd) {
  const std::vector<Bytes> whole = simulated_frames(kNetwork);
  // At 800 frames a second, so that each end comes in the middle.
  const std::string network = kNetwork + ",speed=400";
  given_mirror_of(network);
  wait_until_durable(200);
  kill();
  given_mirror_of(network);
  wait_until_durable(450);
  const Outcome stopped = stop();
  EXPECT_THAT(stopped.err, HasSubstr("going on after seq"));
  given_mirror_of(network);
  wait_until_durable(900);
  EXPECT_EQ(archived(900), whole);
  stop();
  EXPECT_THAT(inspected(), Not(HasSubstr("gap ")));
  EXPECT_THAT(inspected(), Not(HasSubstr("conflict")));
}

// One host has to serve both. By the clock on the wall, what `second` lacks would take minutes, but
// all of it has appeared already: `first` has it.
TEST_F(SimulatedMirror, TwoStreamsOfOneNetworkMayBeAtTwoPlaces) {
  given_mirror_of("first=" + kNetwork + ",speed=max");
  wait_until_durable(900, "first");
  stop();
  given_mirror_of("first=" + kNetwork, {"--upstream", "second=" + kNetwork});
  wait_until_durable(900, "second");
  EXPECT_THAT(stop().err, Not(HasSubstr("FutureCursor")));
}

TEST_F(SimulatedMirror, NewNetworkBeginsNowAndIsRememberedWithIt) {
  given_mirror_of("sim:seed=5,rate=200,accounts=40");
  wait_until_durable(50);
  wait_for_health("ok");  // however slow this machine is just now, it comes
  EXPECT_LT(health()["streams"][0]["event_age_s"], 30);
  stop();
  const std::string remembered = inspected();
  EXPECT_THAT(remembered, HasSubstr("sim:seed=5,start=20"));
  // What is not said is as it was, and to say it again is no contradiction.
  for (const std::string again : {"sim:", "sim:rate=200", "sim:speed=max"}) {
    SCOPED_TRACE(again);
    given_mirror_of(again);
    stop();
  }
  const Outcome refused = run_standpipe(
      {"mirror", "--data", archive().string(), "--upstream", "sim:seed=6", "--min-free", "0"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("--change-upstream"));
}

TEST_F(SimulatedMirror, NeedsNoUpstreamOnceItHasOne) {
  given_mirror_of(kNetwork + ",speed=max");
  wait_until_durable(900);
  stop();
  NetworkProcess again({"mirror", "--data", archive().string(), "--quiet", "--min-free", "0"});
  Subscriber all =
      Subscriber::connect(again.port(), std::string(kSubscribeRepos) + "?cursor=0&until=900");
  EXPECT_EQ(all.read_frames(900), simulated_frames(kNetwork));
  EXPECT_EQ(again.stop().status, 0);
}

TEST_F(SimulatedMirror, FollowsTheLabelerOfTheSameNetwork) {
  given_mirror_of(kNetwork + ",speed=max", {"--labeler", kNetwork + ",speed=max"});
  const std::vector<Bytes> labels = simulated_labels(kNetwork);
  ASSERT_GT(labels.size(), 50U);
  Subscriber live = Subscriber::connect(port(), "/xrpc/com.atproto.label.subscribeLabels?cursor=0");
  const std::vector<Bytes> read = live.read_frames(labels.size());
  EXPECT_EQ(read, labels);
  // By the key in the document that the network's host has of the labeler.
  const Event first = decode_event(read.front()).value();
  const Label& label = std::get<Labels>(first).labels.front();
  const HttpReply reply = http_get(host_port(), "/" + std::string(label.src));
  ASSERT_EQ(reply.status, 200);
  const DidDocument document = parse_did_document(reply.body).value();
  EXPECT_EQ(verify_label(label, document.label_key.value()), LabelCheck::valid);
  stop();
}

TEST_F(SimulatedMirror, EveryAccountsDocumentIsServedAsPlcDirectoryDoes) {
  given_mirror_of(kNetwork + ",speed=max,did-web=300");
  wait_until_durable(900);
  std::size_t count = 0;
  for (const Bytes& frame : archived(900)) {
    const Event event = decode_event(frame).value();
    const auto* identity = std::get_if<Identity>(&event);
    if (identity == nullptr) continue;
    const std::string did(identity->did);
    const HttpReply reply = http_get(host_port(), "/" + did);
    ASSERT_EQ(reply.status, 200);
    EXPECT_EQ(reply.header("content-type"), "application/did+ld+json");
    const nlohmann::json document = nlohmann::json::parse(reply.body);
    EXPECT_EQ(document["id"], did);
    EXPECT_EQ(document["alsoKnownAs"][0], "at://" + std::string(*identity->handle));
    ++count;
  }
  EXPECT_GT(count, 3U);
  const HttpReply unknown = http_get(host_port(), "/did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(nlohmann::json::parse(unknown.body)["message"],
            "DID not registered: did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
  stop();
}

// Of every commit and #sync, by what the host says of the keys: nothing is left unchecked.
TEST_F(SimulatedMirror, ArchiveVerifiesWithTheDocumentsThatTheHostServes) {
  given_mirror_of(kNetwork + ",speed=max");
  wait_until_durable(900);
  nlohmann::json documents = nlohmann::json::object();
  for (const Bytes& frame : archived(900)) {
    const Event event = decode_event(frame).value();
    const auto* commit = std::get_if<Commit>(&event);
    const auto* sync = std::get_if<Sync>(&event);
    if (commit == nullptr && sync == nullptr) continue;
    const std::string did(commit != nullptr ? commit->repo : sync->did);
    if (documents.contains(did)) continue;
    documents[did] = nlohmann::json::parse(http_get(host_port(), "/" + did).body);
  }
  ASSERT_GT(documents.size(), 40U);
  stop();
  std::ofstream(dir / "docs.json") << documents.dump();
  const Outcome verified = run_standpipe({"verify", "--data", archive().string(), "--did-docs",
                                          (dir / "docs.json").string(), "--json", "--quiet"});
  EXPECT_EQ(verified.status, 0) << verified.out << verified.err;
  const nlohmann::json summary = nlohmann::json::parse(verified.out);
  EXPECT_EQ(summary["result"], "clean");
  EXPECT_EQ(summary["signatures"]["unchecked"], 0);
  EXPECT_GT(summary["signatures"]["valid"], 800);
  EXPECT_GT(summary["checked"]["chain"], 500);
}

TEST_F(SimulatedMirror, WhatCannotBeSimulatedIsToldInOneLine) {
  const auto refused = [&](const std::string& network) {
    const Outcome outcome =
        run_standpipe({"mirror", "--data", archive().string(), "--upstream", network});
    EXPECT_EQ(outcome.status, 2) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(refused("sim:sede=7"), HasSubstr("no option 'sede'; allowed: seed, accounts, rate"));
  EXPECT_THAT(refused("sim:rate=0"), HasSubstr("rate: "));
  EXPECT_THAT(refused("sim:rate=100,bursts=50"), HasSubstr("bursts: from the rate up to 20 times"));
  EXPECT_THAT(refused("sim:speed=0"), HasSubstr("neither max nor a number from 1 to 1000"));
  EXPECT_THAT(refused("sim:legacy=1001"), HasSubstr("legacy=1001"));
  EXPECT_THAT(refused("sim:start=yesterday"), HasSubstr("start: "));
  EXPECT_THAT(refused("sim:identity=999,sync=2"), HasSubstr("more than 1000 per mille"));
}

}  // namespace
}  // namespace standpipe::test
