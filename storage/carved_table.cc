#include "storage/carved_table.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "schema/base/bytes.h"

namespace standpipe::storage {
namespace {

constexpr std::size_t kTrailerBytes = 5;  // type of compression, checksum
constexpr char kPlain = 0, kZstd = 7;
constexpr std::size_t kRestartInterval = 16;  // entries; RocksDB's default, which is not changed
constexpr std::size_t kKeyBytes = 16;         // of a group
constexpr std::size_t kInternalBytes = 8;     // behind each key: RocksDB's sequence and type
constexpr char kTypeValue = 1;
constexpr std::size_t kDecodedMax = 64 << 20;
constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
constexpr std::string_view kGroupMagic = "SPGR";

struct Varint {
  std::uint32_t value = 0;
  std::size_t bytes = 0;
};

std::optional<Varint> read_varint(std::string_view text, std::size_t at) {
  Varint varint;
  for (unsigned shift = 0; shift < 35 && at + varint.bytes < text.size(); shift += 7) {
    const auto byte = static_cast<unsigned char>(text[at + varint.bytes]);
    ++varint.bytes;
    varint.value |= static_cast<std::uint32_t>(byte & 0x7FU) << shift;
    if (byte < 0x80U) return varint;
  }
  return std::nullopt;
}

std::uint32_t load_u32(std::string_view text, std::size_t at) {
  return load_le<std::uint32_t>(as_bytes(text).data() + at);
}

// One entry of a block: key by what it shares with the one before, then the value.
struct RawEntry {
  std::size_t shared = 0, key_offset = 0, key_bytes = 0, value_offset = 0, value_bytes = 0;
  std::size_t end() const { return value_offset + value_bytes; }
};

std::optional<RawEntry> read_entry(std::string_view text, std::size_t at) {
  const auto shared = read_varint(text, at);
  if (!shared) return std::nullopt;
  const auto own = read_varint(text, at + shared->bytes);
  if (!own) return std::nullopt;
  const auto value = read_varint(text, at + shared->bytes + own->bytes);
  if (!value) return std::nullopt;
  RawEntry entry;
  entry.shared = shared->value;
  entry.key_offset = at + shared->bytes + own->bytes + value->bytes;
  entry.key_bytes = own->value;
  entry.value_offset = entry.key_offset + entry.key_bytes;
  entry.value_bytes = value->value;
  const bool fits = entry.value_bytes <= kDecodedMax && entry.end() <= text.size();
  if (!fits || entry.shared + entry.key_bytes != kKeyBytes + kInternalBytes) return std::nullopt;
  return entry;
}

// Where the block that begins at `at` ends, by its entries and the restarts behind them; 0: it is
// no block of groups.
std::size_t end_of_plain(std::string_view text, std::size_t at) {
  std::size_t entries = 0;
  std::size_t position = at;
  while (const auto entry = read_entry(text, position)) {
    if (entries % kRestartInterval == 0 && entry->shared != 0) return 0;
    ++entries;
    position = entry->end();
  }
  const std::size_t restarts = (entries + kRestartInterval - 1) / kRestartInterval;
  const std::size_t end = position + 4 * restarts + 4;
  if (entries == 0 || end > text.size() || load_u32(text, end - 4) != restarts) return 0;
  return load_u32(text, position) == 0 ? end : 0;
}

}  // namespace

Result<CarvedTable> CarvedTable::carve(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info {};
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    return Error{Errc::io, "cannot open " + path.string() + ": " + std::strerror(error)};
  }
  CarvedTable table;
  table.file_.resize(static_cast<std::size_t>(info.st_size));
  for (std::size_t at = 0; at < table.file_.size(); at += kReadBytes) {
    const std::size_t wanted = std::min(kReadBytes, table.file_.size() - at);
    // What fails stays zero: it fits no checksum.
    [[maybe_unused]] const ssize_t got =
        ::pread(fd, table.file_.data() + at, wanted, static_cast<off_t>(at));
  }
  ::close(fd);
  bool follows_hole = false;
  for (std::size_t at = 0; at < table.file_.size();) {
    std::size_t end = 0;
    if (table.take_block(at, follows_hole, end)) {
      at = end;
      follows_hole = false;
    } else {
      at = table.next_candidate(at + 1);
      follows_hole = true;
    }
  }
  return table;
}

bool CarvedTable::take_block(std::size_t offset, bool follows_hole, std::size_t& end) {
  Block block{offset, read_compressed(offset), true};
  if (block.stored_bytes == 0 || !has_checksum(block)) {
    block = {offset, read_plain(offset), false};
    if (block.stored_bytes == 0 || !has_checksum(block)) return false;
  }
  if (!take_entries(block, follows_hole)) return false;
  end = block.offset + block.stored_bytes + kTrailerBytes;
  return true;
}

