#include "storage/repair_directory.h"

#include <algorithm>
#include <random>

#include "schema/base/bytes.h"
#include "storage/store.h"

namespace standpipe::storage {
namespace {

// As the appender judges it (storage/appender_judge.cc) by the same two counts.
constexpr std::uint64_t kDensitySteps = 64;

UniqueId random_id() {
  std::random_device source;
  UniqueId id{};
  for (std::byte& byte : id) byte = static_cast<std::byte>(source() & 0xFFU);
  return id;
}

std::string hex(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xFU];
  }
  return text;
}

// Parses rows into the directory, one kind a letter.
class RowTaker {
 public:
  explicit RowTaker(RepairedDirectory& directory) : directory_(directory) {}

  void take(const std::string& key, const std::string& value) {
    switch (key.empty() ? '\0' : key.front()) {
      case 'C':
        accept(key, parse_counters_row(value), [&](CountersRow row) { directory_.counters = row; });
        break;
      case 'S':
        accept(key, parse_stream_row(value), [&](StreamRow row) {
          const StreamId id = row.id;
          directory_.streams[id] = std::move(row);
        });
        break;
      case 'E':
        accept(key, parse_epoch_row(value), [&](EpochRow row) {
          const EpochKey epoch{row.stream, row.number};
          directory_.epochs[epoch] = std::move(row);
        });
        break;
      case 'H':
        take_head(key, value);
        break;
      case 'P':
        accept(key, parse_partition_row(value), [&](PartitionInfo row) {
          const PartitionId id = row.id;
          directory_.partitions[id] = std::move(row);
        });
        break;
      case 'G':
        take_gap(key, value);
        break;
      case 'N':
        accept(key, parse_note_row(value), [&](const Note& row) {
          directory_.others[key] = value;
          directory_.next_note = std::max(directory_.next_note, row.number + 1);
        });
        break;
      default:
        directory_.others[key] = value;
        break;
    }
  }

 private:
  template <typename Row, typename Use>
  void accept(const std::string& key, Result<Row> row, const Use& use) {
    if (row) {
      use(std::move(row).value());
    } else {
      directory_.unreadable.push_back("row " + hex(key) + " of meta: " + row.error().detail);
    }
  }

  static EpochKey epoch_of(std::string_view key) {
    const ByteView bytes = as_bytes(key);
    return {StreamId{load_be<std::uint32_t>(bytes.data() + 1)},
            EpochNumber{load_be<std::uint32_t>(bytes.data() + 5)}};
  }

  void take_head(const std::string& key, const std::string& value) {
    if (key.size() != 9) return;
    accept(key, parse_head_row(value),
           [&](const HeadRow& row) { directory_.heads[epoch_of(key)] = row; });
  }

  // add() rather than from_rows(): of rows that cannot all be current, one explanation of each seq
  // stays.
  void take_gap(const std::string& key, const std::string& value) {
    if (key.size() != 17) return;
    accept(key, parse_gap_row(value), [&](const Gap& row) {
      if (distance(row.after, row.before) >= 2) directory_.gaps[epoch_of(key)].add(row);
    });
  }

  RepairedDirectory& directory_;
};

}  // namespace

Result<RepairedDirectory> RepairedDirectory::from_rows(const RowMap& rows) {
  RepairedDirectory directory;
  RowTaker taker(directory);
  bool has_format = false;
  for (const auto& [key, value] : rows) {
    if (key != format_key()) {
      taker.take(key, value);
      continue;
    }
    const auto format = parse_format_row(value);
    if (format && format->version > kFormatVersion) {
      return Error{Errc::unsupported, "the archive has format " + std::to_string(format->version) +
                                          "; this program knows formats up to " +
                                          std::to_string(kFormatVersion)};
    }
    has_format = format.has_value();
    if (format) directory.format = *format;
  }
  if (!has_format) directory.unreadable.emplace_back("meta has no format row");
  return directory;
}

