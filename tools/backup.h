// Backups: an archive copied into a directory of its own, and back. docs/format.md, "Backups".
//
//   BACKUP/current -> 0000000002      the newest whole copy: an archive like any other
//   BACKUP/0000000002/{db,witness}
//   BACKUP/0000000003.partial         one that was not finished; removed by the next
//
// Which copy counts is one symbolic link, exchanged by a rename once the new copy is durable and
// has been opened and checked: whatever happens before, the older one stands.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "schema/base/result.h"

namespace standpipe::tools {

struct BackupReport {
  std::filesystem::path copy;  // where it stands
  std::uint64_t tables = 0, tables_new = 0;
  std::uint64_t bytes = 0;         // of all files
  std::uint64_t bytes_copied = 0;  // the rest are hard links
};

// Called now and then: bytes done, of so many.
using CopyProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Makes BACKUP where there is none. An archive that a process holds is copied as it is when the
// holder is asked; one that nobody holds stays closed to writers meanwhile.
// Tables that the backup has already (by name, size and checksum) are hard links to those; others
// are hard links to the archive's where both lie on one file system, else copies, which are held
// against their checksums. All else is copied.
// busy: another backup of or to the directories is under way, or the holder cannot be asked.
// invalid: BACKUP holds something else, or a backup of another archive.
Result<BackupReport> back_up(const std::filesystem::path& data, const std::filesystem::path& backup,
                             const CopyProgress& progress);

// Copies the newest whole copy of BACKUP, or an archive that stands there, to `data`, which is
// empty, or does not exist. Nothing is linked: the two share no file. invalid: `data` is not empty.
Result<BackupReport> restore(const std::filesystem::path& backup, const std::filesystem::path& data,
                             const CopyProgress& progress);

}  // namespace standpipe::tools
