#include "storage/log_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "schema/base/bytes.h"
#include "schema/base/crc32c.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = 32 * 1024;
constexpr std::size_t kHeaderBytes = 7;  // masked CRC-32C (4), length (2), type (1); little-endian
constexpr std::size_t kSectorBytes = 512;
constexpr std::size_t kBatchHeaderBytes = 12;  // sequence (8), count (4)

enum class Type : std::uint8_t { zero = 0, full = 1, first = 2, middle = 3, last = 4 };

enum class Reading : std::uint8_t {
  ok,
  end,         // nothing more in the file
  hole,        // a header of zeroes where a record should be
  cut,         // the record goes past the end of the file
  bad_length,  // the record goes past its block, though the file goes on
  bad_crc,
  bad_type,
};

struct Record {
  Reading reading = Reading::end;
  std::size_t offset = 0;  // of its header, in the file
  std::size_t length = 0;  // of its payload, as the header has it
  Type type = Type::zero;
};

std::uint32_t masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8U; }

bool all_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// One log or manifest file, whole in memory: RocksDB replays it into memory anyway.
class LogFile {
 public:
  LogFile(fs::path path, std::string contents)
      : path_(std::move(path)), text_(std::move(contents)) {}

  const fs::path& path() const { return path_; }
  ByteView bytes() const { return as_bytes(text_); }
  ByteView payload(const Record& record) const {
    return bytes().subspan(record.offset + kHeaderBytes, record.length);
  }

  // The record at or after `position`; steps over the trailer of a block.
  Record read(std::size_t position) const {
    Record record;
    const std::size_t left_in_block = kBlockBytes - position % kBlockBytes;
    if (left_in_block < kHeaderBytes) position += left_in_block;
    record.offset = position;
    if (position >= text_.size()) return record;
    if (text_.size() - position < kHeaderBytes) {
      record.reading = Reading::cut;
      return record;
    }
    const std::byte* header = bytes().data() + position;
    record.length = load_le<std::uint16_t>(header + 4);
    const auto type = std::to_integer<std::uint8_t>(header[6]);
    if (all_zero(bytes().subspan(position, kHeaderBytes))) {
      record.reading = Reading::hole;
      return record;
    }
    const std::size_t end = position + kHeaderBytes + record.length;
    if (end > position - position % kBlockBytes + kBlockBytes) {
      record.reading = text_.size() > position - position % kBlockBytes + kBlockBytes
                           ? Reading::bad_length
                           : Reading::cut;
      return record;
    }
    if (end > text_.size()) {
      record.reading = Reading::cut;
      return record;
    }
    // The checksum covers type and payload, not the length.
    if (masked(crc32c(bytes().subspan(position + 6, 1 + record.length))) !=
        load_le<std::uint32_t>(header)) {
      record.reading = Reading::bad_crc;
      return record;
    }
    if (type < 1 || type > 4) {
      record.reading = Reading::bad_type;
      return record;
    }
    record.type = static_cast<Type>(type);
    record.reading = Reading::ok;
    return record;
  }

  // Whether a batch (or a manifest edit) begins, readable, after the bad record at `offset`: in the
  // rest of its block where its length can be believed, or in any later block.
  std::optional<std::size_t> begins_after(const Record& bad) const {
    const std::size_t block_end = bad.offset - bad.offset % kBlockBytes + kBlockBytes;
    const std::size_t believed = bad.offset + kHeaderBytes + bad.length;
    if (bad.reading == Reading::bad_crc || bad.reading == Reading::bad_type) {
      if (const auto found = begins_in_chain(believed, block_end)) return found;
    }
    for (std::size_t block = block_end; block < text_.size(); block += kBlockBytes) {
      if (const auto found = begins_in_chain(block, block + kBlockBytes)) return found;
    }
    return std::nullopt;
  }

