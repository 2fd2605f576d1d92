#include "schema/cid.h"

#include <algorithm>

#include "schema/varint.h"

namespace standpipe {

std::size_t measure_cid(ByteView bytes) {
  const ByteView window = bytes.first(std::min(bytes.size(), kCidBytesMax));
  const Varint version = peek_varint(window);
  if (version.length == 0 || version.value != 1) return 0;
  std::size_t position = version.length;
  Varint varint;
  for (int i = 0; i < 3; ++i) {  // codec, hash code, hash length
    varint = peek_varint(window.subspan(position));
    if (varint.length == 0) return 0;
    position += varint.length;
  }
  if (varint.value > window.size() - position) return 0;
  return position + static_cast<std::size_t>(varint.value);
}

}  // namespace standpipe
