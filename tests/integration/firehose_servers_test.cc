// Our clients against servers whose faults need more than a plan: certificates, redirects, nobody
// there. The rest is in firehose_matrix_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "archiver/firehose/client.h"
#include "tests/support/certificates.h"
#include "tests/support/firehose_fixture.h"
#include "tests/support/frame_json.h"
#include "tests/support/frames.h"
#include "tests/support/hex.h"
#include "tests/support/temp_dir.h"
#include "tests/support/upstream_fixture.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using firehose::ClientOptions;
using firehose::FirehoseSubscribeReposClient;
using firehose::MessageFrame;
using firehose::Params;
using Lines = std::vector<std::string>;

constexpr Params kFromOldest{Seq{0}};

TEST(FirehoseServers, ATypeThatNobodyKnowsIsDeliveredWithOrWithoutASeq) {
  ScriptedUpstream upstream(holding(1, 2));
  const Bytes newer = frame_from_json("#quote", nlohmann::json::parse(R"({"what": 1})"));
  upstream.plan_next(
      ConnectionPlan().binary_after(1, newer).binary_after(1, hex(kWorkedOutdatedCursor)));
  FirehoseSubscribeReposClient client(kFromOldest, client_of(upstream));
  Lines came;
  client.start([&](const MessageFrame& frame) {
    came.push_back(std::string(frame.type()) + " " + std::to_string(seq_of(frame)));
    if (seq_of(frame) == 2) client.stop();
  });
  EXPECT_EQ(came, (Lines{"#commit 1", "#quote -1", "#info -1", "#commit 2"}));
}

TEST(FirehoseServers, ARedirectIsFollowedWithTheCursor) {
  ScriptedUpstream first;
  ScriptedUpstream second(holding(1, 3));
  first.plan_next(ConnectionPlan::redirect(second.url(kSubscribeRepos)));
  FirehoseSubscribeReposClient client({Seq{1}}, client_of(first));
  Lines came;
  client.start([&](const MessageFrame& frame) {
    came.push_back(std::to_string(seq_of(frame)));
    if (seq_of(frame) == 3) client.stop();
  });
  EXPECT_EQ(came, numbers(2, 3));
  EXPECT_EQ(cursors_of(second), (Lines{"1"}));
}

TEST(FirehoseServers, ARedirectLoopIsGivenUpAndTriedAgainLater) {
  ScriptedUpstream upstream(holding(1, 2));
  for (int i = 0; i < 12; ++i) {  // two dials of six
    upstream.plan_next(ConnectionPlan::redirect(upstream.url(kSubscribeRepos)));
  }
  ClientOptions options = client_of(upstream);
  Lines ends;
  options.hooks.on_disconnect = [&](const firehose::WsEnd& end, std::chrono::milliseconds delay) {
    ends.push_back(end_of(end) + " " + std::to_string(delay.count()));
  };
  FirehoseSubscribeReposClient client(kFromOldest, options);
  client.start([&](const MessageFrame& frame) {
    if (seq_of(frame) == 2) client.stop();
  });
  ASSERT_EQ(ends.size(), 3U);
  EXPECT_EQ(ends[0], "redirect_loop 1");
  EXPECT_EQ(ends[1], "redirect_loop 2");
  EXPECT_EQ(upstream.connections().size(), 13U);
}

// Refused for ever, it waits longer each time.
Lines ends_of_five_dials(const std::string& base_uri, const std::string& ca_file) {
  ClientOptions options;
  options.base_uri = base_uri;
  options.tls_ca_file = ca_file;
  options.reconnect.delay_min = std::chrono::milliseconds(1);
  options.reconnect.delay_max = std::chrono::milliseconds(4);
  options.reconnect.jitter = 0;
  Lines ends;
  firehose::FirehoseClient* running = nullptr;
  options.hooks.on_disconnect = [&](const firehose::WsEnd& end, std::chrono::milliseconds delay) {
    ends.push_back(end_of(end) + " " + std::to_string(delay.count()));
    if (ends.size() == 5) running->stop();
  };
  FirehoseSubscribeReposClient client(kFromOldest, options);
  running = &client;
  client.start([](const MessageFrame&) { ADD_FAILURE() << "a frame came"; });
  EXPECT_EQ(client.stats().dials_failed, 5U);
  EXPECT_EQ(client.cursor(), Seq{0});
  return ends;
}

class FirehoseTls : public ::testing::Test {
 protected:
  FirehoseTls() { authority.write_certificate(dir / "ca.pem"); }

  Lines dial(const TlsIdentity& identity, const std::string& ca_file) {
    UpstreamOptions held = holding(1, 2);
    held.tls = identity;
    const ScriptedUpstream upstream(held);
    Lines ends = ends_of_five_dials(upstream.url(), ca_file);
    EXPECT_EQ(upstream.connections().size(), 5U);
    return ends;
  }

  const Lines refused = {"tls 1", "tls 2", "tls 4", "tls 4", "tls 4"};
  TempDir dir;
  CertificateAuthority authority;
};

TEST_F(FirehoseTls, AGoodCertificateIsGood) {
  UpstreamOptions held = holding(1, 3);
  held.tls = authority.for_loopback();
  ScriptedUpstream upstream(held);
  upstream.plan_next(ConnectionPlan().cut_after(1));
  ClientOptions options = client_of(upstream);
  options.tls_ca_file = dir / "ca.pem";
  FirehoseSubscribeReposClient client(kFromOldest, options);
  Lines came;
  client.start([&](const MessageFrame& frame) {
    came.push_back(std::to_string(seq_of(frame)));
    if (seq_of(frame) == 3) client.stop();
  });
  EXPECT_EQ(came, numbers(1, 3));
}

TEST_F(FirehoseTls, AnExpiredCertificate) {
  EXPECT_EQ(dial(authority.expired(), dir / "ca.pem"), refused);
}

TEST_F(FirehoseTls, ACertificateForAnotherName) {
  EXPECT_EQ(dial(authority.wrong_name(), dir / "ca.pem"), refused);
}

TEST_F(FirehoseTls, ASelfSignedCertificate) {
  EXPECT_EQ(dial(self_signed_identity(), dir / "ca.pem"), refused);
}

TEST_F(FirehoseTls, AnAuthorityThatNobodyTrusts) {
  EXPECT_EQ(dial(authority.for_loopback(), ""), refused);
}

TEST_F(FirehoseTls, ARedirectToPlainTextIsNotFollowed) {
  UpstreamOptions held;
  held.tls = authority.for_loopback();
  ScriptedUpstream upstream(held);
  const ScriptedUpstream plain(holding(1, 2));
  for (int i = 0; i < 5; ++i) {
    upstream.plan_next(ConnectionPlan::redirect(plain.url(kSubscribeRepos)));
  }
  const Lines ends = ends_of_five_dials(upstream.url(), dir / "ca.pem");
  EXPECT_EQ(ends, (Lines{"redirect 1", "redirect 2", "redirect 4", "redirect 4", "redirect 4"}));
  EXPECT_TRUE(plain.connections().empty());
}

TEST(FirehoseServers, NobodyListens) {
  std::string uri;
  {
    const ScriptedUpstream gone;
    uri = gone.url();
  }
  EXPECT_EQ(ends_of_five_dials(uri, ""),
            (Lines{"connect 1", "connect 2", "connect 4", "connect 4", "connect 4"}));
}

}  // namespace
}  // namespace standpipe::test
