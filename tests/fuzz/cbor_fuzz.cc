// CBOR: the checker, the reader and the two encodings must agree with one another on any input.
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "schema/base/assert.h"
#include "schema/cbor.h"
#include "schema/cbor_json.h"

namespace standpipe {
namespace {

constexpr CborProfile kProfiles[] = {CborProfile::strict, CborProfile::lenient,
                                     CborProfile::well_formed};

// Reads one item by the reader alone. `depth` is what check_cbor has allowed.
void read_item(CborReader& reader, CborWriter& writer) {
  switch (reader.peek_kind().value()) {
    case CborKind::unsigned_integer:
    case CborKind::negative_integer:
      return writer.write_integer(reader.read_integer().value());
    case CborKind::bytes:
      return writer.write_bytes(reader.read_bytes().value());
    case CborKind::text:
      return writer.write_text(reader.read_text().value());
    case CborKind::array: {
      const std::uint64_t entries = reader.read_array().value();
      writer.write_array(entries);
      for (std::uint64_t i = 0; i < entries; ++i) read_item(reader, writer);
      return;
    }
    case CborKind::map: {
      const std::uint64_t pairs = reader.read_map().value();
      writer.write_map(pairs);
      for (std::uint64_t i = 0; i < 2 * pairs; ++i) read_item(reader, writer);
      return;
    }
    case CborKind::link:
      return writer.write_link(reader.read_link().value());
    case CborKind::boolean:
      return writer.write_boolean(reader.read_boolean().value());
    case CborKind::null:
      STANDPIPE_ASSERT(reader.read_null().has_value(), "null was peeked");
      return writer.write_null();
    case CborKind::tag:
    case CborKind::floating:
    case CborKind::other:
      break;
  }
  STANDPIPE_ASSERT(false, "strict lets through a kind that it should not");
}

// What is strict has one encoding: reading and writing it again gives the same bytes.
void check_strict(ByteView item) {
  const CborOptions options{.depth_max = kCborDepthLimit};
  Bytes written;
  CborReader reader(item, options);
  CborWriter writer(written);
  read_item(reader, writer);
  STANDPIPE_ASSERT(reader.at_end(), "the reader stops before the checker");
  STANDPIPE_ASSERT(equal(written, item), "strict CBOR is written differently");
  const auto json = cbor_to_json(item, options);
  STANDPIPE_ASSERT(json.has_value(), "strict CBOR has a JSON form");
  const auto back = json_to_cbor(*json, options);
  if (!back) return;  // not a record: no object at the top, "$type": 1, a map that has "$link"
  // A map {"$link": "bafy..."} is no link, but its JSON cannot say so.
  const auto again = cbor_to_json(*back, options);
  STANDPIPE_ASSERT(again.has_value() && *again == *json, "JSON changes on its way");
  if (back->size() == item.size()) {
    STANDPIPE_ASSERT(equal(*back, item), "JSON is encoded differently");
  }
}

void check_one(ByteView bytes) {
  bool is_accepted = false;
  for (const CborProfile profile : kProfiles) {
    const CborOptions options{.profile = profile, .depth_max = kCborDepthLimit};
    const auto length = check_cbor(bytes, options);
    CborReader reader(bytes, options);
    const auto skipped = reader.skip_item();
    STANDPIPE_ASSERT(length.has_value() == skipped.has_value(), "checker and reader disagree");
    STANDPIPE_ASSERT(!is_accepted || length.has_value(), "a stricter profile accepts more");
    if (!length) continue;
    is_accepted = true;
    STANDPIPE_ASSERT(*length > 0 && *length <= bytes.size(), "length outside of the input");
    STANDPIPE_ASSERT(*length == reader.position(), "checker and reader disagree on the length");
    if (profile == CborProfile::strict) check_strict(bytes.first(*length));
    if (profile == CborProfile::lenient) (void)cbor_to_json(bytes.first(*length), options);
  }
}

// No prefix of an item is an item.
void check_prefixes(ByteView bytes) {
  const CborOptions options{.profile = CborProfile::well_formed, .depth_max = kCborDepthLimit};
  const auto length = check_cbor(bytes, options);
  if (!length) return;
  const std::size_t step = *length / 64 + 1;
  for (std::size_t size = 0; size < *length; size += step) {
    STANDPIPE_ASSERT(!check_cbor(bytes.first(size), options).has_value(), "half an item accepted");
  }
}

}  // namespace
}  // namespace standpipe

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const standpipe::ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
  standpipe::check_one(bytes);
  standpipe::check_prefixes(bytes);
  return 0;
}
