#include "schema/car.h"

#include <string>

#include "schema/cbor.h"
#include "schema/varint.h"

namespace standpipe {
namespace {

Error error_at(Errc code, std::size_t at, const std::string& why) {
  return {code, "CAR at byte " + std::to_string(at) + ": " + why};
}

std::string over(const char* what, std::size_t value, std::size_t max) {
  return std::string(what) + " (" + std::to_string(value) + ", allowed " + std::to_string(max) +
         ")";
}

// Other software writes headers that are not canonical, and lets other keys stand in them.
constexpr CborOptions kHeaderCbor{.profile = CborProfile::lenient, .depth_max = 8};

}  // namespace

Result<CarReader> CarReader::open(ByteView car, const CarOptions& options) {
  CarReader reader(car, options);
  STANDPIPE_CHECK(reader.read_header());
  return reader;
}

Result<void> CarReader::read_header() {
  const Varint length = peek_varint(car_);
  if (length.length == 0) return error_at(Errc::malformed, 0, "no length of a header");
  if (length.value > options_.header_bytes_max) {
    return error_at(Errc::limit, 0,
                    over("header too long", length.value, options_.header_bytes_max));
  }
  if (length.value > car_.size() - length.length) {
    return error_at(Errc::malformed, 0, "header is cut off");
  }
  const ByteView header = car_.subspan(length.length, static_cast<std::size_t>(length.value));
  STANDPIPE_TRY(const std::size_t checked, check_cbor(header, kHeaderCbor));
  if (checked != header.size()) return error_at(Errc::malformed, 0, "header holds two items");
  CborReader reader(header, kHeaderCbor);
  STANDPIPE_TRY(const std::uint64_t pairs, reader.read_map());
  std::optional<std::int64_t> version;
  bool has_roots = false;
  for (std::uint64_t i = 0; i < pairs; ++i) {
    STANDPIPE_TRY(const std::string_view key, reader.read_text());
    if (key == "version") {
      STANDPIPE_TRY(version, reader.read_integer());
    } else if (key == "roots") {
      STANDPIPE_TRY(const std::uint64_t count, reader.read_array());
      if (count > options_.roots_max) {
        return error_at(Errc::limit, 0, over("too many roots", count, options_.roots_max));
      }
      for (std::uint64_t root = 0; root < count; ++root) {
        STANDPIPE_TRY(const ByteView cid, reader.read_link());
        roots_.push_back(cid);
      }
      has_roots = true;
    } else {
      STANDPIPE_CHECK(reader.skip_item());
    }
  }
  if (!version) return error_at(Errc::malformed, 0, "header has no version");
  if (*version != 1) {
    return error_at(Errc::unsupported, 0, "version " + std::to_string(*version) + ", not 1");
  }
  if (!has_roots) return error_at(Errc::malformed, 0, "header has no roots");
  position_ = length.length + header.size();
  return {};
}

Result<std::optional<CarBlock>> CarReader::next() {
  if (position_ == car_.size()) return std::optional<CarBlock>();
  const std::size_t at = position_;
  if (blocks_read_ == options_.blocks_max) {
    return error_at(Errc::limit, at, "more blocks than " + std::to_string(options_.blocks_max));
  }
  const Varint length = peek_varint(car_.subspan(at));
  if (length.length == 0) return error_at(Errc::malformed, at, "no length of a section");
  const std::size_t section_bytes_max = options_.block_bytes_max + kCidBytesMax;
  if (length.value > section_bytes_max) {
    return error_at(Errc::limit, at, over("section too long", length.value, section_bytes_max));
  }
  if (length.value > car_.size() - at - length.length) {
    return error_at(Errc::malformed, at, "section is cut off");
  }
  const ByteView section = car_.subspan(at + length.length, static_cast<std::size_t>(length.value));
  const std::size_t cid_bytes = measure_cid(section);
  if (cid_bytes == 0) return error_at(Errc::malformed, at, "section does not begin with a CIDv1");
  const CarBlock block{section.first(cid_bytes), section.subspan(cid_bytes), at};
  if (block.bytes.size() > options_.block_bytes_max) {
    return error_at(Errc::limit, at,
                    over("block too long", block.bytes.size(), options_.block_bytes_max));
  }
  if (options_.checks_hashes && check_block_hash(block.cid, block.bytes) == HashCheck::mismatch) {
    return error_at(Errc::malformed, at,
                    "block does not have the hash of its CID " + cid_to_string(block.cid));
  }
  position_ = at + length.length + section.size();
  ++blocks_read_;
  return std::optional<CarBlock>(block);
}

CarWriter::CarWriter(Bytes& out, const std::vector<ByteView>& roots) : out_(&out) {
  Bytes header;
  CborWriter cbor(header);
  cbor.write_map(2);
  cbor.write_text("roots");
  cbor.write_array(roots.size());
  for (const ByteView root : roots) cbor.write_link(root);
  cbor.write_text("version");
  cbor.write_integer(1);
  append_varint(*out_, header.size());
  out_->insert(out_->end(), header.begin(), header.end());
}

void CarWriter::write_block(ByteView cid, ByteView bytes) {
  STANDPIPE_ASSERT(measure_cid(cid) == cid.size() && !cid.empty(), "not a binary CID");
  append_varint(*out_, cid.size() + bytes.size());
  out_->insert(out_->end(), cid.begin(), cid.end());
  out_->insert(out_->end(), bytes.begin(), bytes.end());
}

}  // namespace standpipe
