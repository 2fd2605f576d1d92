#include "storage/group.h"

#include <xxhash.h>

#include <cstring>
#include <utility>

#include "schema/base/assert.h"
#include "schema/base/crc32c.h"
#include "schema/hash.h"
#include "storage/fields.h"
#include "storage/wire.h"

namespace standpipe::storage {
namespace {

// docs/format.md, "Group": where the fixed fields stand.
constexpr std::string_view kMagic = "SPGR";
constexpr std::size_t kVersionAt = 4;
constexpr std::size_t kCodecAt = 5;
constexpr std::size_t kHeaderLengthAt = 8;
constexpr std::size_t kFixedBytes = 56;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kHashBytes = 8;
constexpr std::uint8_t kSectionCritical = 1;

// What a frame costs at least in the header: a varint of its length, and its hash.
constexpr std::size_t kFrameHeaderBytesMin = 1 + kHashBytes;

Error group_error(Errc code, std::size_t at, const std::string& why) {
  return Error{code, "group, byte " + std::to_string(at) + ": " + why};
}

Error group_error(const FieldReader& in) { return Error{Errc::corrupt, "group, " + in.error()}; }

// Finds the header in `value` and checks its checksum, then that this build knows its version.
Result<std::string_view> checked_header(std::string_view value) {
  const ByteView bytes = as_bytes(value);
  if (value.size() > kGroupBytesMax) {
    return group_error(Errc::corrupt, 0,
                       std::to_string(value.size()) + " bytes, at most " +
                           std::to_string(kGroupBytesMax) + " are allowed");
  }
  if (value.size() < kHeaderLengthAt + 4 || value.substr(0, kMagic.size()) != kMagic) {
    return group_error(Errc::corrupt, 0, "does not begin with SPGR and a header length");
  }
  const std::size_t length = load_le<std::uint32_t>(bytes.data() + kHeaderLengthAt);
  if (length > value.size() || length < kHeaderLengthAt + 4 + kChecksumBytes) {
    return group_error(Errc::corrupt, kHeaderLengthAt,
                       "header length " + std::to_string(length) + " in a value of " +
                           std::to_string(value.size()) + " bytes");
  }
  const std::size_t checked = length - kChecksumBytes;
  if (crc32c(bytes.first(checked)) != load_le<std::uint32_t>(bytes.data() + checked)) {
    return group_error(Errc::corrupt, checked, "header checksum does not match");
  }
  const auto version = std::to_integer<unsigned>(bytes[kVersionAt]);
  if (version != kGroupHeaderVersion) {
    return group_error(Errc::unsupported, kVersionAt,
                       "header version " + std::to_string(version) + ", this build knows " +
                           std::to_string(kGroupHeaderVersion));
  }
  return value.substr(0, checked);
}

// One varint from [at, end), in its shortest form; null if there is none. The reader of rows does
// the same with names for its errors; here it is once or twice a frame.
inline const std::byte* read_varint(const std::byte* at, const std::byte* end,
                                    std::uint64_t* value) {
  if (at != end && std::to_integer<unsigned>(*at) < 0x80) {
    *value = std::to_integer<std::uint64_t>(*at);
    return at + 1;
  }
  std::uint64_t result = 0;
  for (unsigned shift = 0; at != end && shift < 63; shift += 7) {
    const auto byte = std::to_integer<std::uint64_t>(*at++);
    result |= (byte & 0x7FU) << shift;
    if (byte >= 0x80) continue;
    *value = result;
    return byte == 0 && shift != 0 ? nullptr : at;
  }
  return nullptr;
}

// The part of a header that stands between its fixed fields and its sections.
class FrameTable {
 public:
  FrameTable(std::string_view header, std::size_t start, std::size_t payload_length)
      : begin_(as_bytes(header).data()),
        at_(begin_ + start),
        end_(begin_ + header.size()),
        payload_length_(payload_length) {}

  Result<std::vector<RunFrame>> read(std::size_t count, std::uint64_t first_seq) {
    if (static_cast<std::size_t>(end_ - at_) < count * kFrameHeaderBytesMin + (count - 1)) {
      return error("has no room for " + std::to_string(count) + " frames");
    }
    std::vector<RunFrame> frames(count);
    STANDPIPE_CHECK(read_seqs(frames, first_seq));
    STANDPIPE_CHECK(read_lengths(frames));
    STANDPIPE_CHECK(read_hashes(frames));
    return frames;
  }

  std::size_t position() const { return static_cast<std::size_t>(at_ - begin_); }

 private:
  Error error(const std::string& why) const {
    return group_error(Errc::corrupt, position(), "frame table: " + why);
  }

