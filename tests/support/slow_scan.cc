#include "tests/support/slow_scan.h"

#include <limits>
#include <sstream>

#include "schema/cbor.h"

namespace standpipe::test {
namespace {

enum Major : std::uint8_t { kUnsigned, kNegative, kBytes, kText, kArray, kMap };

// Length of the first item, which stands in `around` others; nullopt if it is not well-formed.
std::optional<std::size_t> item_length(ByteView bytes, int around) {
  CborOptions options;
  options.profile = CborProfile::well_formed;
  options.depth_max = kFrameDepthMax - around;
  options.container_entries_max = std::numeric_limits<std::size_t>::max();
  options.key_bytes_max = std::numeric_limits<std::size_t>::max();
  const auto length = check_cbor(bytes, options);
  if (!length) return std::nullopt;
  return *length;
}

bool is_of(ByteView item, Major major) {
  return !item.empty() && read_cbor_head(item, 0).major == major;
}

// The contents of a string of definite length.
std::optional<std::string> string_of(ByteView item, Major major) {
  if (!is_of(item, major) || read_cbor_head(item, 0).is_indefinite()) return std::nullopt;
  return std::string(as_text(item.subspan(read_cbor_head(item, 0).length)));
}

struct Contents {
  std::vector<ByteView> items;  // keys and values in turn, if it is a map
  bool is_whole = false;        // else what could be read before the end of the bytes
};

// What a map or an array holds; `bytes` may be cut off, or go on behind it.
Contents contents_of(ByteView bytes, int around) {
  Contents contents;
  const CborHead head = read_cbor_head(bytes, 0);
  if (head.length == 0) return contents;
  const std::uint64_t each = head.major == kMap ? 2 : 1;
  std::size_t at = head.length;
  while (true) {
    const std::uint64_t entries = contents.items.size() / each;
    const bool is_between = contents.items.size() % each == 0;
    contents.is_whole =
        is_between && (head.is_indefinite() ? at < bytes.size() && bytes[at] == kCborBreak
                                            : entries == head.argument);
    if (contents.is_whole) return contents;
    const auto length = item_length(bytes.subspan(at), around + 1);
    if (!length) return contents;
    contents.items.push_back(bytes.subspan(at, *length));
    at += *length;
  }
}

// Values by key. A value is empty where it is not whole; keys that are not plain text are left out.
std::multimap<std::string, ByteView> pairs_of(ByteView map, int around) {
  std::multimap<std::string, ByteView> pairs;
  const std::vector<ByteView> items = contents_of(map, around).items;
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const auto key = string_of(items[i], kText);
    if (key) pairs.emplace(*key, i + 1 < items.size() ? items[i + 1] : ByteView{});
  }
  return pairs;
}

using Pairs = std::multimap<std::string, ByteView>;

ByteView only(const Pairs& pairs, const std::string& key) {
  return pairs.count(key) == 1 ? pairs.find(key)->second : ByteView{};
}

std::string text(const Pairs& pairs, const std::string& key) {
  return string_of(only(pairs, key), kText).value_or("");
}

bool is_integer(ByteView item) { return is_of(item, kUnsigned) || is_of(item, kNegative); }

std::optional<std::int64_t> seq_of(ByteView item) {
  if (!is_of(item, kUnsigned)) return std::nullopt;
  const std::uint64_t argument = read_cbor_head(item, 0).argument;
  if (argument < 1 || argument > 9'007'199'254'740'991) return std::nullopt;
  return static_cast<std::int64_t>(argument);
}

void read_payload(const Pairs& pairs, SlowScan& scan) {
  const bool is_error = scan.kind == FrameKind::error;
  const bool is_info = scan.kind == FrameKind::info;
  scan.seq = seq_of(only(pairs, "seq"));
  scan.did = text(pairs, scan.kind == FrameKind::commit ? "repo" : "did");
  scan.time = text(pairs, "time");
  scan.rev = text(pairs, "rev");
  scan.blocks = string_of(only(pairs, "blocks"), kBytes).value_or("");
  if (is_error) scan.error_name = text(pairs, "error");
  if (is_info) scan.error_name = text(pairs, "name");
  if (is_error || is_info) scan.message = text(pairs, "message");
  const ByteView ops = only(pairs, "ops");
  if (!is_of(ops, kArray)) return;
  for (const ByteView entry : contents_of(ops, 1).items) {
    const Pairs op = is_of(entry, kMap) ? pairs_of(entry, 2) : Pairs{};
    scan.ops.emplace_back(text(op, "action"), text(op, "path"));
  }
}

Unarchivable judge_seq(const Pairs& pairs, FrameKind kind) {
  if (kind == FrameKind::error) return Unarchivable::error_frame;
  const std::size_t count = pairs.count("seq");
  if (count == 0) {
    return kind == FrameKind::info ? Unarchivable::info_frame : Unarchivable::seq_missing;
  }
  if (count > 1) return Unarchivable::seq_repeated;
  if (!is_integer(only(pairs, "seq"))) return Unarchivable::seq_not_integer;
  return seq_of(only(pairs, "seq")) ? Unarchivable::archivable : Unarchivable::seq_out_of_range;
}

Unarchivable read_header(ByteView header, SlowScan& scan) {
  if (!is_of(header, kMap)) return Unarchivable::header_not_map;
  const Pairs pairs = pairs_of(header, 0);
  scan.type = text(pairs, "t");
  const ByteView op = only(pairs, "op");
  if (!is_integer(op)) return Unarchivable::op_missing;
  const CborHead head = read_cbor_head(op, 0);
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  const auto argument = static_cast<std::int64_t>(head.argument < kMax ? head.argument : kMax);
  scan.op = head.major == kUnsigned ? argument : -1 - argument;
  if (scan.op == -1) {
    scan.kind = FrameKind::error;
    return Unarchivable::archivable;
  }
  if (scan.op != 1) return Unarchivable::op_unknown;
  if (!string_of(only(pairs, "t"), kText)) return Unarchivable::type_missing;
  scan.kind = frame_kind(scan.type);
  return Unarchivable::archivable;
}

}  // namespace

SlowScan slow_scan(ByteView frame) {
  SlowScan scan;
  std::vector<Unarchivable> reasons;
  const auto header_length = item_length(frame, 0);
  if (frame.empty()) {
    reasons.push_back(Unarchivable::empty);
  } else if (frame.size() > 5'242'880) {
    reasons.push_back(Unarchivable::too_large);
  }
  if (!header_length) {
    reasons.push_back(Unarchivable::header_malformed);
    scan.why = reasons.front();
    return scan;
  }
  reasons.push_back(read_header(frame.first(*header_length), scan));
  const ByteView rest = frame.subspan(*header_length);
  const auto payload_length = item_length(rest, 0);
  const bool is_map = is_of(rest, kMap);
  const Pairs pairs = is_map ? pairs_of(rest, 0) : Pairs{};
  if (rest.empty()) {
    reasons.push_back(Unarchivable::payload_missing);
  } else if (!payload_length) {
    reasons.push_back(Unarchivable::payload_malformed);
  } else {
    scan.payload = as_text(rest.first(*payload_length));
    if (!is_map) reasons.push_back(Unarchivable::payload_not_map);
    if (*payload_length < rest.size()) reasons.push_back(Unarchivable::trailing_bytes);
    reasons.push_back(judge_seq(pairs, scan.kind));
  }
  read_payload(pairs, scan);
  for (const Unarchivable reason : reasons) {
    if (scan.why == Unarchivable::archivable) scan.why = reason;
  }
  return scan;
}

SlowScan fast_scan(ByteView frame) {
  const FrameScan fast = scan_frame(frame);
  const Envelope& envelope = fast.envelope;
  SlowScan scan;
  scan.why = fast.why;
  scan.kind = envelope.kind;
  scan.op = envelope.op;
  if (envelope.seq) scan.seq = to_int(*envelope.seq);
  scan.type = envelope.type;
  scan.did = envelope.did;
  scan.time = envelope.time;
  scan.rev = envelope.rev;
  scan.blocks = as_text(envelope.blocks);
  scan.payload = as_text(envelope.payload);
  scan.error_name = envelope.error_name;
  scan.message = envelope.message;
  OpReader reader(envelope);
  EnvelopeOp op;
  while (reader.next(op)) scan.ops.emplace_back(op.action, op.path);
  if (scan.ops.size() != envelope.ops_total) scan.ops.emplace_back("ops_total differs", "");
  return scan;
}

std::string to_string(const SlowScan& scan) {
  std::ostringstream out;
  out << to_string(scan.why) << " " << to_string(scan.kind) << " op " << scan.op;
  if (scan.seq) out << " seq " << *scan.seq;
  out << " t '" << scan.type << "' did '" << scan.did << "' time '" << scan.time << "' rev '"
      << scan.rev << "' error '" << scan.error_name << "' message '" << scan.message << "' blocks "
      << scan.blocks.size() << " B, payload " << scan.payload.size() << " B";
  for (const auto& [action, path] : scan.ops) out << ", " << action << " '" << path << "'";
  return out.str();
}

}  // namespace standpipe::test
