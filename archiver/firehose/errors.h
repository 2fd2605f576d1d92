// What the library throws. Everything that a server can do wrong and that a further dial can mend
// is no exception: the client dials again, and says so to its hooks.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include "schema/base/result.h"

namespace standpipe::firehose {

/// The server ended the stream by an error frame.
/// Spec: atproto event-stream, "Framing": `op` -1, with `error` and `message`.
///
/// Thrown out of start(), async_start(), async_next() and the iteration of messages(), unless
/// ClientOptions::on_error_frame says to dial again.
class FirehoseError : public std::runtime_error {
 public:
  FirehoseError(std::string error, std::string message)
      : std::runtime_error(message.empty() ? error : error + ": " + message),
        error_(std::move(error)),
        message_(std::move(message)) {}

  /// The name, as the server wrote it: "FutureCursor", "ConsumerTooSlow", ...
  const std::string& error() const noexcept { return error_; }
  /// For people; may be empty.
  const std::string& message() const noexcept { return message_; }

 private:
  std::string error_;
  std::string message_;
};

/// Bytes that are no frame, no message or no CAR. Thrown by or_throw(), and out of start() and the
/// like under BadFrame::fail.
class FirehoseDecodingError : public FirehoseError {
 public:
  using FirehoseError::FirehoseError;
};

/// The value, or its error as a FirehoseDecodingError: for callbacks, whose exceptions go to
/// `on_callback_error`.
///
///     const auto message = or_throw(parse_subscribe_repos_message(frame));
template <typename T>
T or_throw(Result<T> result) {
  if (!result) {
    throw FirehoseDecodingError(std::string(to_string(result.error().code)), result.error().detail);
  }
  return std::move(result).value();
}

}  // namespace standpipe::firehose
