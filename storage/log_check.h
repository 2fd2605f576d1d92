// Tells damage to what was acknowledged from the torn tail that a power cut leaves, by reading
// RocksDB's log and manifest before RocksDB does.
//
// RocksDB recovers up to the first record that it cannot read and drops the rest, without an error:
// one flipped byte there would silently lose batches that were synced and served. Every batch here
// is synced before the next begins, so at most the last one may be torn. Hence damage is:
//   - a record that cannot be read, and a batch that was begun after it;
//   - a jump in the batch sequence numbers, within a file or from one file to the next;
//   - a last record that is there in full and still fails its checksum: a torn write leaves sectors
//     missing or zero, it does not change bytes;
//   - a last record that would match its checksum if its length were another.
// What else cannot be read at the end is a torn tail: nobody was told that it was durable.
//
// Format read: RocksDB's log format (records in blocks of 32 KiB, CRC-32C each), as RocksDB 7 and 8
// write it with recycling and log compression off (storage/store.cc sees to that).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::storage {

// Checks that CURRENT is there if anything else is, and the manifest that it names. Reads only.
// A directory without a database is in order.
// corrupt: names file, byte offset and reason. io: a file could not be read.
Result<void> check_manifest(const std::filesystem::path& db_dir);

// RocksDB forgives a manifest that ends early, but not one whose unsynced end has lost a sector:
// cuts such an end off, durably. For whoever is about to write; anything else is left as it is.
Result<void> cut_torn_manifest(const std::filesystem::path& db_dir);

// Checks every *.log from number `first_live` on (Store::first_live_log); older ones are leftovers
// that RocksDB had not yet deleted, with holes between them. Reads only. Errors likewise.
Result<void> check_logs(const std::filesystem::path& db_dir, std::uint64_t first_live);

// The batches of a log that can be read whole, in their order, whatever lies between them: for
// repair, which takes what it can get. io: the file could not be read.
Result<std::vector<std::string>> read_batches(const std::filesystem::path& log);

// The *.log files from number `first_live` on, by number.
Result<std::vector<std::filesystem::path>> live_logs(const std::filesystem::path& db_dir,
                                                     std::uint64_t first_live);

}  // namespace standpipe::storage
