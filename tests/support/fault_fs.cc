#include "tests/support/fault_fs.h"

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <mutex>
#include <utility>

#include "schema/base/assert.h"
#include "tests/support/disk_model.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 40;

std::string_view to_string(DiskOperation operation) {
  switch (operation) {
    case DiskOperation::create:
      return "create";
    case DiskOperation::append:
      return "append";
    case DiskOperation::truncate:
      return "truncate";
    case DiskOperation::sync_file:
      return "sync";
    case DiskOperation::close:
      return "close";
    case DiskOperation::rename:
      return "rename";
    case DiskOperation::link:
      return "link";
    case DiskOperation::remove:
      return "remove";
    case DiskOperation::make_directory:
      return "mkdir";
    case DiskOperation::remove_directory:
      return "rmdir";
    case DiskOperation::sync_directory:
      return "sync directory";
  }
  return "?";
}

fs::path normal(const std::string& path) {
  fs::path out = fs::path(path).lexically_normal();
  return out.has_filename() ? out : out.parent_path();  // no slash at the end
}

IOStatus no_space(const fs::path& path) {
  IOStatus status = IOStatus::NoSpace("No space left on device (injected)", path.string());
  status.SetRetryable(true);  // as RocksDB marks ENOSPC
  return status;
}

// Runs a change of names; what std::filesystem throws becomes a status.
template <typename Change>
IOStatus guarded(Change&& change) {
  try {
    change();
    return IOStatus::OK();
  } catch (const fs::filesystem_error& error) {
    if (error.code() == std::errc::no_such_file_or_directory) {
      return IOStatus::PathNotFound(error.what());
    }
    return IOStatus::IOError(error.what());
  }
}

// An operation that is told by what it is, not by its number.
struct Awaited {
  DiskOperation operation{};
  std::string name_end;
  bool is(DiskOperation done, const fs::path& path) const {
    return done == operation && path.native().ends_with(name_end);
  }
};

}  // namespace

std::string to_string(const DiskStep& step) {
  std::string out(to_string(step.operation));
  out += " " + step.path;
  if (step.operation == DiskOperation::append || step.operation == DiskOperation::truncate) {
    out += " " + std::to_string(step.bytes);
  }
  return out;
}

// The state that all open files share.
class FaultFs::Disk {
 public:
  explicit Disk(const fs::path& root)
      : root_(normal(root.string())), model_(root_, root_.string() + ".aside") {}

  bool covers(const fs::path& path) const { return model_.covers(path) && !is_info_log(path); }
  bool covers_directory(const fs::path& path) const { return path == root_ || covers(path); }

  // Counts the step and decides whether it happens. `whole` does all of it, `part` what remains of
  // it where it is to be done in part, `none` what even a failure without effect does.
  template <typename Whole, typename Part, typename None>
  IOStatus step(DiskOperation operation, const fs::path& path, std::uint64_t bytes, Whole&& whole,
                Part&& part, None&& none) {
    const std::lock_guard lock(mutex);
    if (is_cut) return gone();
    trace.push_back({operation, path.lexically_relative(root_).string(), bytes});
    if (cut_at_next && cut_at_next->is(operation, path)) {
      cut_at = trace.size();
      cut_at_next.reset();
    }
    if (cut_at != 0 && trace.size() >= cut_at) {
      is_cut = true;
      return gone();
    }
    if (fail_next && fail_next->is(operation, path)) {
      fail_at = trace.size();
      fail_next.reset();
    }
    if (fail_at == 0 || trace.size() != fail_at) return whole();
    switch (fault.effect) {
      case Fault::Effect::none:
        none();
        break;
      case Fault::Effect::part:
        part();
        break;
      case Fault::Effect::whole: {
        const IOStatus status = whole();
        if (!status.ok()) return status;
        break;
      }
    }
    return fault.kind == Fault::Kind::no_space ? no_space(path)
                                               : IOStatus::IOError("injected", path.string());
  }
  template <typename Whole>
  IOStatus step(DiskOperation operation, const fs::path& path, Whole&& whole) {
    const auto nothing = [] {};
    return step(operation, path, 0, std::forward<Whole>(whole), nothing, nothing);
  }

