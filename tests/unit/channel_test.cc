// What a subscriber's bytes go through where no test of the whole server can see it: a socket that
// takes a record in pieces, and a peer that abuses TLS.
#include "replay/channel.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/temp_dir.h"

namespace standpipe::replay {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using test::CertificateAuthority;
using test::TempDir;
using Status = Channel::Status;

Bytes pattern(std::size_t bytes) {
  Bytes made(bytes);
  for (std::size_t i = 0; i < bytes; ++i) made[i] = static_cast<std::byte>((i * 2654435761U) >> 13);
  return made;
}

// One end is ours, with buffers so small that a record never fits; the other is OpenSSL itself.
class ChannelTest : public ::testing::Test {
 protected:
  void given_connection() {
    tcp::acceptor acceptor(io_);
    acceptor.open(tcp::v4());
    acceptor.bind({asio::ip::address_v4::loopback(), 0});
    const int small = 4096;
    ASSERT_EQ(::setsockopt(acceptor.native_handle(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small),
              0);
    acceptor.listen();
    peer_.open(tcp::v4());
    ASSERT_EQ(::setsockopt(peer_.native_handle(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    peer_.connect(acceptor.local_endpoint());
    channel_ = std::make_unique<Channel>(acceptor.accept(), context());
    peer_.native_non_blocking(true);
    SSL_set_fd(tls_.get(), peer_.native_handle());
    SSL_set_connect_state(tls_.get());
    bool is_done[2] = {false, false};
    for (int i = 0; i < 1000 && !(is_done[0] && is_done[1]); ++i) {
      is_done[0] = SSL_do_handshake(tls_.get()) == 1;
      is_done[1] = channel_->handshake() == Status::done;
    }
    ASSERT_TRUE(is_done[0] && is_done[1]);
  }

  // All that the peer can have now.
  Bytes read_by_peer() {
    Bytes all;
    std::byte piece[4096];
    for (;;) {
      std::size_t size = 0;
      if (SSL_read_ex(tls_.get(), piece, sizeof piece, &size) != 1) return all;
      all.insert(all.end(), piece, piece + size);
    }
  }

  Channel& channel() { return *channel_; }
  SSL* peer() { return tls_.get(); }

 private:
  TlsContextPtr context() {
    const auto identity = authority_.for_loopback();
    const TlsFiles files{(dir_ / "certificate.pem").string(), (dir_ / "key.pem").string()};
    std::ofstream(files.certificate) << identity.certificate_pem;
    std::ofstream(files.key) << identity.key_pem;
    auto loaded = TlsCertificate::load(files);
    if (!loaded) throw std::runtime_error(loaded.error().detail);
    return (*loaded)->context();
  }

  const CertificateAuthority authority_;
  TempDir dir_;
  asio::io_context io_;
  tcp::socket peer_{io_};
  std::unique_ptr<Channel> channel_;
  const std::shared_ptr<SSL_CTX> client_{SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
  const std::shared_ptr<SSL> tls_{SSL_new(client_.get()), SSL_free};
};

TEST_F(ChannelTest, WhatWasTakenArrivesWhateverIsSentNext) {
  given_connection();
  const Bytes all = pattern(200'000);
  std::size_t taken = 0;
  Bytes got;
  int blocked = 0;
  // Each time another cut of what is left: what was taken is never offered again.
  for (std::size_t i = 0; taken < all.size() || channel().has_unsent(); ++i) {
    ASSERT_LT(i, 100'000U);
    const std::size_t first = std::min<std::size_t>(all.size() - taken, 1 + (i * 7919) % 30'000);
    const std::size_t second =
        std::min<std::size_t>(all.size() - taken - first, (i * 104'729) % 9'000);
    auto* const at = const_cast<std::byte*>(all.data()) + taken;  // only read
    const iovec io[] = {{at, first}, {at + first, second}};
    const Channel::Moved moved = channel().send(io, 2);
    ASSERT_NE(moved.status, Status::failed);
    ASSERT_LE(moved.bytes, first + second);
    ASSERT_EQ(moved.status == Status::done,
              moved.bytes == first + second && !channel().has_unsent());
    taken += moved.bytes;
    if (moved.status == Status::would_block) ++blocked;
    const Bytes piece = read_by_peer();
    got.insert(got.end(), piece.begin(), piece.end());
  }
  for (int i = 0; i < 1000 && got.size() < all.size(); ++i) {
    const Bytes piece = read_by_peer();
    got.insert(got.end(), piece.begin(), piece.end());
  }
  EXPECT_GT(blocked, 5);
  EXPECT_TRUE(got == all) << got.size();
}

TEST_F(ChannelTest, AFullSocketTakesOneRecordAndNoMore) {
  given_connection();
  const Bytes much = pattern(1 << 20);
  const iovec io{const_cast<std::byte*>(much.data()), much.size()};  // only read
  std::size_t taken = 0;
  Channel::Moved moved;
  for (int i = 0; i < 100; ++i) {
    moved = channel().send(&io, 1);
    taken += moved.bytes;
  }
  EXPECT_EQ(moved.status, Status::would_block);
  EXPECT_TRUE(channel().has_unsent());
  EXPECT_LT(taken, 128U << 10);
  moved = channel().send(&io, 1);
  EXPECT_EQ(moved.bytes, 0U);  // the record before it comes first
}

// Each makes TLS answer; who takes no answer is let go before they fill our memory.
TEST_F(ChannelTest, WhoAsksForNewKeysWithoutEndIsLetGo) {
  given_connection();
  std::byte room[4096];
  Status status = Status::would_block;
  int updates = 0;
  constexpr int kFarTooMany = 100'000;
  for (; updates < kFarTooMany && status == Status::would_block; ++updates) {
    if (SSL_key_update(peer(), SSL_KEY_UPDATE_REQUESTED) == 1) SSL_do_handshake(peer());
    status = channel().receive(room).status;
  }
  EXPECT_EQ(status, Status::failed);
  EXPECT_GT(updates, 1000);  // it is no fault to ask
}

TEST_F(ChannelTest, AfterCloseNothingIsTouched) {
  given_connection();
  channel().close();
  std::byte room[16];
  EXPECT_EQ(channel().receive(room).status, Status::failed);
  const iovec io{room, sizeof room};
  EXPECT_EQ(channel().send(&io, 1).status, Status::failed);
  EXPECT_FALSE(channel().end_writing());
}

}  // namespace
}  // namespace standpipe::replay
