// A listener with TLS: the same frames, the same order, the same ends; the certificate replaced
// while it serves; and what does not speak TLS, or abuses it.
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "replay/server.h"
#include "storage/archive.h"
#include "tests/support/certificates.h"
#include "tests/support/process.h"
#include "tests/support/serve_fixture.h"

namespace standpipe::test {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Frames of every size: a record of TLS holds many of the small, and a share of the large.
std::vector<Bytes> mixed_sizes(std::int64_t first, std::int64_t last) {
  constexpr std::size_t kPayloads[] = {0, 10, 900, 16'000, 16'384, 40'000, 300'000};
  std::vector<Bytes> frames;
  for (std::int64_t seq = first; seq <= last; ++seq) {
    FrameSpec spec;
    spec.seq = seq;
    spec.blocks_bytes = kPayloads[static_cast<std::size_t>(seq) % std::size(kPayloads)];
    frames.push_back(make_frame(spec));
  }
  return frames;
}

class ServeTls : public ServeFixture {
 protected:
  std::filesystem::path certificate_file() const { return dir / "certificate.pem"; }
  std::filesystem::path key_file() const { return dir / "key.pem"; }

  static void write(const std::filesystem::path& path, const std::string& text) {
    std::ofstream(path, std::ios::trunc) << text;
  }
  void install(const TlsIdentity& identity) const {
    write(certificate_file(), identity.certificate_pem);
    write(key_file(), identity.key_pem);
  }

  std::vector<std::string> with_tls(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--listen-tls", "127.0.0.1:0", "--tls-cert",
                             certificate_file().string(), "--tls-key", key_file().string()});
    return more;
  }
  // The plain listener comes first.
  std::uint16_t tls_port() const { return process().port(1); }

  static SubscriberOptions trusting(const CertificateAuthority& authority,
                                    SubscriberOptions options = {}) {
    options.tls = make_client_tls(authority.certificate_pem());
    return options;
  }
  Subscriber subscribe_tls(const std::string& query, SubscriberOptions options) const {
    return Subscriber::connect(tls_port(), repos(query), std::move(options));
  }
  SubscriberOptions trusting(SubscriberOptions options = {}) const {
    return trusting(authority_, std::move(options));
  }

  void given_served_over_tls(const std::vector<Bytes>& frames,
                             std::vector<std::string> arguments = {}) {
    install(authority_.for_loopback());
    given_imported(frames);
    given_server(with_tls(std::move(arguments)));
  }

  bool has_logged(std::string_view text) const {
    return process().error_text().find(text) != std::string::npos;
  }
  void wait_for_log(std::string_view text) const {
    const Deadline deadline = deadline_from_now();
    while (!has_logged(text)) {
      if (std::chrono::steady_clock::now() >= deadline) {
        throw std::runtime_error("waited in vain for \"" + std::string(text) +
                                 "\": " + process().error_text());
      }
      std::this_thread::sleep_for(milliseconds(5));
    }
  }

  const CertificateAuthority authority_;
};

TEST_F(ServeTls, EveryFrameOfEverySizeArrives) {
  const std::vector<Bytes> frames = mixed_sizes(1, 200);
  given_served_over_tls(frames);
  Subscriber subscriber = subscribe_tls("?cursor=0", trusting());
  EXPECT_EQ(subscriber.read_frames(frames.size()), frames);
  expect_nothing_more(subscriber);
  Subscriber plain = subscribe("?cursor=0");
  EXPECT_EQ(plain.read_frames(frames.size()), frames);
}

TEST_F(ServeTls, PagesAreThereToo) {
  given_served_over_tls(made_frames(1, 3));
  const HttpReply reply = http_get(tls_port(), "/xrpc/_health", {}, trusting());
  EXPECT_EQ(reply.status, 200);
  EXPECT_THAT(reply.body, HasSubstr("\"repos\""));
}

TEST_F(ServeTls, TheEndAtUntilIsACloseFrameAndTheFarewellOfTls) {
  given_served_over_tls(made_frames(1, 10));
  Subscriber subscriber = subscribe_tls("?cursor=0&until=7", trusting());
  expect_made(subscriber.read_frames(7), 1, 7);
  expect_close(subscriber, 1000);
}

// Who reads slowly and in small pieces meets every place at which a record can be cut.
TEST_F(ServeTls, ASlowReaderGetsEveryByteAndPongsBetweenFrames) {
  const std::vector<Bytes> frames = mixed_sizes(1, 150);
  given_served_over_tls(frames);
  SubscriberOptions slow = trusting();
  slow.receive_buffer = 4096;
  slow.read_bytes = 1500;
  Subscriber subscriber = subscribe_tls("?cursor=0", slow);
  std::vector<Bytes> read;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    if (i % 10 == 0) {
      ASSERT_TRUE(subscriber.send_ping(std::to_string(i)));
    }
    read.push_back(subscriber.next_frame());
    ASSERT_EQ(read.back(), frames[i]) << "frame " << i;
  }
  expect_nothing_more(subscriber);
  EXPECT_FALSE(subscriber.pongs().empty());
}

