#include "schema/frame.h"

#include <limits>

#include "schema/cbor_scan.h"

namespace standpipe {
namespace {

static_assert(kFrameDepthMax == kScanDepthMax);

constexpr auto kSeqArgumentMax = static_cast<std::uint64_t>(to_int(kSeqMax));

// An integer as the wire has it: `argument`, or -1 - argument.
struct Integer {
  bool is_integer = false;  // else the value was something else, and has been skipped
  bool is_negative = false;
  std::uint64_t argument = 0;
};

bool read_integer(CborScanner& scanner, Integer& integer, int around) {
  integer = {};
  const CborMajor major = scanner.peek_major();
  const bool is_negative = major == CborMajor::negative_integer;
  if (!is_negative && major != CborMajor::unsigned_integer) return scanner.skip_item(around);
  CborScanner next = scanner;
  ScanHead head;
  if (!next.read_head(head) || head.is_indefinite()) return false;
  scanner = next;
  integer = {true, is_negative, head.argument};
  return true;
}

// Clamped, as no value near the limits means anything.
std::int64_t to_int64(const Integer& integer) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  const std::int64_t argument = integer.argument > static_cast<std::uint64_t>(kMax)
                                    ? kMax
                                    : static_cast<std::int64_t>(integer.argument);
  return integer.is_negative ? -1 - argument : argument;
}

// A key of which there should be one: how often it came, and where.
struct Occurrence {
  unsigned count = 0;
  std::size_t at = 0;  // of the latest
  void note(std::size_t position) {
    ++count;
    at = position;
  }
};

// A field that is repeated reads as absent: readers differ on which of two they believe.
bool read_field(CborScanner& scanner, CborMajor major, int around, Occurrence& seen,
                ByteView& field) {
  seen.note(scanner.position());
  field = {};
  ByteView content;
  if (!scanner.read_string(major, content, around)) return false;
  if (seen.count == 1) field = content;
  return true;
}

bool read_text_field(CborScanner& scanner, int around, Occurrence& seen, std::string_view& field) {
  ByteView content;
  const bool is_well_formed = read_field(scanner, CborMajor::text, around, seen, content);
  field = as_text(content);
  return is_well_formed;
}

// One entry of `ops`, which stands in the payload's map and the array.
bool read_op(CborScanner& scanner, EnvelopeOp& op, int around) {
  op = {};
  if (scanner.peek_major() != CborMajor::map) return scanner.skip_item(around);
  ScanHead map;
  if (!scanner.read_head(map)) return false;
  Occurrence action;
  Occurrence path;
  return scanner.read_pairs(map, around, [&](std::string_view key) {
    if (key == "path") return read_text_field(scanner, around + 1, path, op.path);
    if (key == "action") return read_text_field(scanner, around + 1, action, op.action);
    return scanner.skip_item(around + 1);
  });
}

// What the scan learns and the envelope has no room for.
class FrameScanner {
 public:
  FrameScanner(ByteView frame, std::span<EnvelopeOp> ops)
      : frame_(frame), ops_(ops), scanner_(frame) {}

  FrameScan run();

 private:
  bool read_header();
  bool read_payload();
  bool read_payload_field(std::string_view key);
  bool read_seq();
  bool read_ops();
  void refuse(Unarchivable why, std::size_t at);
  void scan();
  void judge_header();
  void judge_seq();