  Result<void> read_seqs(std::vector<RunFrame>& frames, std::uint64_t seq) {
    constexpr auto kMax = static_cast<std::uint64_t>(to_int(kSeqMax));
    if (seq == 0 || seq > kMax) {
      return error("first seq " + std::to_string(seq) + " is outside 1 .. 2^53-1");
    }
    frames[0].seq = Seq{static_cast<std::int64_t>(seq)};
    for (std::size_t i = 1; i < frames.size(); ++i) {
      std::uint64_t step = 0;
      const std::byte* next_at = read_varint(at_, end_, &step);
      if (next_at == nullptr || step == 0 || step > kMax - seq) {
        return error("seq delta of frame " + std::to_string(i) + " is not 1 .. 2^53-1 - seq");
      }
      at_ = next_at;
      seq += step;
      frames[i].seq = Seq{static_cast<std::int64_t>(seq)};
    }
    return {};
  }

  Result<void> read_lengths(std::vector<RunFrame>& frames) {
    std::size_t offset = 0;
    for (RunFrame& frame : frames) {
      std::uint64_t length = 0;
      const std::byte* next_at = read_varint(at_, end_, &length);
      if (next_at == nullptr || length > payload_length_ - offset) {
        return error("wire length of frame " + std::to_string(&frame - frames.data()) +
                     " passes the payload of " + std::to_string(payload_length_) + " bytes");
      }
      at_ = next_at;
      frame.offset = static_cast<std::uint32_t>(offset);
      frame.length = static_cast<std::uint32_t>(length);
      offset += static_cast<std::size_t>(length);
    }
    if (offset != payload_length_) {
      return error("wire lengths add up to " + std::to_string(offset) + ", the payload has " +
                   std::to_string(payload_length_));
    }
    return {};
  }