  static IOStatus gone() { return IOStatus::IOError("the power is off"); }

 private:
  const fs::path root_;

 public:
  mutable std::mutex mutex;  // guards everything below
  DiskModel& model() { return model_; }
  std::uint64_t free_bytes() const {
    if (!capacity) return kUnlimited;
    const std::uint64_t used = model_.used_bytes();
    return *capacity > used ? *capacity - used : 0;
  }
  std::vector<DiskStep> trace;
  std::uint64_t cut_at = 0;
  std::optional<Awaited> cut_at_next;
  bool is_cut = false;
  std::uint64_t fail_at = 0;
  std::optional<Awaited> fail_next;
  Fault fault;  // of either
  std::optional<std::uint64_t> capacity;

 private:
  DiskModel model_;
};

class FaultFs::File final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(std::unique_ptr<rocksdb::FSWritableFile> real, std::shared_ptr<Disk> disk, fs::path path,
       DiskModel::FileId id)
      : FSWritableFileOwnerWrapper(std::move(real)),
        disk_(std::move(disk)),
        path_(std::move(path)),
        id_(id) {}

  IOStatus Append(const Slice& bytes, const IOOptions& options, IODebugContext* dbg) override {
    const auto write = [&](std::size_t size) {
      const IOStatus status = target()->Append(Slice(bytes.data(), size), options, dbg);
      if (status.ok()) disk_->model().appended(id_, size);
      return status;
    };
    const auto whole = [&] {
      const std::uint64_t room = disk_->free_bytes();
      if (bytes.size() <= room) return write(bytes.size());
      const IOStatus status = write(static_cast<std::size_t>(room));
      return status.ok() ? no_space(path_) : status;
    };
    const auto part = [&] { write(bytes.size() / 2).PermitUncheckedError(); };
    return disk_->step(DiskOperation::append, path_, bytes.size(), whole, part, [] {});
  }
  IOStatus Append(const Slice& bytes, const IOOptions& options,
                  const rocksdb::DataVerificationInfo&, IODebugContext* dbg) override {
    return Append(bytes, options, dbg);
  }
  IOStatus PositionedAppend(const Slice&, std::uint64_t, const IOOptions&,
                            IODebugContext*) override {
    return IOStatus::NotSupported("direct I/O is not modelled");
  }
  IOStatus PositionedAppend(const Slice&, std::uint64_t, const IOOptions&,
                            const rocksdb::DataVerificationInfo&, IODebugContext*) override {
    return IOStatus::NotSupported("direct I/O is not modelled");
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* dbg) override {
    const auto whole = [&] {
      disk_->model().resizing(id_, size);
      return target()->Truncate(size, options, dbg);
    };
    const auto nothing = [] {};
    return disk_->step(DiskOperation::truncate, path_, size, whole, nothing, nothing);
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override {
    const auto whole = [&] {
      disk_->model().synced(id_);
      return IOStatus::OK();
    };
    const auto lose = [&] { disk_->model().sync_failed(id_); };
    return disk_->step(DiskOperation::sync_file, path_, 0, whole, lose, lose);
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* dbg) override {
    return Sync(options, dbg);
  }
  // sync_file_range starts writing and promises nothing: neither the size nor the disk's cache.
  IOStatus RangeSync(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }
  IOStatus Close(const IOOptions& options, IODebugContext* dbg) override {
    return disk_->step(DiskOperation::close, path_, [&] { return target()->Close(options, dbg); });
  }
  // Preallocation changes neither bytes nor size.
  void PrepareWrite(std::size_t, std::size_t, const IOOptions&, IODebugContext*) override {}
  IOStatus Allocate(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

 private:
  const std::shared_ptr<Disk> disk_;
  const fs::path path_;
  const DiskModel::FileId id_;
};

class FaultFs::Directory final : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory> real, std::shared_ptr<Disk> disk, fs::path path)
      : FSDirectoryWrapper(std::move(real)), disk_(std::move(disk)), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    return disk_->step(DiskOperation::sync_directory, path_, [&] {
      disk_->model().synced_directory(path_);
      return IOStatus::OK();
    });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* dbg,
                               const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, dbg);
  }

 private:
  const std::shared_ptr<Disk> disk_;
  const fs::path path_;
};

