// `standpipe play` beside its faults: where frames come from, when they go, what is asked by HTTP,
// when it ends, and what it reports.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "schema/hash.h"
#include "tests/support/certificates.h"
#include "tests/support/hex.h"
#include "tests/support/play_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::string file_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Bytes frame_at(std::int64_t seq, std::int64_t time_ms) {
  FrameSpec spec;
  spec.seq = seq;
  spec.time_ms = time_ms;
  return make_frame(spec);
}

std::string sha256_of(const std::vector<Bytes>& messages) {
  Sha256 hash;
  for (const Bytes& message : messages) hash.update(message);
  return to_hex(hash.finish());
}

class Play : public PlayFixture {};

// -- Ready, and how it ends -----------------------------------------------------------------------

TEST_F(Play, SaysInOneLineWhereItIsAndWhatItHas) {
  given_play(frames_between(5, 24), "", {"--report", (dir / "report.json").string()});
  const json ready = json::parse(play().output_text());
  const std::string port = std::to_string(play_port());
  EXPECT_EQ(ready["url"], "ws://127.0.0.1:" + port);
  EXPECT_EQ(ready["subscribe"], "ws://127.0.0.1:" + port + "/xrpc/com.atproto.sync.subscribeRepos");
  EXPECT_EQ(ready["control"], "http://127.0.0.1:" + port + "/play");
  EXPECT_EQ(ready["frames"], 20);
  EXPECT_EQ(ready["first_seq"], 5);
  EXPECT_EQ(ready["last_seq"], 24);
  EXPECT_EQ(ready["pid"], play().id());
  EXPECT_FALSE(std::filesystem::exists(dir / "report.json"));
  play().signal(SIGTERM);
  const Outcome outcome = play().wait();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(std::count(outcome.out.begin(), outcome.out.end(), '\n'), 1);  // the report is a file
  const json report = json::parse(file_text(dir / "report.json"));
  EXPECT_EQ(report["passed"], true);
  EXPECT_EQ(report["fixture"], (json{{"frames", 20},
                                     {"bytes",
                                      [] {
                                        std::size_t bytes = 0;
                                        for (const Bytes& frame : frames_between(5, 24)) {
                                          bytes += frame.size();
                                        }
                                        return bytes;
                                      }()},
                                     {"first_seq", 5},
                                     {"last_seq", 24},
                                     {"released", nullptr}}));
}

TEST_F(Play, EndsOnceSomebodyHasAllAndLosesNothingOfIt) {
  given_play(frames_between(1, 50), "", {"--until", "end"});
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  const json ended = ended_play();  // though nothing has been read, but by its kernel
  Received end;
  const std::vector<Bytes> read = subscriber.read_to_end(&end);
  EXPECT_TRUE(read == frames_between(1, 50));
  EXPECT_EQ(end, Received(TcpEnd{false, 0}));
  EXPECT_EQ(ended["connections"][0]["caught_up"], true);
  EXPECT_EQ(ended["connections"][0]["end"], "stopped");
}

TEST_F(Play, DoesNotEndWhileTheOneWhoIsToHaveAllHasNot) {
  std::vector<Bytes> frames;
  for (std::int64_t seq = 1; seq <= 40; ++seq) {
    FrameSpec spec;
    spec.seq = seq;
    spec.blocks_bytes = 1'000'000;  // in all more than kernels hold
    frames.push_back(make_frame(spec));
  }
  given_play(frames, "", {"--until", "end"});
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  subscriber.next_frame();
  EXPECT_EQ(report()["connections"][0]["caught_up"], false);
  EXPECT_TRUE(subscriber.read_to_end() == std::vector<Bytes>(frames.begin() + 1, frames.end()));
  EXPECT_EQ(ended_play()["connections"][0]["frames"], 40);
}

TEST_F(Play, EndsOnceSoManyHaveAll) {
  given_play(frames_between(1, 5), "", {"--until", "end=2"});
  Subscriber first = subscribe_to_play("?cursor=0");
  expect_sent(first, frames_between(1, 5));
  wait_until_caught_up(1);
  const Subscriber second = subscribe_to_play("?cursor=2");
  EXPECT_EQ(ended_play()["connections"].size(), 2U);
}

