#include "archiver/firehose/ws_handshake.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <boost/beast/http/rfc7230.hpp>
#include <span>
#include <utility>

#include "schema/base/assert.h"
#include "schema/base/clock.h"

namespace standpipe::firehose {
namespace {

using boost::beast::http::token_list;

constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

std::string base64(std::span<const unsigned char> bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3) + 1, '\0');  // with the zero that OpenSSL adds
  const int size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                     static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

}  // namespace

std::string fresh_websocket_key() {
  std::array<unsigned char, 16> key{};
  STANDPIPE_ASSERT(::RAND_bytes(key.data(), static_cast<int>(key.size())) == 1,
                   "the system has no random bytes");
  return base64(key);
}

std::string websocket_accept_of(std::string_view key) {
  const std::string text = std::string(key) + std::string(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  STANDPIPE_ASSERT(
      ::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_sha1(), nullptr) == 1,
      "OpenSSL has no SHA-1");
  return base64(std::span(digest).first(size));
}

std::string_view fault_of(const UpgradeAnswer& answer, std::string_view key) {
  if (answer.version < 11) return "the answer is of HTTP/1.0";
  if (!token_list({answer.upgrade.data(), answer.upgrade.size()}).exists("websocket")) {
    return "the answer has no Upgrade: websocket";
  }
  if (!token_list({answer.connection.data(), answer.connection.size()}).exists("upgrade")) {
    return "the answer has no Connection: Upgrade";
  }
  if (answer.accept != websocket_accept_of(key)) {
    return "the answer has not the Sec-WebSocket-Accept of our key";
  }
  if (answer.has_extension) return "the answer has an extension that nobody asked for";
  if (answer.has_subprotocol) return "the answer has a subprotocol that nobody asked for";
  return "";
}

WsEnd end_of(WsEndKind kind, std::string detail) {
  WsEnd end;
  end.kind = kind;
  end.detail = std::move(detail);
  return end;
}

WsEnd closed_by(std::uint16_t code, std::string_view reason) {
  WsEnd end = end_of(WsEndKind::closed, fmt::format("closed by upstream: {} {}", code, reason));
  end.close_code = code;
  end.close_reason = std::string(reason);
  return end;
}

bool is_redirect(unsigned status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

WsEnd refusal_of(unsigned status, std::string_view reason, std::string_view retry_after) {
  WsEnd end = end_of(WsEndKind::http_status, fmt::format("HTTP {} {}", status, reason));
  end.http_status = static_cast<int>(status);
  if (!retry_after.empty()) {
    end.retry_after = parse_retry_after(retry_after, SystemClock::instance().now_ms());
  }
  return end;
}

}  // namespace standpipe::firehose