class FaultFs::Files final : public rocksdb::FileSystemWrapper {
 public:
  explicit Files(std::shared_ptr<Disk> disk)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), disk_(std::move(disk)) {}

  static const char* kClassName() { return "FaultFs"; }
  const char* Name() const override { return kClassName(); }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* dbg) override {
    return open_for_writing(name, options, result, dbg, /*empties=*/true);
  }
  IOStatus ReopenWritableFile(const std::string& name, const FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* result,
                              IODebugContext* dbg) override {
    return open_for_writing(name, options, result, dbg, /*empties=*/false);
  }
  IOStatus ReuseWritableFile(const std::string&, const std::string&, const FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("recycled logs are not modelled");
  }
  IOStatus NewRandomRWFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                           IODebugContext* dbg) override {
    if (!disk_->covers(normal(name))) return target()->NewRandomRWFile(name, options, result, dbg);
    return IOStatus::NotSupported("writing in place is not modelled");
  }
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* result,
                        IODebugContext* dbg) override {
    const IOStatus status = target()->NewDirectory(name, options, result, dbg);
    const fs::path path = normal(name);
    if (status.ok() && disk_->covers_directory(path)) {
      *result = std::make_unique<Directory>(std::move(*result), disk_, path);
    }
    return status;
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions& options,
                      IODebugContext* dbg) override {
    const fs::path path = normal(name);
    if (!disk_->covers(path)) return target()->DeleteFile(name, options, dbg);
    return disk_->step(DiskOperation::remove, path,
                       [&] { return guarded([&] { disk_->model().remove(path); }); });
  }
  IOStatus Truncate(const std::string& name, std::size_t size, const IOOptions& options,
                    IODebugContext* dbg) override {
    const fs::path path = normal(name);
    if (!disk_->covers(path)) return target()->Truncate(name, size, options, dbg);
    const auto whole = [&] {
      const std::optional<DiskModel::FileId> file = disk_->model().find(path);
      if (file) disk_->model().resizing(*file, size);
      return target()->Truncate(name, size, options, dbg);
    };
    const auto nothing = [] {};
    return disk_->step(DiskOperation::truncate, path, size, whole, nothing, nothing);
  }
  IOStatus CreateDir(const std::string& name, const IOOptions& options,
                     IODebugContext* dbg) override {
    const fs::path path = normal(name);
    if (!disk_->covers(path)) return target()->CreateDir(name, options, dbg);
    return disk_->step(DiskOperation::make_directory, path, [&] {
      const IOStatus status = target()->CreateDir(name, options, dbg);
      if (status.ok()) disk_->model().made_directory(path);
      return status;
    });
  }
  IOStatus CreateDirIfMissing(const std::string& name, const IOOptions& options,
                              IODebugContext* dbg) override {
    if (fs::is_directory(name)) return IOStatus::OK();
    return CreateDir(name, options, dbg);
  }
  IOStatus DeleteDir(const std::string& name, const IOOptions& options,
                     IODebugContext* dbg) override {
    const fs::path path = normal(name);
    if (!disk_->covers(path)) return target()->DeleteDir(name, options, dbg);
    return disk_->step(DiskOperation::remove_directory, path,
                       [&] { return guarded([&] { disk_->model().remove(path); }); });
  }
  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* dbg) override {
    const fs::path source = normal(from);
    if (!disk_->covers(source)) return target()->RenameFile(from, to, options, dbg);
    return disk_->step(DiskOperation::rename, source,
                       [&] { return guarded([&] { disk_->model().rename(source, normal(to)); }); });
  }
  IOStatus LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                    IODebugContext* dbg) override {
    const fs::path made = normal(to);
    if (!disk_->covers(made)) return target()->LinkFile(from, to, options, dbg);
    return disk_->step(DiskOperation::link, made,
                       [&] { return guarded([&] { disk_->model().link(normal(from), made); }); });
  }
  IOStatus GetFreeSpace(const std::string&, const IOOptions&, std::uint64_t* free,
                        IODebugContext*) override {
    const std::lock_guard lock(disk_->mutex);
    *free = disk_->free_bytes();
    return IOStatus::OK();
  }

 private:
  IOStatus open_for_writing(const std::string& name, const FileOptions& options,
                            std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* dbg,
                            bool empties) {
    const auto open = [&] {
      return empties ? target()->NewWritableFile(name, options, result, dbg)
                     : target()->ReopenWritableFile(name, options, result, dbg);
    };
    const fs::path path = normal(name);
    if (!disk_->covers(path)) return open();
    const IOStatus status = disk_->step(DiskOperation::create, path, [&] {
      std::optional<DiskModel::FileId> file = disk_->model().find(path);
      if (file && empties) disk_->model().resizing(*file, 0);
      const IOStatus opened = open();
      if (!opened.ok()) return opened;
      if (!file) file = disk_->model().created(path);
      *result = std::make_unique<File>(std::move(*result), disk_, path, *file);
      return opened;
    });
    if (!status.ok()) result->reset();
    return status;
  }

  const std::shared_ptr<Disk> disk_;
};

