// The row parsers on any bytes, and on rows whose version and checksum are right. The first byte
// picks the row. What parses is in the one form that its encoder writes.
#include <cstdint>
#include <string>

#include "schema/base/assert.h"
#include "schema/base/crc32c.h"
#include "storage/rows.h"

namespace {

using namespace standpipe;
using namespace standpipe::storage;

template <typename T>
void check(Result<T> (*parse)(std::string_view), std::string (*encode)(const T&),
           const std::string& value) {
  const Result<T> row = parse(value);
  if (row) STANDPIPE_ASSERT(encode(*row) == value, "a row in a form that is not written");
}

void check_row(unsigned which, const std::string& value) {
  switch (which % 11) {
    case 0:
      // The row of a newer archive is read as far as it is known.
      if (const auto row = parse_format_row(value); row && row->version <= kFormatVersion) {
        STANDPIPE_ASSERT(encode_format_row(*row) == value, "a row in a form that is not written");
      }
      break;
    case 1:
      return check(parse_counters_row, encode_counters_row, value);
    case 2:
      return check(parse_stream_row, encode_stream_row, value);
    case 3:
      return check(parse_epoch_row, encode_epoch_row, value);
    case 4:
      return check(parse_head_row, encode_head_row, value);
    case 5:
      return check(parse_partition_row, encode_partition_row, value);
    case 6:
      return check(parse_gap_row, encode_gap_row, value);
    case 7:
      return check(parse_note_row, encode_note_row, value);
    case 8:
      return check(parse_quarantine_row, encode_quarantine_row, value);
    case 9:
      return check(parse_self_description, encode_self_description, value);
    default:
      if (const auto key = parse_group_key(value)) {
        STANDPIPE_ASSERT(group_key(key->partition, key->first) == value, "another key");
      }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size == 0) return 0;
  const std::string value(reinterpret_cast<const char*>(bytes + 1), size - 1);
  check_row(bytes[0], value);
  std::string row = "\x01" + value;
  std::byte checksum[4];
  store_le(checksum, crc32c(as_bytes(row)));
  check_row(bytes[0], row + std::string(as_text(checksum)));
  return 0;
}
