// A request that is passed on to the upstream, and its answer as it comes: what the server asks of
// whoever knows upstreams.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "replay/request.h"
#include "schema/base/result.h"

namespace standpipe::replay {

struct ForwardCall {
  ForwardRequest request;
  HttpHeaders headers;  // of the request, those that go with it; none is empty
  std::string body;
  boost::asio::ip::address address;  // who asks: for the limits, not for the upstream
};

struct ForwardedHead {
  int status = 0;  // 200 .. 999
  HttpHeaders headers;
  std::optional<std::uint64_t> body_bytes;  // nullopt: it ends where it ends
};

// One exchange with an upstream, on the thread that it was begun for; one call at a time. May be
// destroyed at any time when none is under way.
class Forward {
 public:
  virtual ~Forward() = default;

  // Asks, once, and waits for the head of the answer. An error is for whoever has asked: io, the
  // upstream did not answer; limit: it says that it would send more than is passed on.
  virtual boost::asio::awaitable<Result<ForwardedHead>> begin() = 0;
  // What follows, a piece of at most some tens of KiB; empty: that was all. Nothing is read ahead.
  virtual boost::asio::awaitable<Result<std::string>> more() = 0;
  // The call that is under way, and all later ones, end with `closed`.
  virtual void cancel() = 0;
};

using ForwardStart = std::variant<std::shared_ptr<Forward>, Refusal>;

}  // namespace standpipe::replay