TEST_F(Play, EndsOnceSoManyConnectionsHaveEnded) {
  given_play(frames_between(1, 5), "", {"--until", "connections=2", "--until", "1h"});
  subscribe_to_play("?cursor=0").reset();
  EXPECT_EQ(wait_for_end(1)["end"], "left_by_reset");
  subscribe_to_play("?cursor=0").finish_writing();
  EXPECT_EQ(ended_play()["connections"].size(), 2U);
}

TEST_F(Play, EndsOnceAllFaultsHaveHappened) {
  given_play(frames_between(1, 5), "[[fault]]\nkind = \"duplicate\"\nseq = 2\n",
             {"--until", "faults"});
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  EXPECT_EQ(ended_play()["passed"], true);
}

TEST_F(Play, EndsAfterATime) {
  given_play(frames_between(1, 5), "", {"--until", "1ms"});
  EXPECT_THAT(ended_play()["connections"], IsEmpty());
}

TEST_F(Play, AFaultThatDidNotHappenIsAFailure) {
  given_play(frames_between(1, 10), R"(
[[fault]]
kind = "cut"
after = 3
[[fault]]
kind = "cut"
name = "never"
connection = [1, 4]
after = 5
[[fault]]
kind = "truncate"
seq = 6
bytes = 100000
)",
             {"--until", "end"});
  EXPECT_TRUE(tail({"--cursor", "0", "--until", "10"}).out == raw_frames(frames_between(1, 10)));
  const json ended = ended_play(1);
  EXPECT_EQ(play_errors(),
            "standpipe play: did not happen: fault 2 (cut, 'never') on connection 1, 4; "
            "fault 3 (truncate)\n");
  EXPECT_EQ(ended["passed"], false);
  EXPECT_EQ(ended["faults"][0]["happened"], true);
  EXPECT_EQ(ended["faults"][1]["happened"], false);
  EXPECT_EQ(ended["faults"][1]["missed_on"], (json{1, 4}));
}

// -- What connections are sent --------------------------------------------------------------------

TEST_F(Play, TheReportHasWhatEachConnectionAskedForAndGot) {
  given_play(frames_between(1, 10), "[[fault]]\nkind = \"text\"\nconnection = 2\nafter = 1\n");
  Subscriber first = subscribe_to_play("?cursor=4&x=y");
  EXPECT_EQ(first.read_frames(6).size(), 6U);
  Subscriber second = subscribe_to_play("");
  EXPECT_EQ(second.next_frame(), make_frame(1));
  EXPECT_EQ(second.next(), Received(TextMessage{"not a frame"}));
  expect_sent(second, frames_between(2, 10));
  const json ended = end_play();
  const json& one = ended["connections"][0];
  EXPECT_EQ(one["connection"], 1);
  EXPECT_EQ(one["target"], "/xrpc/com.atproto.sync.subscribeRepos?cursor=4&x=y");
  EXPECT_EQ(one["cursor"], 4);
  EXPECT_EQ(one["frames"], 6);
  EXPECT_EQ(one["messages"], 6);
  EXPECT_EQ(one["last_seq"], 10);
  EXPECT_EQ(one["sha256"], sha256_of(frames_between(5, 10)));
  const json& two = ended["connections"][1];
  EXPECT_EQ(two["cursor"], nullptr);
  EXPECT_EQ(two["frames"], 10);
  EXPECT_EQ(two["messages"], 11);
  EXPECT_EQ(two["pings"], 1);
  std::vector<Bytes> messages = frames_between(1, 10);
  messages.insert(messages.begin() + 1, hex("'not a frame'"));
  EXPECT_EQ(two["sha256"], sha256_of(messages));
}

TEST_F(Play, CursorsAreThoseOfTheRealServer) {
  given_play(frames_between(11, 20), "");
  // From the beginning of the fixture, at whatever time.
  for (const char* query : {"", "?", "?cursor=", "?cursor=0", "?cursor=10"}) {
    expect_sent(subscribe_to_play(query), frames_between(11, 20));
  }
  expect_sent(subscribe_to_play("?cursor=18"), frames_between(19, 20));
  expect_sent(subscribe_to_play("?cursor=20"), {});
  Subscriber outdated = subscribe_to_play("?cursor=9");
  EXPECT_THAT(to_hex(outdated.next_frame()), StartsWith("a261746523696e666f626f7001"));
  EXPECT_EQ(outdated.next_frame(), make_frame(11));
  Subscriber future = subscribe_to_play("?cursor=21");
  EXPECT_THAT(to_hex(future.next_frame()), StartsWith("a1626f7020a2656572726f726c467574757265"));
  EXPECT_EQ(future.next(), Received(Closed{1008, "FutureCursor"}));
  EXPECT_EQ(subscribe_to_play("?cursor=-1").handshake().status, 400);
  EXPECT_EQ(subscribe_to_play("?cursor=x").handshake().status, 400);
}

