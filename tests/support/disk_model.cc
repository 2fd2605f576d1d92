#include "tests/support/disk_model.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSectorBytes = 512;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  STANDPIPE_ASSERT(in.good(), "cannot read " + path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const fs::path& path, const std::string& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.flush();
  STANDPIPE_ASSERT(out.good(), "cannot write " + path.string());
}

}  // namespace

bool is_info_log(const fs::path& path) {
  const std::string name = path.filename().string();
  return name == "LOG" || name.starts_with("LOG.");
}

DiskModel::DiskModel(fs::path root, fs::path aside)
    : root_(std::move(root)), aside_(std::move(aside)) {
  fs::create_directories(aside_);
  adopt_tree();
}

DiskModel::~DiskModel() {
  std::error_code ignored;
  fs::remove_all(aside_, ignored);
}

bool DiskModel::covers(const fs::path& path) const {
  const auto [end, ignored] = std::mismatch(root_.begin(), root_.end(), path.begin(), path.end());
  return end == root_.end() && path != root_;
}

std::uint64_t DiskModel::used_bytes() const {
  std::set<FileId> named;
  for (const auto& [directory, names] : directories_) {
    for (const auto& [text, name] : names) {
      if (name.now()) named.insert(*name.now());
    }
  }
  std::uint64_t total = 0;
  for (const FileId file : named) total += files_.at(file).size;
  return total;
}

void DiskModel::adopt_tree() {
  files_.clear();
  directories_.clear();
  directories_[root_];
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root_)) {
    if (!is_info_log(entry.path())) adopt(entry.path());
  }
}

// Something that is there although the model has not heard of it: it has been there for ever.
void DiskModel::adopt(const fs::path& path) {
  const FileId id = next_file_++;
  File& file = files_[id];
  file.is_directory = fs::is_directory(path);
  file.place = path;
  if (file.is_directory) {
    directories_[path];
  } else {
    file.size = file.size_synced = fs::file_size(path);
  }
  Name& name = names_in(path.parent_path())[path.filename().string()];
  name.synced = id;
  name.since.clear();
}

// A directory that was made past the layer is adopted when it is first heard of.
DiskModel::Names& DiskModel::names_in(const fs::path& directory) {
  const auto at = directories_.find(directory);
  if (at != directories_.end()) return at->second;
  names_in(directory.parent_path());
  adopt(directory);
  return directories_.at(directory);
}

DiskModel::Name& DiskModel::name_of(const fs::path& path) {
  Names& names = names_in(path.parent_path());
  const auto [at, is_new] = names.try_emplace(path.filename().string());
  if (is_new && fs::exists(path)) adopt(path);
  return at->second;
}

void DiskModel::set_name(const fs::path& path, std::optional<FileId> file) {
  name_of(path).since.push_back(file);
}

std::optional<DiskModel::FileId> DiskModel::find(const fs::path& path) {
  return name_of(path).now();
}

void DiskModel::appended(FileId id, std::uint64_t bytes) {
  File& file = files_.at(id);
  file.unsynced.push_back({file.size, bytes, {}, false});
  file.size += bytes;
}

void DiskModel::resizing(FileId id, std::uint64_t size) {
  File& file = files_.at(id);
  if (size < file.size) {
    Unsynced cut{size, file.size - size, {}, false};
    if (size < file.size_synced) cut.before = read_file(file.place).substr(size);
    file.unsynced.push_back(std::move(cut));
  }
  file.size = size;
}

void DiskModel::synced(FileId id) {
  File& file = files_.at(id);
  std::erase_if(file.unsynced, [](const Unsynced& change) { return !change.is_lost; });
  file.size_synced = file.size;
}

void DiskModel::sync_failed(FileId id) {
  for (Unsynced& change : files_.at(id).unsynced) change.is_lost = true;
}

DiskModel::FileId DiskModel::created(const fs::path& path) {
  // name_of() would take the file for an old one: it is there already.
  Name& name = names_in(path.parent_path()).try_emplace(path.filename().string()).first->second;
  const FileId id = next_file_++;
  files_[id].place = path;
  name.since.emplace_back(id);
  return id;
}

void DiskModel::made_directory(const fs::path& path) {
  const FileId id = created(path);
  files_[id].is_directory = true;
  directories_[path];
}

bool DiskModel::is_named(FileId id) const {
  for (const auto& [directory, names] : directories_) {
    for (const auto& [text, name] : names) {
      if (name.now() == id) return true;
    }
  }
  return false;
}

bool DiskModel::may_return(FileId id) const {
  for (const auto& [directory, names] : directories_) {
    for (const auto& [text, name] : names) {
      if (name.synced == id || std::count(name.since.begin(), name.since.end(), id) > 0) {
        return true;
      }
    }
  }
  return false;
}

// Takes the name off the file. Its bytes stay, under another of its names or aside.
void DiskModel::move_aside(const fs::path& path) {
  const std::optional<FileId> id = find(path);
  if (!id) throw fs::filesystem_error("no such file", path, {ENOENT, std::generic_category()});
  set_name(path, std::nullopt);
  File& file = files_.at(*id);
  if (file.is_directory) {
    fs::remove(path);
  } else if (file.place == path) {
    file.place = aside_ / std::to_string(*id);
    fs::rename(path, file.place);
  } else {
    fs::remove(path);
  }
}