  // Another length under which the record's checksum holds: then only the length was damaged.
  bool has_other_length(const Record& bad) const {
    const std::size_t block_end = bad.offset - bad.offset % kBlockBytes + kBlockBytes;
    const std::size_t end = std::min(block_end, text_.size());
    if (bad.offset + kHeaderBytes > end) return false;
    const auto wanted = load_le<std::uint32_t>(bytes().data() + bad.offset);
    std::uint32_t crc = crc32c(bytes().subspan(bad.offset + 6, 1));
    for (std::size_t at = bad.offset + kHeaderBytes; at <= end; ++at) {
      if (masked(crc) == wanted) return true;
      if (at < end) crc = crc32c(bytes().subspan(at, 1), crc);
    }
    return false;
  }

  // Whether the record looks like a write of which some sectors never arrived.
  bool may_be_torn(const Record& bad) const {
    const std::size_t end = std::min(bad.offset + kHeaderBytes + bad.length, text_.size());
    for (std::size_t at = bad.offset; at < end;) {
      const std::size_t next = std::min(end, at - at % kSectorBytes + kSectorBytes);
      if (all_zero(bytes().subspan(at, next - at))) return true;
      at = next;
    }
    return false;
  }

 private:
  std::optional<std::size_t> begins_in_chain(std::size_t position, std::size_t limit) const {
    while (position < limit) {
      const Record record = read(position);
      if (record.reading != Reading::ok || record.offset >= limit) return std::nullopt;
      if (record.type == Type::full || record.type == Type::first) return record.offset;
      position = record.offset + kHeaderBytes + record.length;
    }
    return std::nullopt;
  }

  fs::path path_;
  std::string text_;
};

Error damage(const LogFile& file, std::size_t offset, std::string_view what) {
  return Error{Errc::corrupt, file.path().string() + " at byte " + std::to_string(offset) + ": " +
                                  std::string(what) +
                                  "; acknowledged frames may be gone, nothing was changed"};
}

Result<LogFile> read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  std::string contents;
  if (in) {
    contents.resize(static_cast<std::size_t>(in.tellg()));
    in.seekg(0);
    in.read(contents.data(), static_cast<std::streamsize>(contents.size()));
  }
  if (!in) return Error{Errc::io, "cannot read " + path.string() + ": " + std::strerror(errno)};
  return LogFile(path, std::move(contents));
}

// Judges the first record of a file that cannot be read: damage, or the torn tail of the last
// write.
Result<void> judge_tail(const LogFile& file, const Record& bad) {
  if (const auto later = file.begins_after(bad)) {
    return damage(file, bad.offset,
                  "unreadable, though what was written later, at byte " + std::to_string(*later) +
                      ", is there");
  }
  if (bad.reading != Reading::hole && file.has_other_length(bad)) {
    return damage(file, bad.offset, "the length of a record was changed");
  }
  const bool is_whole = bad.reading == Reading::bad_crc || bad.reading == Reading::bad_type ||
                        bad.reading == Reading::bad_length;
  if (is_whole && !file.may_be_torn(bad)) {
    return damage(file, bad.offset, "a record is there in full but fails its checksum");
  }
  return {};
}

// Follows the batch sequence numbers through one log after another.
class BatchChain {
 public:
  Result<void> add(const LogFile& file) {
    in_batch_ = false;
    for (std::size_t position = 0;;) {
      const Record record = file.read(position);
      if (record.reading == Reading::end) return {};
      if (record.reading != Reading::ok) return judge_tail(file, record);
      STANDPIPE_CHECK(add_record(file, record));
      position = record.offset + kHeaderBytes + record.length;
    }
  }

 private:
  Result<void> add_record(const LogFile& file, const Record& record) {
    const bool begins = record.type == Type::full || record.type == Type::first;
    if (begins && in_batch_) {
      return damage(file, record.offset, "a batch begins before the one before it has ended");
    }
    if (!begins && !in_batch_) {
      return damage(file, record.offset, "a batch goes on that has not begun");
    }
    if (begins) {
      offset_ = record.offset;
      header_bytes_ = 0;
    }
    const ByteView payload = file.payload(record);
    const std::size_t wanted = std::min(kBatchHeaderBytes - header_bytes_, payload.size());
    std::copy_n(payload.begin(), wanted,
                header_.begin() + static_cast<std::ptrdiff_t>(header_bytes_));
    header_bytes_ += wanted;
    in_batch_ = record.type == Type::first || record.type == Type::middle;
    return in_batch_ ? Result<void>() : end_batch(file);
  }

