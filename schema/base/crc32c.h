// CRC-32C (Castagnoli), the checksum of iSCSI, ext4 and RocksDB. Finds damage, not malice.
#pragma once

#include <cstdint>

#include "schema/base/bytes.h"

namespace standpipe {

// `previous`: the checksum of what came before, to go on from there: for any split of `ab`,
// crc32c(b, crc32c(a)) == crc32c(ab). Any thread. Uses the processor's instruction where it has
// one.
std::uint32_t crc32c(ByteView bytes, std::uint32_t previous = 0);

// The same by table, on any processor. Public so that the tests can hold one against the other.
std::uint32_t crc32c_portable(ByteView bytes, std::uint32_t previous = 0);

}  // namespace standpipe
