// The files of an archive that nobody writes to, copied or linked one by one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::tools {

// Tables of an archive by name.
using TableMap = std::map<std::string, storage::Archive::TableFile, std::less<>>;

struct CopyPlan {
  const storage::Archive* source = nullptr;  // opened read-only; not ours
  std::filesystem::path target;  // an empty directory: gets db/, witness and archive.lock
  // Tables that need not be copied again, and where they lie; empty: there are none.
  TableMap known;
  std::filesystem::path known_db;
  bool links_source = false;  // where the file system allows it
};

struct CopyTotals {
  std::uint64_t tables = 0, tables_new = 0;  // new: not `known`
  std::uint64_t bytes = 0, bytes_copied = 0;
};

// All is durable on return, the names in `target` included. corrupt: a table that is not what its
// checksum says, by name. `progress`: bytes done, of so many.
Result<CopyTotals> copy_archive(const CopyPlan& plan,
                                const std::function<void(std::uint64_t, std::uint64_t)>& progress);

TableMap tables_of(const storage::Archive& archive);
Result<void> sync_path(const std::filesystem::path& path);  // fsync of a file or a directory
Error path_error(std::string_view doing, const std::filesystem::path& path, int error_number);

}  // namespace standpipe::tools