  Result<void> end_batch(const LogFile& file) {
    if (header_bytes_ < kBatchHeaderBytes) {
      return damage(file, offset_, "a batch is shorter than its header");
    }
    const auto sequence = load_le<std::uint64_t>(header_.data());
    const auto count = load_le<std::uint32_t>(header_.data() + 8);
    if (expected_ && sequence != *expected_) {
      return damage(file, offset_,
                    "batch sequence number " + std::to_string(sequence) + " where " +
                        std::to_string(*expected_) + " should follow");
    }
    expected_ = sequence + count;
    return {};
  }

  std::optional<std::uint64_t> expected_;
  bool in_batch_ = false;
  std::size_t offset_ = 0;  // where the batch in progress begins
  std::array<std::byte, kBatchHeaderBytes> header_{};
  std::size_t header_bytes_ = 0;
};

// Whether a record of the manifest was lost with a sector that a power cut did not keep: from the
// record, or the beginning of the sector, to the end of the sector there is nothing but zeroes.
// A manifest write may be several records, so readable ones may follow; all of it is unsynced, and
// RocksDB does nothing before it is.
bool is_torn_edit(const LogFile& file, const Record& bad) {
  static constexpr std::size_t kZeroesMin = 16;  // fewer may be a record's own
  const std::size_t size = file.bytes().size();
  if (bad.reading == Reading::cut || size - bad.offset > kBlockBytes) return false;
  if (bad.reading != Reading::hole && file.has_other_length(bad)) return false;
  const std::size_t end = std::min(bad.offset + kHeaderBytes + bad.length, size);
  for (std::size_t at = bad.offset; at < end;) {
    const std::size_t next = std::min(size, at - at % kSectorBytes + kSectorBytes);
    const bool is_long = next - at >= kZeroesMin || bad.reading == Reading::hole;
    if (is_long && all_zero(file.bytes().subspan(at, next - at))) return true;
    at = next;
  }
  return false;
}

// The manifest has no sequence numbers of ours, and RocksDB reports damage in its middle by itself.
// What it takes for the end is checked here.
Result<void> check_records(const LogFile& file) {
  for (std::size_t position = 0;;) {
    const Record record = file.read(position);
    if (record.reading == Reading::end) return {};
    if (record.reading != Reading::ok) {
      return is_torn_edit(file, record) ? Result<void>() : judge_tail(file, record);
    }
    position = record.offset + kHeaderBytes + record.length;
  }
}

// The manifest that CURRENT names; nullopt if there is no CURRENT.
Result<std::optional<LogFile>> read_manifest(const fs::path& db_dir) {
  std::error_code ignored;
  if (!fs::exists(db_dir / "CURRENT", ignored)) return std::optional<LogFile>();
  STANDPIPE_TRY(const LogFile current, read_file(db_dir / "CURRENT"));
  std::string name(as_text(current.bytes()));
  const bool is_well_formed =
      name.starts_with("MANIFEST-") && name.ends_with('\n') && name.find('/') == std::string::npos;
  if (!is_well_formed) {
    return Error{Errc::corrupt, current.path().string() + " does not name a manifest"};
  }
  name.pop_back();
  if (!fs::exists(db_dir / name)) {
    return Error{Errc::corrupt,
                 current.path().string() + " names " + name + ", which is not there"};
  }
  STANDPIPE_TRY(LogFile manifest, read_file(db_dir / name));
  return std::optional<LogFile>(std::move(manifest));
}

struct NumberedLog {
  std::uint64_t number = 0;
  fs::path path;
};

struct Listing {
  std::vector<NumberedLog> logs;  // by number
  bool has_tables = false;
};

