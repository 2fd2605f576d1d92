// `simulate --listen`: the network as a host for others, met by subscribers over real sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "schema/frame.h"
#include "tests/support/http_exchange.h"
#include "tests/support/net_stream.h"
#include "tests/support/network_process.h"
#include "tests/support/process.h"
#include "tests/support/sanitizer.h"
#include "tests/support/serve_fixture.h"
#include "tests/support/simulation.h"
#include "tests/support/subscriber.h"

namespace standpipe::test {
namespace {

using ::testing::HasSubstr;

const std::string kNetwork = "sim:seed=9,start=2026-07-01T00:00:00Z,accounts=50,rate=2,frames=600";
const std::vector<std::string> kOptions = {"--seed",     "9",  "--start", "2026-07-01T00:00:00Z",
                                           "--accounts", "50", "--rate",  "2",
                                           "--frames",   "600"};
const std::string_view kHealthRequest = "GET /xrpc/_health HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string_view kUpgradeRequest =
    "GET /xrpc/com.atproto.sync.subscribeRepos?cursor=600 HTTP/1.1\r\nHost: a\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const std::string kLabels = "/xrpc/com.atproto.label.subscribeLabels";

class SimulateListen : public ::testing::Test {
 protected:
  void given_host(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"simulate"};
    arguments.insert(arguments.end(), kOptions.begin(), kOptions.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    host_ = std::make_unique<NetworkProcess>(arguments);
  }
  Subscriber subscribe(const std::string& query) const {
    return Subscriber::connect(host_->port(), std::string(kSubscribeRepos) + query);
  }
  void expect_stopped() { EXPECT_EQ(host_->stop().status, 0); }