// The descriptor of this process at the other end of `peer`, a connection over loopback.
int other_end_of(int peer) {
  sockaddr_in wanted{};
  socklen_t size = sizeof wanted;
  EXPECT_EQ(::getsockname(peer, reinterpret_cast<sockaddr*>(&wanted), &size), 0);
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in found{};
    size = sizeof found;
    if (::getpeername(fd, reinterpret_cast<sockaddr*>(&found), &size) == 0 &&
        found.sin_port == wanted.sin_port && found.sin_family == AF_INET) {
      return fd;
    }
  }
  return -1;
}

// The last record may be the one that the socket does not take, and nothing follows it. The server
// is this process, so that its end of the connection can be made too small for any record.
TEST_F(ServeTls, TheLastRecordArrivesThoughTheSocketWasFull) {
  install(authority_.for_loopback());
  storage::ArchiveOptions writing;
  writing.free_bytes_min = 0;
  auto opened = storage::Archive::open(archive(), writing);
  ASSERT_TRUE(opened) << opened.error().detail;
  storage::StreamSpec spec;
  spec.name = "repos";
  const auto stream = (*opened)->ensure_stream(spec);
  ASSERT_TRUE(stream) << stream.error().detail;
  auto appender = (*opened)->appender(stream->id);
  ASSERT_TRUE(appender) << appender.error().detail;
  replay::ServerOptions options;
  options.tls_files = {certificate_file().string(), key_file().string()};
  options.ping_interval = std::chrono::hours(1);  // it would bring the record out, too
  replay::ServerHooks hooks;
  hooks.health = [] { return replay::HealthReport{}; };
  auto server = replay::Server::start(**opened, {{}, {"127.0.0.1:0"}}, options, hooks, "test");
  ASSERT_TRUE(server) << server.error().detail;
  const std::string& address = (*server)->addresses().tls.front();
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));

  SubscriberOptions slow = trusting();
  slow.receive_buffer = 4096;
  Subscriber subscriber = Subscriber::connect(port, repos(), slow);
  expect_nothing_more(subscriber);
  const int fd = other_end_of(subscriber.fd());
  ASSERT_GE(fd, 0);
  const int small = 2048;
  ASSERT_EQ(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
  for (const Bytes& frame : mixed_sizes(4, 5)) {  // each fills a record or more
    ASSERT_TRUE(appender->offer(frame, kFirstFrameMs));
    const auto committed = appender->commit();
    ASSERT_TRUE(committed) << committed.error().detail;
    (*server)->publish(stream->id, appender->epoch(), committed->runs);
    EXPECT_EQ(subscriber.next_frame(), frame);
  }
}

TEST_F(ServeTls, WhatIsPublishedReachesASubscriberThatWaits) {
  install(authority_.for_loopback());
  given_upstream(holding(1, 3));
  given_mirror(with_tls());
  wait_until_durable(3);
  Subscriber subscriber = subscribe_tls("?cursor=3", trusting());
  expect_nothing_more(subscriber);
  const std::vector<Bytes> frames = mixed_sizes(4, 60);
  for (std::size_t i = 0; i < frames.size(); ++i) {
    upstream().append(static_cast<std::int64_t>(i) + 4, frames[i]);
  }
  EXPECT_EQ(subscriber.read_frames(frames.size()), frames);
}

