// What a power cut may leave of a directory tree: the book-keeping behind FaultFs.
//
// The bytes are in real files; the model knows which of them have been synced. For each file it
// holds what was written since its last sync; for each name the files that it stood for since the
// last sync of its directory. Files that were deleted or replaced are moved aside, not removed, so
// that they can come back. A sync of a file does not make its name durable, nor a sync of a
// directory the bytes of what is in it: no file system promises more on every kernel.
//
// Not modelled: the order in which a journal would keep names (any subset may survive, which is
// harsher than any real one), renaming of directories.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace standpipe::test {

// One thread at a time. Paths are absolute, lexically normal, and below `root`. The caller makes
// changes to the bytes of files (it has them open); the model makes changes to names.
class DiskModel {
 public:
  using FileId = std::uint64_t;

  // What is below `root` already is durable. `aside` is a directory of the model's own, on the same
  // file system and not below `root`; it is created here and removed at the end.
  DiskModel(std::filesystem::path root, std::filesystem::path aside);
  ~DiskModel();
  DiskModel(const DiskModel&) = delete;
  DiskModel& operator=(const DiskModel&) = delete;

  bool covers(const std::filesystem::path& path) const;
  std::uint64_t used_bytes() const;  // of all files that have a name

  // -- Bytes ------------------------------------------------------------------------------------
  // The file of that name, if there is one.
  std::optional<FileId> find(const std::filesystem::path& path);
  std::uint64_t size(FileId file) const { return files_.at(file).size; }
  // `bytes` have been appended.
  void appended(FileId file, std::uint64_t bytes);
  // The file is about to be cut or extended to `size`: remembers what will be lost.
  void resizing(FileId file, std::uint64_t size);
  void synced(FileId file);
  // A sync failed: the kernel has marked the pages clean, so that a later sync that succeeds says
  // nothing about them. What is unsynced now will never be durable.
  void sync_failed(FileId file);

  // -- Names ------------------------------------------------------------------------------------
  // A file was just created there.
  FileId created(const std::filesystem::path& path);
  void made_directory(const std::filesystem::path& path);
  // These change the real names as well. std::filesystem::filesystem_error where that fails.
  void remove(const std::filesystem::path& path);
  void rename(const std::filesystem::path& from, const std::filesystem::path& to);
  void link(const std::filesystem::path& from, const std::filesystem::path& to);
  void synced_directory(const std::filesystem::path& path);

  // -- The cut ----------------------------------------------------------------------------------
  // Puts the tree into a state that a power cut now may leave, and begins again from there.
  //   seed 0: nothing that was not synced is there
  //   seed 1: everything is there
  //   else:   any subset: each name stands for one of the files it stood for since the last sync of
  //           its directory, or is missing; each file has its synced bytes, and of the others none,
  //           all, or a torn part, sector by sector
  // Files that the model has not heard of (locks, info logs) stay as they are.
  void materialize(std::uint64_t seed);

 private:
  struct Unsynced {
    std::uint64_t from = 0;
    std::uint64_t length = 0;
    std::string before;    // what was there; shorter than `length`: zeros follow
    bool is_lost = false;  // no sync makes it durable any more
  };
  struct File {
    bool is_directory = false;
    std::uint64_t size = 0;
    std::uint64_t size_synced = 0;
    std::vector<Unsynced> unsynced;  // oldest first
    std::filesystem::path place;     // where its bytes are
  };
  struct Name {
    std::optional<FileId> synced;
    std::vector<std::optional<FileId>> since;  // what it stood for after that, newest last
    const std::optional<FileId>& now() const { return since.empty() ? synced : since.back(); }
  };
  using Names = std::map<std::string, Name>;  // of one directory

  void adopt_tree();
  void adopt(const std::filesystem::path& path);
  Names& names_in(const std::filesystem::path& directory);
  Name& name_of(const std::filesystem::path& path);
  void set_name(const std::filesystem::path& path, std::optional<FileId> file);
  void move_aside(const std::filesystem::path& path);
  bool is_named(FileId file) const;    // now
  bool may_return(FileId file) const;  // now, or after a cut
  std::string synced_image(const File& file, std::string current) const;
  std::string cut_image(const File& file, std::uint64_t seed, std::uint64_t salt) const;

  const std::filesystem::path root_;
  const std::filesystem::path aside_;
  FileId next_file_ = 1;
  std::map<FileId, File> files_;
  std::map<std::filesystem::path, Names> directories_;
};

// Info logs: written past the model, and of no interest to it.
bool is_info_log(const std::filesystem::path& path);

}  // namespace standpipe::test
