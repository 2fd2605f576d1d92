#include "tools/play/frame_edit.h"

#include "schema/cbor.h"
#include "schema/frame.h"

namespace standpipe::tools::play {
namespace {

constexpr CborOptions kAnyCbor = {.profile = CborProfile::well_formed, .depth_max = kFrameDepthMax};

void write_header(CborWriter& writer, std::int64_t op, std::string_view type) {
  CborMapWriter header(writer, type.empty() ? 1 : 2);
  if (!type.empty()) {
    header.write_key("t");
    writer.write_text(type);
  }
  header.write_key("op");
  writer.write_integer(op);
}

void write_two_texts(CborWriter& writer, std::string_view key, std::string_view name,
                     std::string_view message) {
  CborMapWriter payload(writer, 2);
  payload.write_key(key);
  writer.write_text(name);
  payload.write_key("message");
  writer.write_text(message);
}

// Bytes of the first item; nullopt if there is none.
std::optional<std::size_t> header_bytes(ByteView frame) {
  const auto size = check_cbor(frame, kAnyCbor);
  if (!size) return std::nullopt;
  return *size;
}

}  // namespace

Bytes error_frame(std::string_view name, std::string_view message) {
  Bytes frame;
  CborWriter writer(frame);
  write_header(writer, -1, "");
  write_two_texts(writer, "error", name, message);
  return frame;
}

Bytes info_frame(std::string_view name, std::string_view message) {
  Bytes frame;
  CborWriter writer(frame);
  write_header(writer, 1, "#info");
  write_two_texts(writer, "name", name, message);
  return frame;
}

std::optional<Bytes> with_header(ByteView frame, std::int64_t op, std::string_view type) {
  const auto size = header_bytes(frame);
  if (!size) return std::nullopt;
  Bytes edited;
  CborWriter writer(edited);
  write_header(writer, op, type);
  writer.write_raw(frame.subspan(*size));
  return edited;
}

std::optional<Bytes> with_seq(ByteView frame, std::int64_t seq) {
  const auto size = header_bytes(frame);
  if (!size) return std::nullopt;
  CborReader payload(frame.subspan(*size), kAnyCbor);
  const auto pairs = payload.read_map();
  if (!pairs) return std::nullopt;
  for (std::uint64_t i = 0; i < *pairs; ++i) {
    const auto key = payload.read_text();
    if (!key) return std::nullopt;
    const std::size_t at = *size + payload.position();
    if (*key != "seq") {
      if (!payload.skip_item()) return std::nullopt;
      continue;
    }
    if (!payload.read_integer()) return std::nullopt;
    Bytes edited = to_bytes(frame.first(at));
    CborWriter writer(edited);
    writer.write_integer(seq);
    writer.write_raw(frame.subspan(*size + payload.position()));
    return edited;
  }
  return std::nullopt;
}

std::optional<Bytes> padded_to(ByteView frame, std::size_t size) {
  const Envelope envelope = scan_frame(frame).envelope;
  if (envelope.type.empty() || !envelope.seq || size < kPaddedMin) return std::nullopt;
  Bytes edited;
  edited.reserve(size);
  CborWriter writer(edited);
  write_header(writer, 1, envelope.type);
  CborMapWriter payload(writer, 2);
  payload.write_key("seq");  // first: whoever reads only the beginning can tell which frame it was
  writer.write_integer(to_int(*envelope.seq));
  payload.write_key("zeros");
  constexpr std::size_t kHeadBytes = 5;  // of a byte string of that length
  if (edited.size() + kHeadBytes > size) return std::nullopt;
  writer.write_bytes(Bytes(size - edited.size() - kHeadBytes));
  return edited;
}

std::string_view type_of(ByteView frame) { return scan_frame(frame).envelope.type; }

}  // namespace standpipe::tools::play
