// The real file system, but nothing waits for the disk: what a synced write costs is the
// difference.
//
// Survives the end of the process, as the kernel has the bytes; does not survive a power cut.
#pragma once

#include <memory>

#include "storage/options.h"

namespace standpipe::test {

// For ArchiveOptions::env. The caller keeps it for as long as the archive.
std::shared_ptr<rocksdb::Env> make_unsynced_env();

}  // namespace standpipe::test