Result<Listing> list(const fs::path& db_dir) {
  Listing found;
  std::error_code failed;
  for (fs::directory_iterator entry(db_dir, failed), end; entry != end; entry.increment(failed)) {
    if (failed) break;
    const fs::path& path = entry->path();
    found.has_tables |= path.extension() == ".sst";
    if (path.extension() != ".log") continue;
    NumberedLog log{0, path};
    const std::string stem = path.stem().string();
    const auto parsed = std::from_chars(stem.data(), stem.data() + stem.size(), log.number);
    if (parsed.ec == std::errc() && parsed.ptr == stem.data() + stem.size()) {
      found.logs.push_back(std::move(log));
    }
  }
  if (failed && failed != std::errc::no_such_file_or_directory) {
    return Error{Errc::io, "cannot list " + db_dir.string() + ": " + failed.message()};
  }
  std::sort(found.logs.begin(), found.logs.end(),
            [](const NumberedLog& a, const NumberedLog& b) { return a.number < b.number; });
  return found;
}

}  // namespace

Result<void> check_manifest(const fs::path& db_dir) {
  STANDPIPE_TRY(const std::optional<LogFile> manifest, read_manifest(db_dir));
  if (manifest) return check_records(*manifest);
  STANDPIPE_TRY(const Listing listing, list(db_dir));
  if (!listing.has_tables && listing.logs.empty()) return {};
  return Error{Errc::corrupt,
               (db_dir / "CURRENT").string() + " is missing, though tables or logs are there"};
}

Result<void> cut_torn_manifest(const fs::path& db_dir) {
  STANDPIPE_TRY(const std::optional<LogFile> manifest, read_manifest(db_dir));
  if (!manifest) return {};
  Record record = manifest->read(0);
  while (record.reading == Reading::ok) {
    record = manifest->read(record.offset + kHeaderBytes + record.length);
  }
  if (record.reading == Reading::end || !is_torn_edit(*manifest, record)) return {};
  const int fd = ::open(manifest->path().c_str(), O_WRONLY | O_CLOEXEC);
  const bool is_cut =
      fd >= 0 && ::ftruncate(fd, static_cast<off_t>(record.offset)) == 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (is_cut) return {};
  return Error{Errc::io, "cannot cut the torn end off " + manifest->path().string() + ": " +
                             std::strerror(error)};
}

Result<void> check_logs(const fs::path& db_dir, std::uint64_t first_live) {
  STANDPIPE_TRY(const Listing listing, list(db_dir));
  BatchChain chain;
  for (const NumberedLog& log : listing.logs) {
    if (log.number < first_live) continue;
    STANDPIPE_TRY(const LogFile file, read_file(log.path));
    STANDPIPE_CHECK(chain.add(file));
  }
  return {};
}

Result<std::vector<std::string>> read_batches(const fs::path& log) {
  STANDPIPE_TRY(const LogFile file, read_file(log));
  std::vector<std::string> batches;
  std::optional<std::string> batch;  // the one that has begun
  for (std::size_t position = 0;;) {
    const Record record = file.read(position);
    if (record.reading == Reading::end) return batches;
    if (record.reading != Reading::ok) {
      batch.reset();
      const std::optional<std::size_t> later = file.begins_after(record);
      if (!later) return batches;
      position = *later;
      continue;
    }
    position = record.offset + kHeaderBytes + record.length;
    if (record.type == Type::full || record.type == Type::first) batch.emplace();
    if (!batch) continue;  // the rest of one whose beginning is gone
    batch->append(as_text(file.payload(record)));
    if (record.type == Type::full || record.type == Type::last) {
      batches.push_back(std::move(*batch));
      batch.reset();
    }
  }
}

Result<std::vector<fs::path>> live_logs(const fs::path& db_dir, std::uint64_t first_live) {
  STANDPIPE_TRY(const Listing listing, list(db_dir));
  std::vector<fs::path> paths;
  for (const NumberedLog& log : listing.logs) {
    if (log.number >= first_live) paths.push_back(log.path);
  }
  return paths;
}

}  // namespace standpipe::storage