// What a client sends at once with its request lies decrypted in TLS, and no socket tells of it.
TEST_F(ServeTls, FramesThatComeWithTheRequestAreRead) {
  given_served_over_tls(made_frames(1, 3));
  SubscriberOptions options = trusting();
  NetStream stream = connect_stream(tls_port(), options);
  begin_client_tls(stream, options.tls, "127.0.0.1");
  Bytes request = to_bytes(as_bytes(
      "GET /xrpc/com.atproto.sync.subscribeRepos HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
  // In one record, longer than what is read of it with the request.
  const Bytes text = hex("81 fe 2710 00000000");
  request.insert(request.end(), text.begin(), text.end());
  request.resize(request.size() + 10'000);
  const Bytes ping = hex("8984 00000000 'ping'");
  request.insert(request.end(), ping.begin(), ping.end());
  ASSERT_LT(request.size(), 16'384U);
  ASSERT_TRUE(write_all(stream, request, deadline_from_now()));
  std::string answer;
  const Deadline deadline = deadline_from_now();
  std::vector<std::byte> room(4096);
  while (answer.find("\x8a\x04ping") == std::string::npos) {
    const auto got = stream.read(room);
    ASSERT_NE(got.status, IoStatus::fin) << answer;
    answer += as_text(ByteView(room).first(got.bytes));
    if (got.bytes == 0) {
      ASSERT_TRUE(wait_for(stream, /*has_output=*/false, deadline)) << answer;
    }
  }
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 101"));
}

TEST_F(ServeTls, ACertificateThatIsReplacedIsShownToWhoConnectsNext) {
  given_served_over_tls(made_frames(1, 5));
  Subscriber before = subscribe_tls("?cursor=0", trusting());
  expect_made(before.read_frames(5), 1, 5);

  const CertificateAuthority next;
  const TlsIdentity identity = next.for_loopback();
  // As it may be met half way: a new certificate beside the key of the old.
  write(certificate_file(), identity.certificate_pem);
  wait_for_log("the certificate stays as it is");
  EXPECT_EQ(http_get(tls_port(), "/xrpc/_health", {}, trusting()).status, 200);
  write(key_file(), identity.key_pem);
  wait_for_log("the certificate has changed");
  EXPECT_EQ(http_get(tls_port(), "/xrpc/_health", {}, trusting(next)).status, 200);
  EXPECT_THROW(subscribe_tls("?cursor=0", trusting()), std::runtime_error);
  expect_nothing_more(before);  // its connection goes on with what it was shown
}

TEST_F(ServeTls, WhoDoesNotSpeakTlsIsClosedAndWhoSaysNothingToo) {
  given_served_over_tls(made_frames(1, 3), {"--handshake-timeout", "300ms"});
  EXPECT_THAT(exchange_raw(tls_port(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
              ::testing::Not(HasSubstr("200")));
  exchange_raw(tls_port(), "");  // returns once we have closed
  Subscriber subscriber = subscribe_tls("?cursor=0", trusting());
  expect_made(subscriber.read_frames(3), 1, 3);
}

// -- A client of OpenSSL's own, for what ours does not do
// -------------------------------------------

class RawTls {
 public:
  RawTls(std::uint16_t port, int version_max)
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free),
        stream_(connect_stream(port, {})) {
    SSL_CTX_set_max_proto_version(context_.get(), version_max);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    // OpenSSL itself refuses 1.1 at its default level.
    SSL_CTX_set_cipher_list(context_.get(), "DEFAULT:@SECLEVEL=0");
    tls_.reset(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(tls_.get(), stream_.fd());
    SSL_set_connect_state(tls_.get());
  }

  bool shake_hands() {
    return until_done([&] { return SSL_do_handshake(tls_.get()); }) == 1;
  }
  bool write(const std::string& text) {
    return until_done([&] {
             return SSL_write(tls_.get(), text.data(), static_cast<int>(text.size()));
           }) > 0;
  }
  std::string read_to_end() {
    std::string all;
    char buffer[4096];
    for (;;) {
      const int size = until_done([&] { return SSL_read(tls_.get(), buffer, sizeof buffer); });
      if (size <= 0) return all;
      all.append(buffer, static_cast<std::size_t>(size));
    }
  }
  // The peer has said that the end was meant.
  bool has_farewell() const { return (SSL_get_shutdown(tls_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

 private:
  template <typename Call>
  int until_done(const Call& call) {
    const Deadline deadline = deadline_from_now();
    for (;;) {
      const int result = call();
      const int error = SSL_get_error(tls_.get(), result);
      if (result > 0 || (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)) {
        return result;
      }
      const bool is_due = wait_for(stream_, error == SSL_ERROR_WANT_WRITE, deadline);
      if (!is_due) throw std::runtime_error("TLS: waited in vain for the server");
    }
  }

  std::shared_ptr<SSL_CTX> context_;
  NetStream stream_;
  std::shared_ptr<SSL> tls_;
};

TEST_F(ServeTls, VersionsBefore12AreRefused) {
  given_served_over_tls(made_frames(1, 3));
  RawTls old(tls_port(), TLS1_1_VERSION);
  EXPECT_FALSE(old.shake_hands());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    RawTls current(tls_port(), version);
    ASSERT_TRUE(current.shake_hands()) << version;
    ASSERT_TRUE(
        current.write("GET /xrpc/_health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    EXPECT_THAT(current.read_to_end(), HasSubstr("HTTP/1.1 200"));
    // Without it the peer could not tell the end from a cut.
    EXPECT_TRUE(current.has_farewell()) << version;
  }
}

TEST_F(ServeTls, FilesThatCannotBeUsedAreNamed) {
  given_imported(made_frames(1, 3));
  const TlsIdentity one = authority_.for_loopback();
  const TlsIdentity other = authority_.for_loopback();
  const auto failure = [&] {
    const Outcome outcome = run_standpipe(arguments_of("serve", with_tls()));
    EXPECT_EQ(outcome.status, 1);
    return outcome.err;
  };
  EXPECT_THAT(failure(), HasSubstr("cannot read the certificate " + certificate_file().string()));
  write(certificate_file(), one.certificate_pem);
  EXPECT_THAT(failure(), HasSubstr("cannot read the key " + key_file().string()));
  write(key_file(), other.key_pem);
  EXPECT_THAT(failure(), HasSubstr(key_file().string() + " is no key in PEM"));
  write(certificate_file(), "nonsense");
  EXPECT_THAT(failure(), HasSubstr(certificate_file().string() + " is no chain of certificates"));
}

}  // namespace
}  // namespace standpipe::test
