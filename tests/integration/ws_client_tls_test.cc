// TLS to an upstream: which certificates are good, and what becomes of the rest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "archiver/firehose/ws_client.h"
#include "tests/support/certificates.h"
#include "tests/support/temp_dir.h"
#include "tests/support/ws_collector.h"

namespace standpipe::test {
namespace {

using firehose::WsEnd;
using firehose::WsOptions;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class WsClientTlsTest : public ::testing::Test {
 protected:
  WsClientTlsTest() {
    authority.write_certificate(dir / "ca.pem");
    trusting.tls_ca_file = dir / "ca.pem";
  }

  // How dialling a server that shows `identity` ends.
  WsEnd dial(const TlsIdentity& identity, const WsOptions& options,
             const std::string& host = "localhost") {
    ScriptedUpstream upstream(serving(1, 1, identity));
    Collector collector(1);
    WsEnd end =
        run(repos_url("wss://" + host + ":" + std::to_string(upstream.port())), collector, options);
    came = collector.said();
    return end;
  }

  TempDir dir;
  CertificateAuthority authority;
  WsOptions trusting;
  std::vector<std::string> came;
};

TEST_F(WsClientTlsTest, ACertificateOfATrustedAuthorityForThisHostIsGood) {
  const WsEnd by_name = dial(authority.for_loopback(), trusting);
  EXPECT_EQ(kind_of(by_name), "handler") << by_name.detail;
  EXPECT_THAT(came, ElementsAre("601 bytes"));
  const WsEnd by_address = dial(authority.for_loopback(), trusting, "127.0.0.1");
  EXPECT_EQ(kind_of(by_address), "handler") << by_address.detail;
}

TEST_F(WsClientTlsTest, AnyOtherCertificateIsRefusedWithTheReason) {
  const WsEnd expired = dial(authority.expired(), trusting);
  EXPECT_EQ(kind_of(expired), "tls");
  EXPECT_THAT(expired.detail, HasSubstr("certificate has expired"));
  const WsEnd wrong = dial(authority.wrong_name(), trusting);
  EXPECT_EQ(kind_of(wrong), "tls");
  EXPECT_THAT(wrong.detail, HasSubstr("hostname mismatch"));
  const WsEnd wrong_address = dial(authority.wrong_name(), trusting, "127.0.0.1");
  EXPECT_EQ(kind_of(wrong_address), "tls");
  EXPECT_THAT(wrong_address.detail, HasSubstr("IP address mismatch"));
  const WsEnd unknown = dial(authority.for_loopback(), {});
  EXPECT_EQ(kind_of(unknown), "tls");
  EXPECT_THAT(unknown.detail, HasSubstr("unable to get local issuer certificate"));
  EXPECT_EQ(kind_of(dial(self_signed_identity(), trusting)), "tls");
  EXPECT_THAT(came, IsEmpty());
}

TEST_F(WsClientTlsTest, AnAuthorityThatCannotBeReadIsNamed) {
  WsOptions options;
  options.tls_ca_file = dir / "none.pem";
  const WsEnd end = dial(authority.for_loopback(), options);
  EXPECT_EQ(kind_of(end), "tls");
  EXPECT_THAT(end.detail, HasSubstr("none.pem"));
}

TEST_F(WsClientTlsTest, ARedirectOutOfTlsIsRefused) {
  ScriptedUpstream plain(serving(1, 1));
  ScriptedUpstream front(serving(1, 0, authority.for_loopback()));
  front.plan_next(ConnectionPlan::redirect(plain.url()));
  Collector collector(1);
  const WsEnd end = run(url_of(front), collector, trusting);
  EXPECT_EQ(kind_of(end), "redirect");
  EXPECT_THAT(end.detail, HasSubstr("from an encrypted connection"));
  EXPECT_THAT(plain.connections(), IsEmpty());
}

TEST_F(WsClientTlsTest, ATlsConnectionThatIsCutIsLost) {
  ScriptedUpstream upstream(serving(1, 1, authority.for_loopback()));
  upstream.plan_next(ConnectionPlan().cut_after(1));
  upstream.plan_next(ConnectionPlan().reset_after(1));
  for (int i = 0; i < 2; ++i) {
    Collector collector;
    const WsEnd end = run(url_of(upstream), collector, trusting);
    EXPECT_EQ(kind_of(end), "lost") << end.detail;
    EXPECT_THAT(collector.said(), ElementsAre("601 bytes"));
  }
}

}  // namespace
}  // namespace standpipe::test
