// Event-stream frames: two CBOR items, a header and a payload, in one binary WebSocket message.
// Spec: atproto event-stream, "Framing"; `docs/format.md` says what is archivable.
//
// Everything here works on views into the frame, allocates nothing, and never decodes `blocks`.
// All functions are pure and may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "schema/base/bytes.h"
#include "schema/base/result.h"
#include "schema/datetime.h"
#include "schema/seq.h"

namespace standpipe {

inline constexpr std::size_t kFrameBytesMax = 5 * 1024 * 1024;  // inclusive
inline constexpr int kFrameDepthMax = 128;                      // nesting of CBOR items, inclusive

enum class FrameKind : std::uint8_t {
  commit,
  sync,
  identity,
  account,
  info,
  labels,
  handle,     // retired
  migrate,    // retired
  tombstone,  // retired
  error,      // op -1
  unknown,
};

std::string_view to_string(FrameKind kind);   // "commit", "unknown", ...
FrameKind frame_kind(std::string_view type);  // "#commit" -> commit; else unknown

// Why a frame cannot be archived as an event. Stored in quarantine: values are part of the format.
enum class Unarchivable : std::uint8_t {
  archivable = 0,
  empty = 1,
  too_large = 2,         // above kFrameBytesMax
  header_malformed = 3,  // the first item is not well-formed CBOR, or nests too deep
  header_not_map = 4,
  op_missing = 5,    // no integer `op`, or more than one
  op_unknown = 6,    // `op` is neither 1 nor -1
  type_missing = 7,  // op 1 without exactly one text `t`
  payload_missing = 8,
  payload_malformed = 9,
  payload_not_map = 10,
  trailing_bytes = 11,  // something follows the second item
  seq_missing = 12,
  seq_repeated = 13,
  seq_not_integer = 14,
  seq_out_of_range = 15,  // outside 1 .. 2^53-1
  error_frame = 16,       // op -1: a note, not an event
  info_frame = 17,        // #info without a seq: a note, not an event
  conflict = 18,          // storage: other bytes for a seq that is stored
  late = 19,              // storage: a seq at or below newest that is not stored
  text_message = 20,      // archiver: a WebSocket text message
};

std::string_view to_string(Unarchivable why);  // "seq_missing", ...

struct EnvelopeOp {
  std::string_view action;  // "create", "update", "delete", or whatever it says; empty if absent
  std::string_view path;    // "collection/rkey"; empty if absent
  std::string_view collection() const { return path.substr(0, path.find('/')); }
};

// What a frame says about itself, as views into it. Fields that are absent, not of the expected
// CBOR type, or there more than once are empty: judging them is not this layer's business.
// Text is as it came: it need not be UTF-8.
struct Envelope {
  FrameKind kind = FrameKind::unknown;
  std::int64_t op = 0;     // clamped to 64 bits; 0 if absent
  std::string_view type;   // `t`, as it is
  std::optional<Seq> seq;  // set only if exactly one integer in range
  std::string_view did;    // `repo` of a #commit, else `did`
  std::string_view time;   // RFC 3339, unjudged
  std::string_view rev;
  ByteView blocks;              // contents of the byte string
  std::size_t ops_total = 0;    // entries in `ops`; may exceed what the caller had room for
  ByteView ops;                 // the array itself, for OpReader
  ByteView payload;             // the second CBOR item; empty if it is not whole
  std::string_view error_name;  // error frames: `error`; #info: `name`
  std::string_view message;     // error and #info frames: `message`
};

struct FrameScan {
  Unarchivable why = Unarchivable::archivable;
  Envelope envelope;         // as far as it could be read, `seq` above all
  std::size_t error_at = 0;  // byte offset of what is wrong; 0 if nothing is
};

// One pass over the frame, linear whatever it holds. The first ops.size() entries of `ops` are
// written to it (those of a broken frame mean nothing beyond ops_total).
// Accepts any well-formed CBOR (RFC 8949: unsorted maps, indefinite lengths, long heads) up to
// kFrameDepthMax; text in indefinite-length chunks is well-formed but reads as absent.
//
// A frame gets one reason, the first that applies in this order:
//   empty, too_large; of the header: malformed, not_map, op_missing, op_unknown, type_missing;
//   payload_missing, payload_malformed, payload_not_map, trailing_bytes;
//   error_frame (op -1), info_frame (#info without any `seq`);
//   seq_missing, seq_repeated, seq_not_integer, seq_out_of_range.
// Whatever the reason, the envelope is filled from all that could be read: in a payload that is cut
// off, from the pairs before the cut; a header that is not well-formed leaves it empty. So the
// beginning of a frame that is too large to be held tells its seq.
FrameScan scan_frame(ByteView frame, std::span<EnvelopeOp> ops = {});

// The entries of `ops`, one after the other, for who needs all of them whatever their number.
class OpReader {
 public:
  explicit OpReader(const Envelope& envelope);  // views the frame that the envelope views
  bool next(EnvelopeOp& op);                    // false at the end

 private:
  ByteView rest_;
  std::size_t left_ = 0;
};

}  // namespace standpipe