TEST_F(Play, OtherCursorModes) {
  given_play(frames_between(11, 20), "", {"--cursor-mode", "inclusive"});
  expect_sent(subscribe_to_play("?cursor=19"), frames_between(19, 20));
  given_play(frames_between(11, 13), "", {"--cursor-mode", "ignored"});
  expect_sent(subscribe_to_play("?cursor=19"), frames_between(11, 13));
}

TEST_F(Play, TwoRunsSendTheSameBytesInTheSameOrderToEach) {
  constexpr std::string_view kFaults = R"(
[[fault]]
kind = "swap"
connection = "every"
frame = 10
[[fault]]
kind = "corrupt"
connection = 2
seq = 100
byte = 50
[[fault]]
kind = "repeat"
connection = "every"
after = 250
from_seq = 200
[[fault]]
kind = "cut"
connection = 3
frame = 280
byte = 17
)";
  const auto run = [&](std::vector<Bytes>& all) {
    given_play(frames_between(1, 300), kFaults);
    std::vector<Subscriber> subscribers;
    for (const char* query : {"?cursor=0", "?cursor=50", ""}) {
      subscribers.push_back(subscribe_to_play(query));
      subscribers.back().next_frame();  // so that it has its number
    }
    for (Subscriber& subscriber : subscribers) {
      const bool is_cut = &subscriber == &subscribers[2];
      // 51 come again, and one has been read.
      const std::vector<Bytes> read =
          is_cut ? subscriber.read_to_end() : subscriber.read_frames(350);
      all.insert(all.end(), read.begin(), read.end());
    }
    wait_until_caught_up(1);
    wait_until_caught_up(2);
    wait_for_end(3);
    return end_play();
  };
  std::vector<Bytes> first;
  std::vector<Bytes> second;
  const json report_of_first = run(first);
  EXPECT_EQ(report_of_first, run(second));
  EXPECT_TRUE(first == second);
  EXPECT_GT(first.size(), 800U);
}

// What cannot be numbered stands where it stood.
TEST_F(Play, FramesWithoutASeqOfTheirOwnAreSentWhereTheyStand) {
  const Bytes info = hex("a2 61't' 65'#info' 62'op' 01 a1 64'name' 61'x'");
  const std::vector<Bytes> frames = {info,          make_frame(5), make_frame(7), info,
                                     make_frame(6), make_frame(9), hex("ff")};
  given_play(frames);
  expect_sent(subscribe_to_play("?cursor=0"), frames);
  expect_sent(subscribe_to_play("?cursor=5"), {frames.begin() + 2, frames.end()});
  expect_sent(subscribe_to_play("?cursor=7"), {frames.begin() + 5, frames.end()});
}

// A seq names the frame that carries it, not one that is beside it.
TEST_F(Play, FaultsFindAFrameBehindThoseWithoutASeq) {
  const Bytes info = hex("a2 61't' 65'#info' 62'op' 01 a1 64'name' 61'x'");
  const std::vector<Bytes> frames = {info, info, make_frame(5), info, make_frame(7)};
  given_play(frames, "[[fault]]\nkind = \"skip\"\nseq = 5\n");
  expect_sent(subscribe_to_play("?cursor=4"), {info, info, info, make_frame(7)});
  given_play(frames, "[[fault]]\nkind = \"repeat\"\nafter_seq = 5\nfrom_seq = 5\n");
  expect_sent(subscribe_to_play("?cursor=0"),
              {info, info, make_frame(5), make_frame(5), info, make_frame(7)});
  const std::string skip = given_scenario("[[fault]]\nkind = \"skip\"\nseq = 1\n", "seq.toml");
  expect_refusal({given_frames(frames), "--scenario", skip}, 2, "no seq 1: it has 5 to 7");
  expect_refusal({given_frames({info}), "--scenario", skip}, 2, "no seq 1: no frame has one");
}

