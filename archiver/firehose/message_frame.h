// A frame as it came, with its header read and its body left alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/frame.h"
#include "schema/seq.h"

namespace standpipe::firehose {

/// `op` of a frame's header. Spec: atproto event-stream, "Framing".
enum class FrameOp : std::int8_t { error = -1, message = 1 };

/// One frame of a stream: immutable, and cheap to copy, for copies share the bytes. A copy may be
/// kept for as long as one likes, and used by several threads at once.
///
/// What a frame says about itself (its type, seq, DID, time) was read when it arrived, in one pass
/// that decodes nothing; so filtering by these costs nothing. All views point into the frame and
/// live as long as any copy of it.
class MessageFrame {
 public:
  /// Copies `bytes`, whatever they are; why() tells what is wrong with them. Clients deliver frames
  /// that are whole: a file or a test makes its own.
  static MessageFrame from_bytes(ByteView bytes);

  FrameOp op() const { return envelope().op < 0 ? FrameOp::error : FrameOp::message; }
  /// `t` of the header: "#commit".
  std::string_view type() const { return envelope().type; }
  /// The same as a value; FrameKind::unknown for types that this build does not know.
  FrameKind kind() const { return envelope().kind; }

  /// 1 .. 2^53 - 1. None of an #info, nor of an unknown type that has none.
  std::optional<Seq> seq() const { return envelope().seq; }
  /// Whom it is about: `repo` of a #commit, `did` of others; empty where neither is there. As it
  /// came: whether it is a DID is not judged.
  std::string_view did() const { return envelope().did; }
  /// RFC 3339, as it came; empty where it is not there.
  std::string_view time() const { return envelope().time; }

  /// The frame, byte for byte as it was received.
  ByteView bytes() const { return stored_->bytes; }
  /// The second CBOR item, not decoded.
  ByteView body() const { return envelope().payload; }

  /// All that was read of it, the ops of a #commit included (by OpReader).
  const Envelope& envelope() const { return stored_->scan.envelope; }
  /// `archivable` or `info_frame` for what clients deliver; `seq_missing` and its like for frames
  /// of unknown types.
  Unarchivable why() const { return stored_->scan.why; }
  /// Where it is wrong, in bytes from its start; 0 if it is not.
  std::size_t error_at() const { return stored_->scan.error_at; }

 private:
  struct Stored {
    Bytes bytes;
    FrameScan scan;  // views bytes
  };
  explicit MessageFrame(std::shared_ptr<const Stored> stored) : stored_(std::move(stored)) {}

  std::shared_ptr<const Stored> stored_;
};

}  // namespace standpipe::firehose
