// parse_group on any bytes, and on the same bytes with their lengths and checksums put right, so
// that what is behind the checksums is reached. What parses is in the one form that the builder
// writes.
#include <algorithm>
#include <cstdint>
#include <string>

#include "schema/base/assert.h"
#include "schema/base/crc32c.h"
#include "storage/group.h"

namespace {

using namespace standpipe;
using namespace standpipe::storage;

void set_u32(std::string& value, std::size_t at, std::size_t number) {
  std::byte bytes[4];
  store_le(bytes, static_cast<std::uint32_t>(number));
  value.replace(at, 4, as_text(bytes));
}

// Magic, version, codec, flags, both lengths and both checksums as they must be.
std::string repaired(std::string value) {
  constexpr std::size_t kHeaderMin = 60;
  value.resize(std::max(value.size(), kHeaderMin));
  const std::size_t announced = load_le<std::uint32_t>(as_bytes(value).data() + 8);
  const std::size_t length = kHeaderMin + announced % (value.size() - kHeaderMin + 1);
  value.replace(0, 8, std::string("SPGR\x01\x00\x00\x00", 8));
  set_u32(value, 8, length);
  set_u32(value, 48, value.size() - length);
  set_u32(value, 52, crc32c(as_bytes(value).subspan(length)));
  set_u32(value, length - 4, crc32c(as_bytes(value).first(length - 4)));
  return value;
}

void check(const std::string& value) {
  const auto header = parse_group_header(value);
  const auto group = parse_group(value);
  STANDPIPE_ASSERT(header.has_value() || !group.has_value(), "the whole parses, its header not");
  if (!group) return;
  STANDPIPE_ASSERT(header->frames.size() == group->frames.size(), "header and whole disagree");
  GroupBuilder builder;
  for (const RunFrame& frame : group->frames) {
    builder.add(frame.seq, group->payload.substr(frame.offset, frame.length), frame.hash);
  }
  STANDPIPE_ASSERT(builder.finish(group->times, group->sections) == value,
                   "a group in a form that the builder does not write");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string value(reinterpret_cast<const char*>(bytes), size);
  check(value);
  check(repaired(value));
  return 0;
}