  std::unique_ptr<NetworkProcess> host_;
};

std::vector<Bytes> from(const std::vector<Bytes>& frames, std::ptrdiff_t first) {
  return {frames.begin() + first, frames.end()};
}

TEST_F(SimulateListen, EveryCursorGetsWhatFollowsIt) {
  given_host({"--speed", "max"});
  const std::vector<Bytes> whole = simulated_frames(kNetwork);
  EXPECT_EQ(subscribe("?cursor=0").read_frames(600), whole);
  EXPECT_EQ(subscribe("?cursor=1").read_frames(599), from(whole, 1));
  EXPECT_EQ(subscribe("?cursor=599").read_frames(1), from(whole, 599));
  EXPECT_EQ(subscribe("?cursor=600").read_until_pong(), std::vector<Bytes>{});
  EXPECT_EQ(subscribe("").read_until_pong(), std::vector<Bytes>{});
  expect_stopped();
}

// Without an end. Who comes without a cursor gets what comes next, as all others do.
TEST_F(SimulateListen, LiveFramesAreThoseThatOthersGet) {
  host_ = std::make_unique<NetworkProcess>(
      std::vector<std::string>{"simulate", "--rate", "1000", "--accounts", "30"});
  Subscriber first = subscribe("?cursor=0");
  const std::vector<Bytes> begun = first.read_frames(100);
  EXPECT_EQ(scan_frame(begun.front()).envelope.seq, Seq{1});
  Subscriber live = subscribe("");
  const std::vector<Bytes> frames = live.read_frames(200);
  const Seq seq = scan_frame(frames.front()).envelope.seq.value();
  EXPECT_GT(to_int(seq), 100);
  Subscriber again = subscribe("?cursor=" + std::to_string(to_int(seq) - 1));
  EXPECT_EQ(again.read_frames(200), frames);
  EXPECT_EQ(subscribe("?cursor=0").read_frames(100), begun);
  expect_stopped();
}

TEST_F(SimulateListen, CursorOfTheFutureIsToldSo) {
  given_host({"--speed", "max", "--after", "300"});
  Subscriber early = subscribe("?cursor=301");
  EXPECT_EQ(early.next_frame(), future_cursor_frame());
  Received end;
  early.read_to_end(&end);
  EXPECT_EQ(std::get<Closed>(end).code, 1008);
  // What is said to have appeared may be asked for, and without a cursor comes what follows.
  const std::vector<Bytes> whole = simulated_frames(kNetwork);
  EXPECT_EQ(subscribe("").read_frames(300), from(whole, 300));
  EXPECT_EQ(subscribe("?cursor=0").read_frames(600), whole);
  expect_stopped();
}

TEST_F(SimulateListen, LabelsAndPagesAreServedBesides) {
  given_host({"--speed", "max", "--mix", "labels=200"});
  const std::vector<Bytes> labels = simulated_labels(kNetwork + ",labels=200");
  Subscriber labelled = Subscriber::connect(host_->port(), kLabels + "?cursor=0");
  EXPECT_EQ(labelled.read_frames(labels.size()), labels);
  EXPECT_THAT(http_get(host_->port(), "/").body, HasSubstr("sim:seed=9,start=2026-07-01T00:00:00"));
  EXPECT_EQ(nlohmann::json::parse(http_get(host_->port(), "/xrpc/_health").body)["status"], "ok");
  EXPECT_EQ(http_get(host_->port(), "/elsewhere").status, 404);
  EXPECT_EQ(http_get(host_->port(), "/did:plc:a%0a").status, 404);
  EXPECT_EQ(http_get(host_->port(), "/stream/repos/gaps").status, 404);
  expect_stopped();
}

TEST_F(SimulateListen, WithoutLabelsItAnswersAndStops) {
  host_ = std::make_unique<NetworkProcess>(
      std::vector<std::string>{"simulate", "--mix", "labels=0", "--accounts", "30"});
  Subscriber quiet = Subscriber::connect(host_->port(), kLabels + "?cursor=0");
  EXPECT_EQ(quiet.read_until_pong(), std::vector<Bytes>{});
  EXPECT_EQ(nlohmann::json::parse(http_get(host_->port(), "/xrpc/_health").body)["labels"], 0);
  const Outcome stopped = host_->stop();
  EXPECT_EQ(stopped.status, 0);
  // Whatever has appeared by now.
  EXPECT_THAT(stopped.err, HasSubstr("repos up to seq 0, labels up to seq 0 were handed out"));
}

TEST_F(SimulateListen, SubscriberIsEndedAsItWishesOrForWhatItDoes) {
  given_host({"--speed", "max", "--after", "600"});
  Subscriber polite = subscribe("?cursor=600");
  ASSERT_TRUE(polite.send_close(1000));
  Received end;
  polite.read_to_end(&end);
  EXPECT_EQ(std::get<Closed>(end).code, 1000);
  Subscriber rude = subscribe("?cursor=600");
  ASSERT_TRUE(rude.send_raw(as_bytes(std::string_view("\x81\x00", 2))));  // unmasked
  rude.read_to_end(&end);
  EXPECT_EQ(std::get<Closed>(end).code, 1002);
  expect_stopped();
}

TEST_F(SimulateListen, MoreThanSixteenFindNoRoomUntilOneGoes) {
  given_host({"--speed", "max", "--after", "600"});
  std::vector<Subscriber> all;
  for (int i = 0; i < 16; ++i) all.push_back(subscribe("?cursor=600"));
  for (Subscriber& one : all) EXPECT_TRUE(one.is_upgraded());
  const Subscriber refused = subscribe("?cursor=600");
  EXPECT_EQ(refused.handshake().status, 503);
  EXPECT_EQ(refused.handshake().header("retry-after"), "5");
  ASSERT_TRUE(all.back().send_close(1000));
  all.back().wait_for_tcp_end();
  // Its thread ends on its own time.
  while (!subscribe("?cursor=600").is_upgraded()) {
  }
  expect_stopped();
}

// The process stands still while this lives: what comes meanwhile it finds there all at once.
class Standstill {
 public:
  explicit Standstill(const NetworkProcess& process) : process_(process) {
    process_.signal(SIGSTOP);
    int status = 0;
    if (::waitpid(process_.id(), &status, WUNTRACED) < 0 || !WIFSTOPPED(status)) {
      throw std::runtime_error("the program does not stand still");
    }
  }
  ~Standstill() { process_.signal(SIGCONT); }
  Standstill(const Standstill&) = delete;
  Standstill& operator=(const Standstill&) = delete;