TEST_F(Play, ManySubscribersAtOnceGetEachTheirOwn) {
  given_play(frames_between(1, 200),
             "[[fault]]\nkind = \"skip\"\nconnection = \"every\"\nseq = 9\n");
  std::vector<Subscriber> subscribers;
  for (int i = 0; i < 40; ++i) subscribers.push_back(subscribe_to_play("?cursor=0"));
  for (Subscriber& subscriber : subscribers) EXPECT_EQ(subscriber.read_frames(199).size(), 199U);
  std::set<std::string> hashes;
  const json ended = end_play();
  for (const json& one : ended["connections"]) hashes.insert(one["sha256"].get<std::string>());
  EXPECT_EQ(hashes.size(), 1U);
  EXPECT_EQ(ended["faults"][0]["times"], 40);
}

// -- Where frames come from -----------------------------------------------------------------------

TEST_F(Play, ARangeOfAnArchive) {
  given_imported(frames_between(1, 100));
  given_play_of({"--data", archive().string(), "--stream", "repos", "--from", "20", "--to", "79"});
  expect_sent(subscribe_to_play("?cursor=0"), frames_between(20, 79));
  EXPECT_EQ(report()["fixture"]["first_seq"], 20);
}

// An archive's threads are there before those of play: none of them may be ended by the signal.
TEST_F(Play, AnArchiveIsPlayedUntilASignal) {
  given_imported(frames_between(1, 10));
  given_play_of({"--data", archive().string()});
  subscribe_to_play("?cursor=0").read_frames(10);
  play().signal(SIGTERM);
  EXPECT_EQ(ended_play()["connections"][0]["frames"], 10);
}

TEST_F(Play, ASignalEndsTheWaitForFrames) {
  const std::string pipe = (dir / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  Process waiting({"play", pipe});
  const std::ofstream writer(pipe, std::ios::binary);  // opened once the other end is
  waiting.signal(SIGTERM);
  const Outcome outcome = waiting.wait();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "standpipe play: " + pipe + ": told to stop\n");
}

TEST_F(Play, ASimulation) {
  const std::filesystem::path file = dir / "sim.bin.zst";
  const Outcome simulated =
      run_standpipe({"simulate", "--seed", "7", "--accounts", "50", "--frames", "300", "--output",
                     file.string(), "--quiet"});
  ASSERT_EQ(simulated.status, 0) << simulated.err;
  given_play_of({file.string()});
  const std::vector<Bytes> of_file = subscribe_to_play("?cursor=0").read_frames(300);
  given_play_of({"--simulate", "--seed", "7", "--accounts", "50", "--frames", "300"});
  EXPECT_TRUE(subscribe_to_play("?cursor=0").read_frames(300) == of_file);
}

// -- When they go ---------------------------------------------------------------------------------

TEST_F(Play, SteppedTheyGoWhenTheyAreAskedFor) {
  given_play(frames_between(1, 10), "", {"--stepped"});
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  EXPECT_TRUE(subscriber.read_until_pong().empty());
  EXPECT_EQ(json::parse(post("/play/advance").body), (json{{"released", 1}, {"left", 9}}));
  expect_sent(subscriber, frames_between(1, 1));
  EXPECT_EQ(json::parse(post("/play/advance?frames=3").body), (json{{"released", 4}, {"left", 6}}));
  expect_sent(subscriber, frames_between(2, 4));
  EXPECT_EQ(report()["fixture"]["released"], 4);
  // The position is that of the recording: who comes later is sent at once what is out.
  expect_sent(subscribe_to_play("?cursor=2"), frames_between(3, 4));
  Subscriber ahead = subscribe_to_play("?cursor=6");
  EXPECT_TRUE(ahead.read_until_pong().empty());
  EXPECT_EQ(json::parse(post("/play/advance?frames=99").body),
            (json{{"released", 10}, {"left", 0}}));
  expect_sent(ahead, frames_between(7, 10));
  expect_sent(subscriber, frames_between(5, 10));
  EXPECT_EQ(json::parse(post("/play/advance").body), (json{{"released", 10}, {"left", 0}}));
  EXPECT_EQ(post("/play/advance?frames=0").status, 400);
  EXPECT_EQ(post("/play/advance?frames=x").status, 400);
}

