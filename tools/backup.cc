#include "tools/backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/archive.h"
#include "tools/control_routes.h"
#include "tools/copy_archive.h"

namespace standpipe::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCurrent = "current";
constexpr std::string_view kPartial = ".partial";
constexpr std::string_view kLock = "backup.lock";
constexpr std::string_view kRestoring = "restore.partial";

// Held until destroyed, or until the process ends, however it ends.
class FileLock {
 public:
  static Result<FileLock> acquire(const fs::path& path, std::string_view what) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return path_error("open", path, errno);
    FileLock lock(fd);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
    return Error{Errc::busy, fmt::format("another backup {} is under way", what)};
  }
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock() {
    if (fd_ >= 0) ::close(fd_);
  }

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

Result<std::unique_ptr<storage::Archive>> open_read_only(const fs::path& dir) {
  storage::ArchiveOptions options;
  options.access = storage::Access::read_only;
  options.create_if_missing = false;
  return storage::Archive::open(dir, options);
}

// An archive that can be copied from: the archive itself while nobody holds it, else a checkpoint
// that its holder has made of it.
class Source {
 public:
  static Result<Source> open(const fs::path& data) {
    auto archive = open_read_only(data);
    if (archive) return Source(std::move(*archive), {});
    if (archive.error().code != Errc::busy) return archive.error();
    // Its links are for one backup at a time: the next would take them away.
    STANDPIPE_TRY(FileLock lock,
                  FileLock::acquire(data / kLock, fmt::format("of {}", data.string())));
    auto made = call_make_checkpoint(data);
    if (!made) {
      if (made.error().code != Errc::not_found) return made.error();
      return Error{Errc::busy, fmt::format("{}, and it cannot be asked: {}", archive.error().detail,
                                           made.error().detail)};
    }
    Source source({}, data);
    source.lock_ = std::make_unique<FileLock>(std::move(lock));
    STANDPIPE_TRY(source.archive_, open_read_only(*made));
    return source;
  }
  Source(Source&&) noexcept = default;
  Source& operator=(Source&&) = delete;
  ~Source() {
    archive_.reset();
    // If nobody answers any more, the next start removes it.
    if (lock_ == nullptr) return;
    [[maybe_unused]] const Result<void> removed = call_remove_checkpoint(data_);
  }
  const storage::Archive& archive() const { return *archive_; }

 private:
  Source(std::unique_ptr<storage::Archive> archive, fs::path data)
      : archive_(std::move(archive)), data_(std::move(data)) {}

  std::unique_ptr<storage::Archive> archive_;
  fs::path data_;                   // of the holder, where there is one
  std::unique_ptr<FileLock> lock_;  // likewise
};

// The number of "0000000002"; nullopt for any other name.
std::optional<std::uint64_t> number_of(std::string_view name) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.size() != 10 || parsed.ec != std::errc() || parsed.ptr != name.data() + name.size()) {
    return std::nullopt;
  }
  return number;
}

// What lies in a backup directory.
struct Shelf {
  std::vector<fs::path> copies;      // whole ones and others, by number
  std::vector<fs::path> unfinished;  // left by one that was broken off
  std::uint64_t number_max = 0;
};

Result<Shelf> look_at(const fs::path& backup) {
  Shelf shelf;
  std::error_code failed;
  for (fs::directory_iterator entry(backup, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (name == kCurrent || name == kLock || name == "lost+found") continue;
    if (name == std::string(kCurrent) + std::string(kPartial)) {
      shelf.unfinished.push_back(entry->path());
      continue;
    }
    const bool is_partial = std::string_view(name).ends_with(kPartial);
    const auto number = number_of(
        std::string_view(name).substr(0, name.size() - (is_partial ? kPartial.size() : 0)));
    if (!number) {
      return Error{Errc::invalid, fmt::format("{} holds {}: a backup wants a directory of its own",
                                              backup.string(), name)};
    }
    shelf.number_max = std::max(shelf.number_max, *number);
    (is_partial ? shelf.unfinished : shelf.copies).push_back(entry->path());
  }
  if (failed) return path_error("read", backup, failed.value());
  return shelf;
}

Result<void> remove_tree(const fs::path& path) {
  std::error_code failed;
  fs::remove_all(path, failed);
  if (failed) return path_error("remove", path, failed.value());
  return {};
}

Result<void> make_directory(const fs::path& path) {
  std::error_code failed;
  fs::create_directories(path, failed);
  if (failed) return path_error("create", path, failed.value());
  return {};
}

Result<void> rename_path(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return path_error("rename", from, errno);
  return {};
}

// From here on `copy` is what counts.
Result<void> make_current(const fs::path& backup, const fs::path& copy) {
  const fs::path link = backup / (std::string(kCurrent) + std::string(kPartial));
  if (::symlink(copy.filename().c_str(), link.c_str()) != 0) {
    return path_error("create", link, errno);
  }
  STANDPIPE_CHECK(rename_path(link, backup / kCurrent));
  return sync_path(backup);
}

BackupReport report_of(const fs::path& copy, const CopyTotals& totals) {
  return {copy, totals.tables, totals.tables_new, totals.bytes, totals.bytes_copied};
}

}  // namespace

