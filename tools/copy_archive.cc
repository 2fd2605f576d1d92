#include "tools/copy_archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/crc32c.h"
#include "storage/lock.h"

namespace standpipe::tools {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = 1 << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

class Copier {
 public:
  Copier(const CopyPlan& plan, const std::function<void(std::uint64_t, std::uint64_t)>& progress)
      : plan_(plan), progress_(progress), from_(plan.source->directory()) {}

  Result<CopyTotals> run() {
    const fs::path db = plan_.target / "db";
    if (::mkdir(db.c_str(), 0777) != 0) return path_error("create", db, errno);
    const TableMap tables = tables_of(*plan_.source);
    for (const auto& [name, table] : tables) bytes_total_ += table.bytes;
    std::error_code failed;
    for (fs::directory_iterator entry(from_ / "db", failed), end; !failed && entry != end;
         entry.increment(failed)) {
      const std::string name = entry->path().filename().string();
      // Tables that are not in use wait to be deleted; the lock is of the process that has it.
      if (name == "LOCK" || entry->path().extension() == ".sst") continue;
      STANDPIPE_CHECK(copy(entry->path(), db / name, {}));
    }
    if (failed) return path_error("read", from_ / "db", failed.value());
    for (const auto& [name, table] : tables) STANDPIPE_CHECK(take_table(table, db / name));
    STANDPIPE_CHECK(copy(from_ / "witness", plan_.target / "witness", {}));
    // Who reads an archive does not make the file that it locks.
    STANDPIPE_CHECK(storage::DirectoryLock::acquire(plan_.target, storage::Access::write));
    STANDPIPE_CHECK(sync_path(db));
    STANDPIPE_CHECK(sync_path(plan_.target));
    return totals_;
  }

 private:
  Result<void> take_table(const storage::Archive::TableFile& table, const fs::path& to) {
    ++totals_.tables;
    const auto known = plan_.known.find(table.name);
    const bool is_known = known != plan_.known.end() && known->second.bytes == table.bytes &&
                          !table.checksum.empty() && known->second.checksum == table.checksum;
    if (is_known && link(plan_.known_db / table.name, to)) return note_linked(table.bytes);
    ++totals_.tables_new;
    const fs::path from = from_ / "db" / table.name;
    if (plan_.links_source && link(from, to)) return note_linked(table.bytes);
    return copy(from, to, table.checksum);
  }

  // False where it cannot be linked: then it is copied.
  static bool link(const fs::path& from, const fs::path& to) {
    return ::link(from.c_str(), to.c_str()) == 0;
  }

  Result<void> note_linked(std::uint64_t bytes) {
    totals_.bytes += bytes;
    tell();
    return {};
  }

  Result<void> copy(const fs::path& from, const fs::path& to, std::string_view checksum) {
    const Descriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
    if (in.get() < 0) return path_error("open", from, errno);
    const Descriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (out.get() < 0) return path_error("create", to, errno);
    std::uint32_t crc = 0;
    for (;;) {
      const ssize_t got = ::read(in.get(), buffer_.data(), buffer_.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return path_error("read", from, errno);
      if (got == 0) break;
      const ByteView part = ByteView(buffer_).first(static_cast<std::size_t>(got));
      crc = crc32c(part, crc);
      STANDPIPE_CHECK(write_all(out.get(), part, to));
      totals_.bytes += part.size();
      totals_.bytes_copied += part.size();
      tell();
    }
    if (!checksum.empty() && checksum != checksum_text(crc)) {
      return Error{Errc::corrupt,
                   fmt::format("{} is not what was written: its checksum differs", from.string())};
    }
    if (::fsync(out.get()) != 0) return path_error("sync", to, errno);
    return {};
  }

  static Result<void> write_all(int fd, ByteView bytes, const fs::path& path) {
    while (!bytes.empty()) {
      const ssize_t put = ::write(fd, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return path_error("write", path, errno);
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
  }

  static std::string checksum_text(std::uint32_t crc) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>((crc >> shift) & 0xFFU);
    return text;
  }

  void tell() const {
    if (progress_) progress_(totals_.bytes, std::max(bytes_total_, totals_.bytes));
  }

  const CopyPlan& plan_;
  const std::function<void(std::uint64_t, std::uint64_t)>& progress_;
  const fs::path from_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kBufferBytes);
  std::uint64_t bytes_total_ = 0;
  CopyTotals totals_;
};

}  // namespace

Result<CopyTotals> copy_archive(const CopyPlan& plan,
                                const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  return Copier(plan, progress).run();
}

TableMap tables_of(const storage::Archive& archive) {
  TableMap tables;
  for (storage::Archive::TableFile& file : archive.table_files()) {
    std::string name = file.name;
    tables.emplace(std::move(name), std::move(file));
  }
  return tables;
}

Result<void> sync_path(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0 || ::fsync(file.get()) != 0) return path_error("sync", path, errno);
  return {};
}

Error path_error(std::string_view doing, const fs::path& path, int error_number) {
  return Error{error_number == ENOSPC ? Errc::limit : Errc::io,
               fmt::format("cannot {} {}: {}", doing, path.string(), std::strerror(error_number))};
}

}  // namespace standpipe::tools