 private:
  const NetworkProcess& process_;
};

TEST_F(SimulateListen, NoMoreThanSixteenOfThoseWhoComeTogether) {
  given_host({"--speed", "max", "--after", "600"});
  constexpr int kAtOnce = 32;
  std::vector<NetStream> all;
  for (int i = 0; i < kAtOnce; ++i) {
    all.push_back(connect_stream(host_->port(), {}));
    // Answered: so its next request is all that it waits for.
    ASSERT_TRUE(write_all(all.back(), as_bytes(kHealthRequest), deadline_from_now()));
    EXPECT_EQ(read_reply(all.back(), "GET", deadline_from_now()).reply.status, 200);
  }
  {
    const Standstill standstill(*host_);
    for (NetStream& one : all) {
      ASSERT_TRUE(write_all(one, as_bytes(kUpgradeRequest), deadline_from_now()));
    }
  }
  int upgraded = 0;
  int refused = 0;
  for (NetStream& one : all) {
    const int status = read_reply(one, "GET", deadline_from_now()).reply.status;
    upgraded += status == 101 ? 1 : 0;
    refused += status == 503 ? 1 : 0;
  }
  EXPECT_EQ(upgraded, 16);
  EXPECT_EQ(refused, kAtOnce - 16);
  expect_stopped();
}

// Leaves the process one descriptor more to open.
void allow_one_more_descriptor(pid_t id) {
  std::set<rlim_t> open;
  const std::string folder = "/proc/" + std::to_string(id) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    open.insert(std::stoul(entry.path().filename()));
  }
  rlim_t first_free = 0;
  while (open.contains(first_free)) ++first_free;
  const rlimit limit{first_free + 1, first_free + 1};
  if (::prlimit(id, RLIMIT_NOFILE, &limit, nullptr) != 0) {
    throw std::runtime_error(std::string("prlimit: ") + std::strerror(errno));
  }
}

TEST_F(SimulateListen, SubscriberNeedsNoDescriptorBesideItsConnection) {
  given_host({"--speed", "max"});
  if (!kIsSanitized) allow_one_more_descriptor(host_->id());
  Subscriber one = subscribe("?cursor=0");
  EXPECT_EQ(one.read_frames(600), simulated_frames(kNetwork));
  ASSERT_TRUE(one.send_close(1000));
  one.wait_for_tcp_end();
  expect_stopped();
}

TEST_F(SimulateListen, ConnectionsThatAskForNothingAreLimited) {
  given_host({"--speed", "max"});
  std::vector<NetStream> idle;
  std::optional<NetStream> last;
  {
    const Standstill standstill(*host_);
    for (int i = 0; i < 256; ++i) idle.push_back(connect_stream(host_->port(), {}));
    last = connect_stream(host_->port(), {});
    ASSERT_TRUE(write_all(*last, as_bytes(kHealthRequest), deadline_from_now()));
  }
  // Accepted in their order; so this one finds no place, and is closed unheard.
  EXPECT_EQ(read_reply(*last, "GET", deadline_from_now()).reply.status, 0);
  idle.front().close();
  // Seen on its own time.
  const auto has_answered = [this] {
    NetStream one = connect_stream(host_->port(), {});
    return write_all(one, as_bytes(kHealthRequest), deadline_from_now()) &&
           read_reply(one, "GET", deadline_from_now()).reply.status == 200;
  };
  while (!has_answered()) {
  }
  expect_stopped();
}

// Long before it would be there.
TEST_F(SimulateListen, StopsOnItsWayToWhereItBegins) {
  Process process(
      {"simulate", "--listen", "127.0.0.1:0", "--accounts", "30", "--after", "4000000000000"});
  while (process.error_text().find("simulated network sim:") == std::string::npos) {
    std::this_thread::yield();
  }
  process.signal(SIGTERM);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("on the way to seq 4000000000000"));
}

TEST_F(SimulateListen, StandsBehindAMirror) {
  given_host({"--speed", "max"});
  TempDir dir{TempDir::Where::memory};
  NetworkProcess mirror({"mirror", "--data", dir / "archive", "--quiet", "--min-free", "0",
                         "--upstream", "ws://127.0.0.1:" + std::to_string(host_->port())});
  Subscriber behind =
      Subscriber::connect(mirror.port(), std::string(kSubscribeRepos) + "?cursor=0&until=600");
  EXPECT_EQ(behind.read_frames(600), simulated_frames(kNetwork));
  EXPECT_EQ(mirror.stop().status, 0);
  expect_stopped();
}

}  // namespace
}  // namespace standpipe::test