Result<BackupReport> back_up(const fs::path& data, const fs::path& backup,
                             const CopyProgress& progress) {
  STANDPIPE_TRY(const Source source, Source::open(data));
  STANDPIPE_CHECK(make_directory(backup));
  STANDPIPE_CHECK(look_at(backup));  // what is somebody else's is not even locked
  STANDPIPE_TRY(const FileLock lock,
                FileLock::acquire(backup / kLock, fmt::format("to {}", backup.string())));
  STANDPIPE_TRY(const Shelf shelf, look_at(backup));
  CopyPlan plan;
  plan.source = &source.archive();
  plan.links_source = true;
  std::unique_ptr<storage::Archive> before;
  if (fs::exists(backup / kCurrent)) {
    STANDPIPE_TRY(before, open_read_only(backup / kCurrent));
    if (before->unique_id() != source.archive().unique_id()) {
      return Error{Errc::invalid, fmt::format("{} is a backup of another archive: choose another "
                                              "directory, or empty it",
                                              backup.string())};
    }
    plan.known = tables_of(*before);
    plan.known_db = backup / kCurrent / "db";
  }
  for (const fs::path& path : shelf.unfinished) STANDPIPE_CHECK(remove_tree(path));
  const fs::path copy = backup / fmt::format("{:010}", shelf.number_max + 1);
  plan.target = copy.string() + std::string(kPartial);
  STANDPIPE_CHECK(make_directory(plan.target));
  STANDPIPE_TRY(const CopyTotals totals, copy_archive(plan, progress));
  // All that opening looks at: logs, directory, families, witness.
  STANDPIPE_CHECK(open_read_only(plan.target));
  STANDPIPE_CHECK(rename_path(plan.target, copy));
  STANDPIPE_CHECK(sync_path(backup));
  STANDPIPE_CHECK(make_current(backup, copy));
  before.reset();
  for (const fs::path& path : shelf.copies) STANDPIPE_CHECK(remove_tree(path));
  return report_of(copy, totals);
}

Result<BackupReport> restore(const fs::path& backup, const fs::path& data,
                             const CopyProgress& progress) {
  fs::path from = backup;
  std::optional<FileLock> lock;  // the next backup would take the copy away
  if (fs::exists(backup / kCurrent)) {
    from = backup / kCurrent;
    STANDPIPE_TRY(FileLock taken,
                  FileLock::acquire(backup / kLock, fmt::format("to {}", backup.string())));
    lock.emplace(std::move(taken));
  }
  STANDPIPE_TRY(const auto source, open_read_only(from));
  STANDPIPE_CHECK(make_directory(data));
  std::error_code failed;
  for (fs::directory_iterator entry(data, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (name == kRestoring || name == "lost+found") continue;
    return Error{Errc::invalid, fmt::format("{} is not empty: it holds {}", data.string(), name)};
  }
  if (failed) return path_error("read", data, failed.value());
  CopyPlan plan;
  plan.source = source.get();
  plan.target = data / kRestoring;
  STANDPIPE_CHECK(remove_tree(plan.target));
  STANDPIPE_CHECK(make_directory(plan.target));
  STANDPIPE_TRY(const CopyTotals totals, copy_archive(plan, progress));
  STANDPIPE_CHECK(open_read_only(plan.target));
  // The database first, as a whole: an archive may lack its witness, not the other way round.
  STANDPIPE_CHECK(rename_path(plan.target / "db", data / "db"));
  STANDPIPE_CHECK(rename_path(plan.target / "witness", data / "witness"));
  STANDPIPE_CHECK(rename_path(plan.target / "archive.lock", data / "archive.lock"));
  STANDPIPE_CHECK(remove_tree(plan.target));
  STANDPIPE_CHECK(sync_path(data));
  return report_of(data, totals);
}

}  // namespace standpipe::tools