EpochKey RepairedDirectory::place(const SelfDescription& text, const PartitionInfo* row,
                                  std::int64_t now_ms) {
  StreamId id{};
  for (const auto& [known, stream] : streams) {
    if (stream.unique_id == text.stream) id = known;
  }
  if (id == StreamId{}) {
    id = row != nullptr ? row->stream : StreamId{1};
    while (streams.contains(id)) id = StreamId{to_int(id) + 1};
    StreamRow stream;
    stream.id = id;
    stream.unique_id = text.stream;
    stream.spec.name = text.stream_name;
    stream.spec.kind = text.kind;
    stream.created_ms = now_ms;
    streams[id] = std::move(stream);
    remarks.push_back("stream " + text.stream_name +
                      " is known from its partitions alone: its URL is not, and is to be named "
                      "again (--change-upstream)");
  }
  const EpochKey epoch{id, text.epoch_number};
  if (!epochs.contains(epoch)) {
    epochs[epoch] = {id, text.epoch_number, text.epoch, now_ms, "repair"};
    remarks.push_back("epoch " + std::to_string(to_int(text.epoch_number)) + " of stream " +
                      text.stream_name + " is known from its partitions alone");
  }
  return epoch;
}

std::optional<EpochKey> RepairedDirectory::place_by_name(std::string_view container) const {
  std::optional<EpochKey> found;
  for (const auto& [epoch, row] : epochs) {
    const auto stream = streams.find(epoch.first);
    if (stream == streams.end()) continue;
    const std::string prefix = std::string(kFramesContainerPrefix) + stream->second.spec.name + "/";
    if (!container.starts_with(prefix)) continue;
    if (found) return std::nullopt;  // of which of them, nobody can tell
    found = epoch;
  }
  return found;
}

void RepairedDirectory::complete(const std::optional<WitnessState>& witness, std::int64_t now_ms) {
  if (format.archive == UniqueId{}) {
    format = {kFormatVersion, witness ? witness->archive : random_id(), now_ms};
    remarks.emplace_back(witness ? "the archive's id is taken from its witness"
                                 : "the archive has a new id: the old one is gone");
  }
  std::erase_if(epochs, [&](const auto& entry) { return !streams.contains(entry.first.first); });
  for (const auto& [id, row] : streams) {
    const bool has_epoch = std::any_of(epochs.begin(), epochs.end(), [id = id](const auto& entry) {
      return entry.first.first == id;
    });
    if (has_epoch) continue;
    epochs[{id, EpochNumber{1}}] = {id, EpochNumber{1}, random_id(), now_ms, "repair"};
    remarks.push_back("stream " + row.spec.name + " has lost the rows of its epochs");
  }
  for (const auto& [id, row] : streams) {
    counters.next_stream = std::max(counters.next_stream, to_int(id) + 1);
  }
  for (const auto& [id, row] : partitions) {
    counters.next_partition = std::max(counters.next_partition, to_int(id) + 1);
  }
  // How far each had come. What the head does not say of it, the witness may.
  if (!witness || witness->archive != format.archive) return;
  for (const WitnessEntry& entry : witness->entries) {
    const EpochKey epoch{entry.stream, entry.epoch};
    if (!epochs.contains(epoch)) {
      remarks.push_back("of stream number " + std::to_string(to_int(entry.stream)) + ", epoch " +
                        std::to_string(to_int(entry.epoch)) + ", nothing is left, not even its " +
                        "name; its witness saw seq " + std::to_string(to_int(entry.newest)));
      continue;
    }
    HeadRow& head = heads[epoch];
    head.newest = std::max(head.newest, entry.newest);
    head.floor = std::max(head.floor, entry.floor);
  }
}

bool RepairedDirectory::is_dense(const EpochKey& epoch) const {
  const StreamSpec& spec = streams.at(epoch.first).spec;
  if (spec.density != Density::automatic) return spec.density == Density::dense;
  if (spec.kind == StreamKind::labels) return false;
  const auto head = heads.find(epoch);
  if (head == heads.end()) return true;
  const HeadRow& row = head->second;
  return row.steps < kDensitySteps || row.steps_skipping * 4 <= row.steps;
}

}  // namespace standpipe::storage