  Result<void> read_hashes(std::vector<RunFrame>& frames) {
    if (static_cast<std::size_t>(end_ - at_) < frames.size() * kHashBytes) {
      return error("cut short in the hashes");
    }
    for (RunFrame& frame : frames) {
      frame.hash = load_le<std::uint64_t>(at_);
      at_ += kHashBytes;
    }
    return {};
  }

  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  std::size_t payload_length_;
};

// From `in` to its end. This version knows no section type, so a critical one is refused.
Result<std::vector<GroupSection>> read_sections(FieldReader& in) {
  std::vector<GroupSection> sections;
  while (!in.failed() && in.left() != 0) {
    const std::size_t at = in.position();
    GroupSection section;
    section.type = in.u16("section type");
    section.is_critical = in.u8("section flags", kSectionCritical) == kSectionCritical;
    const std::uint32_t length = in.u32("section length");
    section.bytes = as_text(in.raw("section", length));
    if (in.failed()) break;
    if (section.is_critical) {
      return group_error(Errc::unsupported, at,
                         "section of type " + std::to_string(section.type) +
                             " must be understood and is not known to this build");
    }
    sections.push_back(section);
  }
  if (in.failed()) return group_error(in);
  return sections;
}

struct ParsedHeader {
  GroupView view;
  std::uint32_t payload_checksum = 0;
};

Result<ParsedHeader> parse_header(std::string_view value) {
  STANDPIPE_TRY(const std::string_view header, checked_header(value));
  FieldReader in(header);
  in.raw("magic", kMagic.size());
  in.u8("version");
  ParsedHeader parsed;
  GroupView& view = parsed.view;
  view.codec = in.u8("codec");
  const std::uint16_t flags = in.u16("flags");
  in.u32("header length");
  const std::uint32_t count = in.u32("frame count");
  const std::uint64_t first_seq = in.u64("first seq");
  view.times.received_first_ms = in.i64("received first");
  view.times.received_last_ms = in.i64("received last");
  view.times.clock_ms = in.i64("clock");
  const std::uint32_t payload_length = in.u32("payload length");
  parsed.payload_checksum = in.u32("payload checksum");
  if (in.failed()) return group_error(in);
  if (view.codec != kCodecFrames) {
    return group_error(Errc::unsupported, kCodecAt,
                       "codec " + std::to_string(view.codec) + " is not known to this build");
  }
  if (flags != 0) {
    return group_error(Errc::unsupported, kCodecAt + 1,
                       "flags " + std::to_string(flags) + " are not known to this build");
  }
  if (count == 0 || count > kGroupFramesMax) {
    return group_error(Errc::corrupt, kHeaderLengthAt + 4,
                       std::to_string(count) + " frames, 1 to " + std::to_string(kGroupFramesMax) +
                           " are allowed");
  }
  const std::size_t payload_at = header.size() + kChecksumBytes;
  if (value.size() - payload_at != payload_length) {
    return group_error(Errc::corrupt, payload_at,
                       "payload of " + std::to_string(value.size() - payload_at) +
                           " bytes, the header says " + std::to_string(payload_length));
  }
  FrameTable table(header, in.position(), payload_length);
  STANDPIPE_TRY(view.frames, table.read(count, first_seq));
  FieldReader rest(header);
  rest.raw("frame table", table.position());
  STANDPIPE_TRY(view.sections, read_sections(rest));
  return parsed;
}

}  // namespace

void GroupBuilder::add(Seq seq, std::string_view wire, std::uint64_t hash) {
  STANDPIPE_ASSERT(seq >= kSeqMin && seq <= kSeqMax, "seq is outside 1 .. 2^53-1");
  STANDPIPE_ASSERT(frames_.empty() || seq > frames_.back().seq, "seq does not rise");
  STANDPIPE_ASSERT(frames_.size() < kGroupFramesMax, "group holds too many frames");
  STANDPIPE_ASSERT(wire.size() <= kGroupBytesMax - payload_.size(), "group is too large");
  STANDPIPE_ASSERT(wire.empty() || pinned_header_size(as_bytes(wire)) != 0,
                   "frame is not in the pinned wire form");
  frames_.push_back({seq, static_cast<std::uint32_t>(payload_.size()),
                     static_cast<std::uint32_t>(wire.size()), hash});
  payload_.append(wire);
}

std::string GroupBuilder::finish(const GroupTimes& times, std::span<const GroupSection> sections) {
  STANDPIPE_ASSERT(!frames_.empty(), "group without frames");
  std::string value;
  value.reserve(kFixedBytes + frames_.size() * 16 + payload_.size());
  FieldWriter out(value);
  out.raw(as_bytes(kMagic));
  out.u8(kGroupHeaderVersion);
  out.u8(kCodecFrames);
  out.u16(0);  // flags
  out.u32(0);  // header length, filled in below
  out.u32(static_cast<std::uint32_t>(frames_.size()));
  out.u64(static_cast<std::uint64_t>(to_int(frames_.front().seq)));
  out.i64(times.received_first_ms);
  out.i64(times.received_last_ms);
  out.i64(times.clock_ms);
  out.u32(static_cast<std::uint32_t>(payload_.size()));
  out.u32(crc32c(as_bytes(payload_)));
  for (std::size_t i = 1; i < frames_.size(); ++i) {
    out.varint(static_cast<std::uint64_t>(distance(frames_[i - 1].seq, frames_[i].seq)));
  }
  for (const RunFrame& frame : frames_) out.varint(frame.length);
  for (const RunFrame& frame : frames_) out.u64(frame.hash);
  for (const GroupSection& section : sections) {
    out.u16(section.type);
    out.u8(section.is_critical ? kSectionCritical : 0);
    STANDPIPE_ASSERT(section.bytes.size() <= kGroupBytesMax, "section is too large");
    out.u32(static_cast<std::uint32_t>(section.bytes.size()));
    out.raw(as_bytes(section.bytes));
  }
  std::byte length[4];
  store_le(length, static_cast<std::uint32_t>(value.size() + kChecksumBytes));
  std::memcpy(value.data() + kHeaderLengthAt, length, sizeof length);
  out.u32(crc32c(as_bytes(value)));
  out.raw(as_bytes(payload_));
  STANDPIPE_ASSERT(value.size() <= kGroupBytesMax, "group is too large");
  frames_.clear();
  payload_.clear();
  return value;
}

Result<GroupView> parse_group(std::string_view value) {
  STANDPIPE_TRY(ParsedHeader parsed, parse_header(value));
  GroupView& view = parsed.view;
  std::size_t payload_length = 0;
  for (const RunFrame& frame : view.frames) payload_length += frame.length;
  const std::size_t payload_at = value.size() - payload_length;
  view.payload = value.substr(payload_at);
  const ByteView payload = as_bytes(view.payload);
  if (crc32c(payload) != parsed.payload_checksum) {
    return group_error(Errc::corrupt, payload_at, "payload checksum does not match");
  }
  for (const RunFrame& frame : view.frames) {
    if (frame.length == 0) continue;  // erased
    if (pinned_header_size(payload.subspan(frame.offset, frame.length)) == 0) {
      return group_error(Errc::corrupt, payload_at + frame.offset,
                         "seq " + std::to_string(to_int(frame.seq)) +
                             " is not in the wire form: 82, unmasked, shortest length");
    }
  }
  return std::move(view);
}

Result<GroupView> parse_group_header(std::string_view value) {
  STANDPIPE_TRY(ParsedHeader parsed, parse_header(value));
  return std::move(parsed.view);
}

std::uint64_t wire_hash(std::string_view wire) { return XXH3_64bits(wire.data(), wire.size()); }

ChainDigest chain_digest(const ChainDigest& previous, Seq seq, std::string_view wire) {
  std::byte number[8];
  store_be(number, static_cast<std::uint64_t>(to_int(seq)));
  const ByteView parts[] = {previous, number, as_bytes(wire)};
  return sha256(parts);
}

}  // namespace standpipe::storage
