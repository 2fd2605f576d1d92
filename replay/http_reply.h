// Sending a reply over a connection that is not a subscriber's: a body, the events of the status
// page, or what an upstream goes on to send. http_reply.cc includes Beast.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "replay/http_stream.h"
#include "replay/request.h"

namespace standpipe::replay {

struct ReplyTerms {
  unsigned version = 11;    // of HTTP, as the request's
  bool is_to_head = false;  // to a HEAD: without the body
  bool keeps = false;       // the connection
  std::string server;
  std::chrono::milliseconds timeout{10'000};  // for the peer to take a reply, or a piece of it
};

enum class ReplyEnd : std::uint8_t {
  sent,
  timed_out,  // the peer has not taken it
  lost,
  broken_off,  // by us, so that the peer sees it: the upstream did not go on
};

// Each on the thread of the stream, which outlives it.
boost::asio::awaitable<ReplyEnd> send_reply(HttpStream& stream, HttpReply reply, ReplyTerms terms);
// After the last reply. Closing with unread input sends a reset, which can overtake the reply: so
// it is read first.
boost::asio::awaitable<void> drain(HttpStream& stream);
// Until the peer does not take them any more, or the stream is closed.
boost::asio::awaitable<ReplyEnd> send_events(HttpStream& stream, HttpReply reply, ReplyTerms terms);

// Asks the upstream: the reply then has status and headers, and `forward` has the rest. Where the
// upstream does not answer, 502 and why. Both this and what follows end when the peer leaves.
boost::asio::awaitable<HttpReply> begin_forward(HttpStream& stream,
                                                std::shared_ptr<Forward> forward);
struct ForwardEnd {
  ReplyEnd end = ReplyEnd::sent;
  bool keeps = false;       // the connection can take another request
  std::uint64_t bytes = 0;  // of the body that were passed on
};
boost::asio::awaitable<ForwardEnd> send_forward(HttpStream& stream, HttpReply reply,
                                                ReplyTerms terms);

}  // namespace standpipe::replay