  const ByteView frame_;
  const std::span<EnvelopeOp> ops_;
  CborScanner scanner_;
  FrameScan scan_;
  Envelope& envelope_ = scan_.envelope;
  bool is_header_map_ = false;
  Integer op_;
  Integer seq_;
  Occurrence op_seen_, type_seen_, seq_seen_, did_seen_, time_seen_, rev_seen_, blocks_seen_,
      ops_seen_, name_seen_, message_seen_;
};

// The first reason stays.
void FrameScanner::refuse(Unarchivable why, std::size_t at) {
  if (scan_.why == Unarchivable::archivable) {
    scan_.why = why;
    scan_.error_at = at;
  }
}

bool FrameScanner::read_header() {
  if (scanner_.peek_major() != CborMajor::map) return scanner_.skip_item(0);
  is_header_map_ = true;
  ScanHead map;
  if (!scanner_.read_head(map)) return false;
  return scanner_.read_pairs(map, 0, [this](std::string_view key) {
    if (key == "t") return read_text_field(scanner_, 1, type_seen_, envelope_.type);
    if (key != "op") return scanner_.skip_item(1);
    op_seen_.note(scanner_.position());
    return read_integer(scanner_, op_, 1);
  });
}

bool FrameScanner::read_seq() {
  seq_seen_.note(scanner_.position());
  envelope_.seq.reset();
  if (!read_integer(scanner_, seq_, 1)) return false;
  const bool is_usable = seq_seen_.count == 1 && seq_.is_integer && !seq_.is_negative &&
                         seq_.argument >= 1 && seq_.argument <= kSeqArgumentMax;
  if (is_usable) envelope_.seq = Seq{static_cast<std::int64_t>(seq_.argument)};
  return true;
}

bool FrameScanner::read_ops() {
  const std::size_t begin = scanner_.position();
  ops_seen_.note(begin);
  envelope_.ops_total = 0;
  envelope_.ops = {};
  if (scanner_.peek_major() != CborMajor::array) return scanner_.skip_item(1);
  ScanHead array;
  if (!scanner_.read_head(array)) return false;
  std::size_t total = 0;
  EnvelopeOp beyond_room;
  const bool is_whole = scanner_.read_entries(array, [&] {
    EnvelopeOp& op = total < ops_.size() ? ops_[total] : beyond_room;
    ++total;
    return read_op(scanner_, op, 2);
  });
  if (!is_whole) return false;
  if (ops_seen_.count > 1) return true;
  envelope_.ops_total = total;
  envelope_.ops = frame_.subspan(begin, scanner_.position() - begin);
  return true;
}

bool FrameScanner::read_payload_field(std::string_view key) {
  const FrameKind kind = envelope_.kind;
  switch (key.size()) {
    case 3:
      if (key == "seq") return read_seq();
      if (key == "ops") return read_ops();
      if (key == "rev") return read_text_field(scanner_, 1, rev_seen_, envelope_.rev);
      if (key == "did" && kind != FrameKind::commit) {
        return read_text_field(scanner_, 1, did_seen_, envelope_.did);
      }
      break;
    case 4:
      if (key == "repo" && kind == FrameKind::commit) {
        return read_text_field(scanner_, 1, did_seen_, envelope_.did);
      }
      if (key == "time") return read_text_field(scanner_, 1, time_seen_, envelope_.time);
      if (key == "name" && kind == FrameKind::info) {
        return read_text_field(scanner_, 1, name_seen_, envelope_.error_name);
      }
      break;
    case 5:
      if (key == "error" && kind == FrameKind::error) {
        return read_text_field(scanner_, 1, name_seen_, envelope_.error_name);
      }
      break;
    case 6:
      if (key == "blocks") {
        return read_field(scanner_, CborMajor::bytes, 1, blocks_seen_, envelope_.blocks);
      }
      break;
    case 7:
      if (key == "message" && (kind == FrameKind::error || kind == FrameKind::info)) {
        return read_text_field(scanner_, 1, message_seen_, envelope_.message);
      }
      break;
    default:
      break;
  }
  return scanner_.skip_item(1);
}

bool FrameScanner::read_payload() {
  if (scanner_.peek_major() != CborMajor::map) return scanner_.skip_item(0);
  ScanHead map;
  if (!scanner_.read_head(map)) return false;
  return scanner_.read_pairs(map, 0,
                             [this](std::string_view key) { return read_payload_field(key); });
}

void FrameScanner::judge_header() {
  if (!is_header_map_) {
    refuse(Unarchivable::header_not_map, 0);
  } else if (op_seen_.count != 1 || !op_.is_integer) {
    refuse(Unarchivable::op_missing, op_seen_.at);
  } else {
    envelope_.op = to_int64(op_);
    if (envelope_.op != 1 && envelope_.op != -1) refuse(Unarchivable::op_unknown, op_seen_.at);
  }
  // A text of definite length always has a data(), also when it is empty.
  const bool has_type = type_seen_.count == 1 && envelope_.type.data() != nullptr;
  if (envelope_.op == 1 && !has_type) refuse(Unarchivable::type_missing, type_seen_.at);
  if (envelope_.op == 1 && has_type) envelope_.kind = frame_kind(envelope_.type);
  if (envelope_.op == -1) envelope_.kind = FrameKind::error;
}

void FrameScanner::judge_seq() {
  const auto payload_at = static_cast<std::size_t>(envelope_.payload.data() - frame_.data());
  if (envelope_.kind == FrameKind::error) {
    refuse(Unarchivable::error_frame, 0);
  } else if (seq_seen_.count == 0) {
    const bool is_info = envelope_.kind == FrameKind::info;
    refuse(is_info ? Unarchivable::info_frame : Unarchivable::seq_missing,
           is_info ? 0 : payload_at);
  } else if (seq_seen_.count > 1) {
    refuse(Unarchivable::seq_repeated, seq_seen_.at);
  } else if (!seq_.is_integer) {
    refuse(Unarchivable::seq_not_integer, seq_seen_.at);
  } else if (!envelope_.seq) {
    refuse(Unarchivable::seq_out_of_range, seq_seen_.at);
  }
}

// Reads as far as it can whatever has been found wrong before, for the sake of the seq.
void FrameScanner::scan() {
  if (frame_.empty()) {
    refuse(Unarchivable::empty, 0);
    return;
  }
  if (frame_.size() > kFrameBytesMax) refuse(Unarchivable::too_large, kFrameBytesMax);
  if (!read_header()) {
    refuse(Unarchivable::header_malformed, scanner_.position());
    envelope_ = {};
    return;
  }
  judge_header();
  const std::size_t payload_at = scanner_.position();
  if (scanner_.at_end()) {
    refuse(Unarchivable::payload_missing, payload_at);
    return;
  }
  const bool is_map = scanner_.peek_major() == CborMajor::map;
  if (!read_payload()) {
    refuse(Unarchivable::payload_malformed, scanner_.position());
    return;
  }
  envelope_.payload = frame_.subspan(payload_at, scanner_.position() - payload_at);
  if (!is_map) refuse(Unarchivable::payload_not_map, payload_at);
  if (!scanner_.at_end()) refuse(Unarchivable::trailing_bytes, scanner_.position());
  judge_seq();
}

FrameScan FrameScanner::run() {
  scan();
  return scan_;
}

}  // namespace

FrameScan scan_frame(ByteView frame, std::span<EnvelopeOp> ops) {
  // What stands behind `blocks` is far from what stands before it: fetching it meanwhile saves a
  // wait for memory where the frame is no longer in the cache. A commit has two links and some
  // flags there, 160 bytes.
  constexpr std::size_t kLineBytes = 64;
  constexpr std::size_t kTailLines = 3;
  for (std::size_t i = 1; i <= kTailLines && i * kLineBytes < frame.size(); ++i) {
    __builtin_prefetch(frame.data() + frame.size() - i * kLineBytes);
  }
  return FrameScanner(frame, ops).run();
}

OpReader::OpReader(const Envelope& envelope) {
  CborScanner scanner(envelope.ops);
  ScanHead array;
  if (envelope.ops.empty() || !scanner.read_head(array)) return;
  rest_ = envelope.ops.subspan(scanner.position());
  left_ = envelope.ops_total;
}

bool OpReader::next(EnvelopeOp& op) {
  if (left_ == 0) return false;
  CborScanner scanner(rest_);
  if (!read_op(scanner, op, 2)) return false;
  rest_ = rest_.subspan(scanner.position());
  --left_;
  return true;
}

}  // namespace standpipe
