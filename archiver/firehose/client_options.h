// What the four clients are told, and what they tell of themselves.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "archiver/firehose/reconnect.h"
#include "archiver/firehose/upstream.h"
#include "archiver/firehose/ws_client.h"
#include "schema/frame.h"
#include "schema/seq.h"

namespace standpipe::firehose {

/// The parameters of both endpoints. Spec: their lexicons.
struct Params {
  /// The last seq that was processed: what follows it is wanted. Seq{0}: from the oldest frame that
  /// the server holds. None: from what comes next.
  std::optional<Seq> cursor;
};

/// What to do with a message that is no frame: broken CBOR, no `op`, no usable seq on a known type.
enum class BadFrame : std::uint8_t {
  skip,       ///< report it and go on, as the original does
  reconnect,  ///< drop the connection, as the event-stream page asks. The next connection asks for
              ///< the same cursor; a frame that is bad again there is skipped, or it would come for
              ///< ever
  fail,       ///< throw FirehoseDecodingError
};

/// What to do when the server closes with code 1000 or 1001, or without a code.
enum class CleanClose : std::uint8_t {
  reconnect,  ///< as after any other end
  stop,       ///< end without an error, as the original does
};

/// What to do on an error frame.
enum class OnErrorFrame : std::uint8_t {
  fail,       ///< throw FirehoseError, as the original does
  reconnect,  ///< report it, wait, and dial again from the same cursor
};

/// Who moves the cursor that the next dial sends.
enum class CursorMode : std::uint8_t {
  after_callback,  ///< each frame does, once its callback has returned without an exception
  manual,          ///< update_params() alone, as in the original
};

/// Why a message was not delivered.
enum class SkipReason : std::uint8_t {
  text,         ///< a text message
  too_large,    ///< beyond message_bytes_max: read, and never held
  malformed,    ///< no frame; `why` and `detail` say what is wrong
  unknown_op,   ///< to be ignored, says the event-stream page
  duplicate,    ///< its seq is the cursor's, or that of the frame before
  regression,   ///< its seq is below that
  error_frame,  ///< under OnErrorFrame::reconnect
};
std::string_view to_string(SkipReason reason);

/// A message that came and was not delivered.
struct Skip {
  SkipReason reason = SkipReason::malformed;
  Unarchivable why = Unarchivable::archivable;  ///< of `malformed`
  std::optional<Seq> seq;                       ///< where it has one that can be read
  std::uint64_t bytes = 0;                      ///< of the message, on the wire
  std::string detail;                           ///< for people, one line
};

/// Called on the thread or executor that runs the client. What they throw is a callback error.
struct Hooks {
  /// The handshake has succeeded. `opened.url` is where redirects led.
  std::function<void(const WsOpened& opened, const Params& asked)> on_connect;
  /// A connection has ended, or could not be made. The next dial follows after `delay`, if there is
  /// to be one.
  std::function<void(const WsEnd& end, std::chrono::milliseconds delay)> on_disconnect;
  /// Without this hook, at most one line a minute goes to the log.
  std::function<void(const Skip& skip)> on_skip;
};

/// How a client behaves. Every duration is in milliseconds, every size in bytes; limits are
/// inclusive.
struct ClientOptions {
  /// "wss://bsky.network/xrpc" and every other form that parse_upstream_url() takes. Empty:
  /// wss://bsky.network/xrpc for repositories, wss://mod.bsky.app/xrpc for labels.
  std::string base_uri;
  /// Nothing was received for this long, pongs included: the connection is dead. A ping goes out at
  /// half of it. 0: never. None: 30 s for repositories, 300 s for labels.
  std::optional<std::chrono::milliseconds> recv_timeout;
  /// For names, TCP, TLS, handshake and redirects, all together.
  std::chrono::milliseconds connect_timeout{10'000};
  /// 1 to kFrameBytesMax (5 MiB), which is as much as a frame may have. A larger message is read in
  /// pieces, discarded, and reported as `too_large`.
  std::size_t message_bytes_max = kFrameBytesMax;
  /// How long to wait before each dial.
  ReconnectOptions reconnect;
  /// What ends a connection, and what ends the stream: see docs/client-library.md.
  BadFrame on_bad_frame = BadFrame::skip;
  CleanClose on_clean_close = CleanClose::reconnect;
  OnErrorFrame on_error_frame = OnErrorFrame::fail;
  CursorMode cursor_mode = CursorMode::after_callback;
  /// What is read ahead of whoever pulls (messages(), async_next(), async_start()): reading stops
  /// at either. At least one frame always fits. start() reads nothing ahead.
  std::size_t queue_frames_max = 64;
  std::size_t queue_bytes_max = 1 << 20;
  std::string user_agent = "standpipe-firehose";
  /// PEM; trusted besides what the system trusts.
  std::string tls_ca_file;
  Hooks hooks;
};

/// Counted since the client was made, over all its runs.
struct ClientStats {
  std::uint64_t connections = 0;   ///< that were made
  std::uint64_t dials_failed = 0;  ///< connections that were not
  std::uint64_t frames = 0;        ///< delivered
  std::uint64_t bytes = 0;         ///< of all messages, on the wire
  std::uint64_t text = 0, too_large = 0, malformed = 0, unknown_op = 0;
  std::uint64_t duplicates = 0, regressions = 0, error_frames = 0;
  std::uint64_t callback_errors = 0;
};

/// What a callback or a hook threw. What it throws itself goes to the log.
using OnCallbackError = std::function<void(std::exception_ptr)>;

}  // namespace standpipe::firehose
