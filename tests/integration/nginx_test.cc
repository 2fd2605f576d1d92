// Behind nginx, of Debian's package, with our own sample of a configuration: frames, long filters,
// slow readers, and limits that count the clients of the proxy and not the proxy.
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/other_program.h"
#include "tests/support/process.h"
#include "tests/support/serve_fixture.h"

namespace standpipe::test {
namespace {

constexpr const char* kNginx = "/usr/sbin/nginx";
constexpr const char* kPackage = "nginx-light";

class BehindNginx : public ServeFixture {
 protected:
  // The sample as it is, but for addresses, the certificate and what a lone directory asks for.
  void given_nginx() {
    const TlsIdentity identity = authority_.for_loopback();
    std::ofstream(dir / "certificate.pem") << identity.certificate_pem;
    std::ofstream(dir / "key.pem") << identity.key_pem;
    std::ifstream sample(std::filesystem::path(STANDPIPE_SOURCE_DIR) / "tools/ops/nginx.conf");
    std::string config{std::istreambuf_iterator<char>(sample), std::istreambuf_iterator<char>()};
    const auto replace = [&config](const std::string& from, const std::string& to) {
      const std::size_t at = config.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      config.replace(at, from.size(), to);
    };
    proxy_port_ = free_port();
    replace("server 127.0.0.1:2480", "server 127.0.0.1:" + std::to_string(port()));
    replace("listen 443 ssl", "listen 127.0.0.1:" + std::to_string(proxy_port_) + " ssl");
    replace("  listen [::]:443 ssl;\n", "");
    replace("/etc/letsencrypt/live/relay.example/fullchain.pem",
            (dir / "certificate.pem").string());
    replace("/etc/letsencrypt/live/relay.example/privkey.pem", (dir / "key.pem").string());
    const std::string home = (dir / "nginx").string();
    std::filesystem::create_directory(home);
    std::string http = "daemon off;\nmaster_process off;\npid " + home +
                       "/pid;\nerror_log stderr;\n"
                       "events { worker_connections 64; }\nhttp {\naccess_log off;\n";
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      http += std::string(kind) + "_temp_path " + home + "/" + kind + ";\n";
    }
    std::ofstream(home + "/nginx.conf") << http << config << "}\n";
    ProcessOptions options;
    options.program = kNginx;
    nginx_ = std::make_unique<Process>(
        std::vector<std::string>{"-p", home, "-c", home + "/nginx.conf", "-e", "stderr"}, options);
    wait_until_it_listens();
  }

  SubscriberOptions trusting() const {
    SubscriberOptions options;
    options.tls = make_client_tls(authority_.certificate_pem());
    return options;
  }
  Subscriber subscribe_through(const std::string& query, SubscriberOptions options) const {
    return Subscriber::connect(proxy_port_, repos(query), std::move(options));
  }

 private:
  void wait_until_it_listens() const {
    const Deadline deadline = deadline_from_now();
    for (;;) {
      try {
        if (http_get(proxy_port_, "/xrpc/_health", {}, trusting()).status == 200) return;
      } catch (const std::runtime_error&) {  // not yet
      }
      if (std::chrono::steady_clock::now() >= deadline) {
        throw std::runtime_error("nginx does not listen: " + nginx_->error_text());
      }
    }
  }

  const CertificateAuthority authority_;
  std::uint16_t proxy_port_ = 0;
  std::unique_ptr<Process> nginx_;
};

TEST_F(BehindNginx, FramesComeWholeToFastAndSlow) {
  STANDPIPE_REQUIRE_PROGRAM(kNginx, kPackage);
  given_served(1, 3000);
  given_nginx();
  Subscriber fast = subscribe_through("?cursor=0", trusting());
  expect_made(fast.read_frames(3000), 1, 3000);
  SubscriberOptions slow = trusting();
  slow.receive_buffer = 4096;
  slow.read_bytes = 700;
  Subscriber careful = subscribe_through("?cursor=0&until=3000", slow);
  expect_made(careful.read_frames(3000), 1, 3000);
  EXPECT_EQ(careful.next(), Received(Closed{1000, ""}));
}

TEST_F(BehindNginx, TenThousandDidsFitThroughIt) {
  STANDPIPE_REQUIRE_PROGRAM(kNginx, kPackage);
  given_served(1, 5);
  given_nginx();
  std::string query = "?cursor=0&until=5";
  for (int i = 0; i < 10'000; ++i) {
    std::string did = "did:plc:" + std::string(24, 'a');
    for (std::size_t at = did.size() - 1, left = static_cast<std::size_t>(i); left > 0;
         left /= 10) {
      did[at--] = static_cast<char>('b' + left % 10);
    }
    query += "&wantedDids=" + did;
  }
  Subscriber subscriber = subscribe_through(query, trusting());
  EXPECT_EQ(subscriber.handshake().status, 101);
  EXPECT_EQ(subscriber.next(), Received(Closed{1000, ""}));
}

TEST_F(BehindNginx, LimitsCountItsClientsWhereItIsTrusted) {
  STANDPIPE_REQUIRE_PROGRAM(kNginx, kPackage);
  given_served(1, 5, {"--connections-per-address", "1", "--trusted-proxy", "127.0.0.1"});
  given_nginx();
  SubscriberOptions first = trusting();
  first.source_address = "127.0.0.21";
  const Subscriber one = subscribe_through("", first);
  EXPECT_EQ(one.handshake().status, 101);
  SubscriberOptions second = trusting();
  second.source_address = "127.0.0.22";
  const Subscriber two = subscribe_through("", second);
  EXPECT_EQ(two.handshake().status, 101);
  const Subscriber three = subscribe_through("", second);
  EXPECT_EQ(three.handshake().status, 429);
  // It says so of itself; the word of who is not trusted does not count.
  SubscriberOptions direct;
  direct.source_address = "127.0.0.23";
  direct.headers.emplace_back("X-Forwarded-For", "203.0.113.9");
  const Subscriber four = subscribe("", direct);
  EXPECT_EQ(four.handshake().status, 101);
  direct.headers.front().second = "203.0.113.10";
  const Subscriber five = subscribe("", direct);
  EXPECT_EQ(five.handshake().status, 429);
}

}  // namespace
}  // namespace standpipe::test