void DiskModel::remove(const fs::path& path) { move_aside(path); }

void DiskModel::rename(const fs::path& from, const fs::path& to) {
  const std::optional<FileId> id = find(from);
  if (!id) throw fs::filesystem_error("no such file", from, {ENOENT, std::generic_category()});
  STANDPIPE_ASSERT(!files_.at(*id).is_directory, "renaming of directories is not modelled");
  if (find(to)) {
    move_aside(to);
    name_of(to).since.pop_back();  // replaced at one stroke: it is never missing
  }
  fs::rename(from, to);
  File& file = files_.at(*id);
  if (file.place == from) file.place = to;
  set_name(from, std::nullopt);
  names_in(to.parent_path())[to.filename().string()].since.emplace_back(id);
}

void DiskModel::link(const fs::path& from, const fs::path& to) {
  const std::optional<FileId> id = find(from);
  fs::create_hard_link(from, to);
  names_in(to.parent_path())[to.filename().string()].since.emplace_back(id);
}

void DiskModel::synced_directory(const fs::path& path) {
  Names& names = names_in(path);
  std::set<FileId> let_go;
  for (auto& [text, name] : names) {
    if (name.since.empty()) continue;
    if (name.synced) let_go.insert(*name.synced);
    for (const std::optional<FileId>& file : name.since) {
      if (file) let_go.insert(*file);
    }
    name.synced = name.now();
    name.since.clear();
  }
  std::erase_if(names, [](const auto& entry) { return !entry.second.synced; });
  for (const FileId id : let_go) {
    File& file = files_.at(id);
    if (may_return(id) || file.is_directory || file.place.parent_path() != aside_) continue;
    fs::remove(file.place);
    file.place.clear();  // the file itself may still be open for writing
  }
}

std::string DiskModel::synced_image(const File& file, std::string current) const {
  for (auto change = file.unsynced.rbegin(); change != file.unsynced.rend(); ++change) {
    if (current.size() < change->from + change->length) {
      current.resize(change->from + change->length);
    }
    std::string before = change->before;
    before.resize(change->length);
    current.replace(change->from, change->length, before);
  }
  current.resize(file.size_synced);
  return current;
}

std::string DiskModel::cut_image(const File& file, std::uint64_t seed, std::uint64_t salt) const {
  std::string current = read_file(file.place);
  if (file.unsynced.empty() || seed == 1) return current;
  std::string synced = synced_image(file, current);
  if (seed == 0) return synced;
  std::mt19937_64 random(seed * 0x9E3779B97F4A7C15ULL + salt);
  switch (random() % 4) {
    case 0:
      return synced;
    case 1:
      return current;
    default:
      break;
  }
  // A torn part: some length in between, and in it some sectors that got there.
  const std::uint64_t shorter = std::min(synced.size(), current.size());
  const std::uint64_t longer = std::max(synced.size(), current.size());
  std::uint64_t size = longer;
  switch (random() % 4) {
    case 0:
      size = shorter + random() % (longer - shorter + 1);
      break;
    case 1:
      size = std::clamp((shorter + random() % (longer - shorter + 1)) / kSectorBytes * kSectorBytes,
                        shorter, longer);
      break;
    default:
      break;
  }
  current.resize(size);
  synced.resize(size);
  for (std::uint64_t from = 0; from < size; from += kSectorBytes) {
    if (random() % 2 == 0) current.replace(from, kSectorBytes, synced, from, kSectorBytes);
  }
  return current;
}

void DiskModel::materialize(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  // Decide first: everything is read from where it is before anything is moved.
  std::map<fs::path, std::string> files;
  std::set<fs::path> kept;         // real files that are right as they are
  std::set<fs::path> directories;  // in the order of parents first, as paths sort
  for (const auto& [directory, names] : directories_) {
    if (directory != root_ && !directories.contains(directory)) continue;
    for (const auto& [text, name] : names) {
      std::optional<FileId> chosen = name.synced;
      if (seed == 1) chosen = name.now();
      if (seed > 1) {
        const std::size_t which = random() % (name.since.size() + 1);
        if (which > 0) chosen = name.since[which - 1];
      }
      if (!chosen) continue;
      const File& file = files_.at(*chosen);
      const fs::path path = directory / text;
      if (file.is_directory) {
        directories.insert(path);
      } else if (file.place == path && file.unsynced.empty()) {
        kept.insert(path);
      } else if (fs::exists(file.place)) {
        files[path] = cut_image(file, seed, *chosen);
      }
    }
  }
  std::vector<fs::path> unwanted;
  for (const auto& [directory, names] : directories_) {
    for (const auto& [text, name] : names) {
      if (!kept.contains(directory / text)) unwanted.push_back(directory / text);
    }
  }
  // Children sort after their parents.
  std::sort(unwanted.rbegin(), unwanted.rend());
  for (const fs::path& path : unwanted) {
    if (directories.contains(path)) continue;
    if (fs::is_directory(path)) {
      fs::remove_all(path);
    } else {
      fs::remove(path);
    }
  }
  for (const fs::path& path : directories) fs::create_directory(path);
  for (const auto& [path, bytes] : files) write_file(path, bytes);
  fs::remove_all(aside_);
  fs::create_directories(aside_);
  adopt_tree();
}

}  // namespace standpipe::test
