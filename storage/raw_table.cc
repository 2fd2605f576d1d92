#include "storage/raw_table.h"

#include <rocksdb/iterator.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table_properties.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "storage/store.h"
#include "storage/store_options.h"

namespace standpipe::storage {
namespace {

constexpr std::size_t kGroupKeyBytes = 16;
constexpr std::size_t kRowKeyBytes = 17;  // of a gap's row, the longest
// Before strides grow, seqs are tried one by one: where frames follow each other closely, no whole
// block between two that are damaged is leapt over.
constexpr int kSingleSteps = 128;

Error unreadable(const rocksdb::Status& status) {
  return Error{status.IsCorruption() ? Errc::corrupt : Errc::io, status.ToString()};
}

// `key` as a big-endian number, raised by 2^`bit`; nullopt beyond its width.
std::optional<std::string> raised(std::string key, std::size_t bit) {
  std::size_t at = bit / 8;
  if (at >= key.size()) return std::nullopt;
  unsigned carry = 1U << (bit % 8);
  while (carry != 0) {
    if (at >= key.size()) return std::nullopt;
    char& byte = key[key.size() - 1 - at];
    const unsigned sum = static_cast<unsigned char>(byte) + carry;
    byte = static_cast<char>(sum & 0xFFU);
    carry = sum >> 8;
    ++at;
  }
  return key;
}

}  // namespace

struct RawTable::Reader {
  explicit Reader(const rocksdb::Options& options) : table(options) {}
  void renew() {
    rocksdb::ReadOptions read;
    read.verify_checksums = true;
    read.fill_cache = false;
    at.reset(table.NewIterator(read));
  }
  rocksdb::SstFileReader table;
  std::unique_ptr<rocksdb::Iterator> at;  // goes first
};

RawTable::RawTable(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}
RawTable::~RawTable() = default;

Result<std::unique_ptr<RawTable>> RawTable::open(const std::filesystem::path& path) {
  ArchiveOptions read_only;
  read_only.access = Access::read_only;
  const rocksdb::Options options(database_options(read_only),
                                 family_options(read_only, kMetaContainer, nullptr));
  auto reader = std::make_unique<Reader>(options);
  const rocksdb::Status opened = reader->table.Open(path.string());
  if (!opened.ok()) {
    auto carved = CarvedTable::carve(path);
    if (!carved || carved->entries().empty()) return unreadable(opened);
    std::unique_ptr<RawTable> table(new RawTable(std::move(reader)));
    table->carved_.emplace(std::move(carved).value());
    table->complaint_ = opened.ToString();
    return table;
  }
  reader->renew();
  std::unique_ptr<RawTable> table(new RawTable(std::move(reader)));
  if (const auto properties = table->reader_->table.GetTableProperties()) {
    table->container_ = properties->column_family_name;
  }
  table->key_bytes_ =
      table->container_.starts_with(kFramesContainerPrefix) ? kGroupKeyBytes : kRowKeyBytes;
  return table;
}

bool RawTable::valid() const {
  return carved_ ? at_ < carved_->entries().size() : reader_->at->Valid();
}

std::string_view RawTable::key() const {
  return carved_ ? std::string_view(carved_->entries()[at_].key)
                 : reader_->at->key().ToStringView();
}

std::string_view RawTable::value() {
  return carved_ ? carved_->value(carved_->entries()[at_]) : reader_->at->value().ToStringView();
}

// Between the entry before, or what was wanted, and where it is now. Nobody knows what followed the
// last entry, since nothing says where the data ended.
void RawTable::tell_hole(std::string after) {
  const auto& entries = carved_->entries();
  if (at_ < entries.size() && !entries[at_].follows_hole) return;
  std::string before = at_ < entries.size() ? entries[at_].key : std::string();
  if (on_unreadable_) {
    on_unreadable_({std::move(after), std::move(before), Error{Errc::corrupt, complaint_}});
  }
}

bool RawTable::has_failed() const { return !reader_->at->Valid() && !reader_->at->status().ok(); }

void RawTable::seek(std::string_view key) {
  if (carved_) {
    const auto& entries = carved_->entries();
    const auto found = std::lower_bound(entries.begin(), entries.end(), key,
                                        [](const CarvedTable::Entry& entry,
                                           std::string_view wanted) { return entry.key < wanted; });
    at_ = static_cast<std::size_t>(found - entries.begin());
    tell_hole({});
    return;
  }
  std::string first(key);
  if (has_failed()) reader_->renew();
  reader_->at->Seek(first);
  if (!has_failed()) return;
  first.resize(std::max(first.size(), key_bytes_), '\0');
  step_over(std::move(first), {});
}

void RawTable::next() {
  std::string last(key());
  if (carved_) {
    ++at_;
    tell_hole(std::move(last));
    return;
  }
  reader_->at->Next();
  if (!has_failed()) return;
  std::string first = last;
  if (first.size() < key_bytes_) {
    first.resize(key_bytes_, '\0');
  } else if (auto following = raised(first, 0)) {
    first = std::move(*following);
  }
  step_over(std::move(first), std::move(last));
}

// Of an iterator that has failed, RocksDB does not promise that it reads on elsewhere.
bool RawTable::can_read_at(const std::string& key) {
  reader_->renew();
  reader_->at->Seek(key);
  return !has_failed();
}

// Reading at `first_bad` fails. Ends at the least key above it at which it does not.
void RawTable::step_over(std::string first_bad, std::string after) {
  Unreadable told{std::move(after), {}, unreadable(reader_->at->status())};
  std::string bad = std::move(first_bad);
  bool is_over = false;
  for (int step = 0; step < kSingleSteps && key_bytes_ == kGroupKeyBytes && !is_over; ++step) {
    auto following = raised(bad, 0);
    if (!following) break;
    is_over = can_read_at(*following);
    if (!is_over) bad = std::move(*following);
  }
  if (!is_over) {
    // The least power of two that gets over it, then what of it is too much.
    std::size_t bit = 0;
    for (std::optional<std::string> far; (far = raised(bad, bit)) && !can_read_at(*far);) ++bit;
    while (bit-- > 0) {
      auto far = raised(bad, bit);
      if (far && !can_read_at(*far)) bad = std::move(*far);
    }
    // Nothing lies above the greatest key: the failure stands, and is the end of this table.
    if (const auto following = raised(bad, 0)) can_read_at(*following);
  }
  if (valid()) told.before = key();
  if (on_unreadable_) on_unreadable_(told);
}

}  // namespace standpipe::storage