// Bytes of a zstd frame and of the length before it, as it lies there.
std::size_t CarvedTable::read_compressed(std::size_t offset) {
  const auto decoded = read_varint(file_, offset);
  if (!decoded || decoded->value > kDecodedMax) return 0;
  const std::size_t at = offset + decoded->bytes;
  if (std::string_view(file_).substr(at, kZstdMagic.size()) != kZstdMagic) return 0;
  const std::size_t bytes = ZSTD_findFrameCompressedSize(file_.data() + at, file_.size() - at);
  return ZSTD_isError(bytes) != 0U ? 0 : decoded->bytes + bytes;
}

std::size_t CarvedTable::read_plain(std::size_t offset) {
  const std::size_t end = end_of_plain(file_, offset);
  return end == 0 ? 0 : end - offset;
}

// XXH3 of the block, lower half, with the type that follows it mixed in.
bool CarvedTable::has_checksum(const Block& block) const {
  constexpr std::uint32_t kMixer = 0x6b9083d9;
  const std::size_t end = block.offset + block.stored_bytes;
  if (end + kTrailerBytes > file_.size()) return false;
  const char type = file_[end];
  if (type != (block.is_compressed ? kZstd : kPlain)) return false;
  const auto whole = XXH3_64bits(file_.data() + block.offset, block.stored_bytes);
  const std::uint32_t mixed =
      static_cast<std::uint32_t>(whole & 0xFFFFFFFFU) ^ static_cast<unsigned char>(type) * kMixer;
  return mixed == load_u32(file_, end + 1);
}

bool CarvedTable::decompress(const Block& block) {
  if (!block.is_compressed) {
    decoded_.assign(file_, block.offset, block.stored_bytes);
    return true;
  }
  const auto size = read_varint(file_, block.offset);
  if (!size) return false;
  decoded_.resize(size->value);
  const std::size_t got =
      ZSTD_decompress(decoded_.data(), decoded_.size(), file_.data() + block.offset + size->bytes,
                      block.stored_bytes - size->bytes);
  return got == decoded_.size();
}

// False for a block of something else: an index, properties.
bool CarvedTable::take_entries(const Block& block, bool follows_hole) {
  decoded_block_ = SIZE_MAX;
  if (!decompress(block) || end_of_plain(decoded_, 0) != decoded_.size()) return false;
  std::string key;
  std::vector<Entry> taken;
  std::size_t at = 0;
  while (const auto entry = read_entry(decoded_, at)) {
    at = entry->end();
    if (entry->shared > key.size()) return false;
    key.resize(entry->shared);
    key.append(decoded_, entry->key_offset, entry->key_bytes);
    if (key[kKeyBytes] != kTypeValue) return false;
    taken.push_back({key.substr(0, kKeyBytes), blocks_.size(), entry->value_offset,
                     entry->value_bytes, follows_hole && taken.empty()});
  }
  // Keys rise through the file; an index does not go on where its data ended.
  if (taken.empty() || (!entries_.empty() && taken.front().key <= entries_.back().key)) {
    return false;
  }
  blocks_.push_back(block);
  std::move(taken.begin(), taken.end(), std::back_inserter(entries_));
  return true;
}

// The next place where a block may begin.
std::size_t CarvedTable::next_candidate(std::size_t from) const {
  // What is searched for lies `least` to `most` bytes into a block, and ends before `limit`.
  const auto begins = [this, from](std::string_view magic, std::size_t least, std::size_t most,
                                   std::size_t limit) {
    const std::string_view text = std::string_view(file_).substr(0, limit);
    for (std::size_t at = text.find(magic, from); at != std::string_view::npos;
         at = text.find(magic, at + 1)) {
      for (std::size_t before = most; before >= least; --before) {
        if (at >= before && at - before >= from) return at - before;
      }
    }
    return text.size();
  };
  constexpr std::size_t kKey = kKeyBytes + kInternalBytes;
  const std::size_t plain = begins(kGroupMagic, kKey + 3, kKey + 7, file_.size());
  return std::min(plain, begins(kZstdMagic, 1, 5, plain));
}

std::string_view CarvedTable::value(const Entry& entry) {
  if (decoded_block_ != entry.block) {
    decoded_block_ = decompress(blocks_[entry.block]) ? entry.block : SIZE_MAX;
  }
  return std::string_view(decoded_).substr(entry.offset, entry.bytes);
}

}  // namespace standpipe::storage