FaultFs::FaultFs(const fs::path& root)
    : disk_(std::make_shared<Disk>(root)),
      env_(rocksdb::NewCompositeEnv(std::make_shared<Files>(disk_))) {}

FaultFs::~FaultFs() = default;

rocksdb::Env* FaultFs::env() { return env_.get(); }

std::uint64_t FaultFs::steps() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->trace.size();
}

std::vector<DiskStep> FaultFs::trace() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->trace;
}

std::string FaultFs::step_text(std::uint64_t number) const {
  const std::lock_guard lock(disk_->mutex);
  STANDPIPE_ASSERT(number >= 1, "steps count from 1");
  if (number > disk_->trace.size()) return std::to_string(number) + " (not reached)";
  return std::to_string(number) + " " + test::to_string(disk_->trace[number - 1]);
}

void FaultFs::cut_at(std::uint64_t step) {
  const std::lock_guard lock(disk_->mutex);
  disk_->cut_at = step;
  disk_->cut_at_next.reset();
}

void FaultFs::cut_at_next(DiskOperation operation, std::string name_end) {
  const std::lock_guard lock(disk_->mutex);
  disk_->cut_at = 0;
  disk_->cut_at_next = Awaited{operation, std::move(name_end)};
}

bool FaultFs::is_cut() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->is_cut;
}

void FaultFs::materialize(std::uint64_t seed) {
  const std::lock_guard lock(disk_->mutex);
  disk_->model().materialize(seed);
  disk_->trace.clear();
  disk_->cut_at = disk_->fail_at = 0;
  disk_->cut_at_next.reset();
  disk_->fail_next.reset();
  disk_->is_cut = false;
}

void FaultFs::fail_at(std::uint64_t step, Fault fault) {
  const std::lock_guard lock(disk_->mutex);
  disk_->fail_at = step;
  disk_->fail_next.reset();
  disk_->fault = fault;
}

void FaultFs::fail_next(DiskOperation operation, std::string name_end, Fault fault) {
  const std::lock_guard lock(disk_->mutex);
  disk_->fail_at = 0;
  disk_->fail_next = Awaited{operation, std::move(name_end)};
  disk_->fault = fault;
}

void FaultFs::set_capacity(std::optional<std::uint64_t> bytes) {
  const std::lock_guard lock(disk_->mutex);
  disk_->capacity = bytes;
}

std::uint64_t FaultFs::used_bytes() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->model().used_bytes();
}

std::uint64_t FaultFs::free_bytes() const {
  const std::lock_guard lock(disk_->mutex);
  return disk_->free_bytes();
}

}  // namespace standpipe::test