// By the frames' own clock, the median of the newest 64: a thousand hours after 20 frames pass when
// more than half of it has seen them.
TEST_F(Play, AtSomeSpeedTheyGoByTheirOwnClock) {
  constexpr std::int64_t kStart = 1'767'225'600'000;
  constexpr std::int64_t kThousandHours = 3'600'000'000;
  std::vector<Bytes> frames;
  for (int i = 1; i <= 20; ++i) frames.push_back(frame_at(i, kStart));
  for (int i = 21; i <= 100; ++i) frames.push_back(frame_at(i, kStart + kThousandHours));
  frames.push_back(frame_at(101, kStart + 1));  // late by its own word: with those around it
  given_play(frames, "", {"--speed", "1"});
  Subscriber slow = subscribe_to_play("?cursor=0");
  EXPECT_EQ(slow.read_frames(20).size(), 20U);
  // What is due at once goes at once: as long as the median is the time of the first ones.
  const std::int64_t released = report()["fixture"]["released"];
  EXPECT_GE(released, 39);
  EXPECT_LE(released, 40);
  expect_sent(slow, {frames.begin() + 20, frames.begin() + released});
  given_play(frames, "", {"--speed", "1000000000"});
  EXPECT_EQ(subscribe_to_play("?cursor=0").read_frames(101).size(), 101U);
}

TEST_F(Play, AtARateTheyGoSoManyASecond) {
  given_play(frames_between(1, 100), "", {"--rate", "0.001"});
  Subscriber subscriber = subscribe_to_play("?cursor=0");
  expect_sent(subscriber, frames_between(1, 1));
  given_play(frames_between(1, 100), "", {"--rate", "2000"});
  EXPECT_EQ(subscribe_to_play("?cursor=0").read_frames(100).size(), 100U);
}

// -- By HTTP --------------------------------------------------------------------------------------

TEST_F(Play, OtherRequestsAreAnsweredAndAreNoConnections) {
  given_play(frames_between(1, 5));
  const auto status = [&](const std::string& method, std::string_view target) {
    HttpCall call;
    call.method = method;
    return http_get(play_port(), target, call).status;
  };
  EXPECT_EQ(status("GET", kSubscribeRepos), 426);
  EXPECT_EQ(status("POST", kSubscribeRepos), 405);
  EXPECT_EQ(status("GET", "/xrpc/com.example.other"), 404);
  EXPECT_EQ(status("GET", "/play/other"), 404);
  EXPECT_EQ(status("GET", "/play/advance"), 405);
  EXPECT_EQ(status("GET", "/play/stop"), 405);
  EXPECT_EQ(status("POST", "/play/advance"), 409);  // it is not stepped
  EXPECT_EQ(exchange_raw(play_port(), "nonsense\r\n\r\n"), "");
  subscribe_to_play("?cursor=0").read_frames(5);
  const json ended = end_play();
  ASSERT_EQ(ended["connections"].size(), 1U);
  EXPECT_EQ(ended["connections"][0]["frames"], 5);
}

TEST_F(Play, LabelsToo) {
  given_play(frames_between(1, 5));
  Subscriber subscriber =
      Subscriber::connect(play_port(), "/xrpc/com.atproto.label.subscribeLabels?cursor=3");
  expect_sent(subscriber, frames_between(4, 5));
}

TEST_F(Play, OverTls) {
  const CertificateAuthority authority;
  const TlsIdentity identity = authority.for_loopback();
  authority.write_certificate(dir / "ca.pem");
  std::ofstream(dir / "cert.pem") << identity.certificate_pem;
  std::ofstream(dir / "key.pem") << identity.key_pem;
  given_play(frames_between(1, 5), "[[fault]]\nkind = \"cut\"\nframe = 3\nbyte = 20\n",
             {"--tls-cert", (dir / "cert.pem").string(), "--tls-key", (dir / "key.pem").string(),
              "--until", "end"});
  const std::string url = printed()["url"];
  EXPECT_THAT(url, StartsWith("wss://127.0.0.1:"));
  const Outcome tailed = run_standpipe({"tail", url, "--cursor", "0", "--until", "5", "--raw",
                                        "--tls-ca", (dir / "ca.pem").string()});
  EXPECT_EQ(tailed.status, 0) << tailed.err;
  EXPECT_TRUE(tailed.out == raw_frames(frames_between(1, 5)));
  EXPECT_EQ(ended_play()["passed"], true);
  expect_refusal({new_file(), "--tls-cert", (dir / "key.pem").string(), "--tls-key",
                  (dir / "key.pem").string()},
                 2, "not a certificate in PEM");
  expect_refusal({new_file(), "--tls-cert", (dir / "cert.pem").string()}, 2,
                 "--tls-cert and --tls-key go together");
}

}  // namespace
}  // namespace standpipe::test
