#include "storage/archive.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <random>
#include <utility>

#include "storage/appender_impl.h"
#include "storage/core.h"
#include "storage/reader_impl.h"

namespace standpipe::storage {
namespace {

constexpr std::size_t kStreamsMax = 128;
constexpr std::size_t kNameBytesMax = 64;

bool is_stream_name(std::string_view name) {
  const auto is_letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  if (name.empty() || name.size() > kNameBytesMax || !is_letter_or_digit(name.front()))
    return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

UniqueId new_id() {
  std::random_device source;
  UniqueId id{};
  for (std::byte& byte : id) byte = static_cast<std::byte>(source() & 0xFFU);
  return id;
}

Error no_stream() { return Error{Errc::not_found, "there is no such stream"}; }

}  // namespace

class Archive::Impl {
 public:
  explicit Impl(std::unique_ptr<Core> open) : core(std::move(open)) {}

  std::unique_ptr<Core> core;
  bool is_closed = false;
};

Archive::Archive(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Archive::~Archive() = default;

Result<std::unique_ptr<Archive>> Archive::open(const std::filesystem::path& dir,
                                               ArchiveOptions options) {
  STANDPIPE_TRY(std::unique_ptr<Core> core, Core::open(dir, std::move(options)));
  return std::unique_ptr<Archive>(new Archive(std::make_unique<Impl>(std::move(core))));
}

Result<void> Archive::close() {
  Core& core = *impl_->core;
  if (impl_->is_closed || core.options.access != Access::write) return {};
  core.is_stopping = true;
  const std::lock_guard work(impl_->core->partition_work);
  core.wait_for_background();
  core.stop_thread();
  const std::lock_guard writing(core.write_mutex);
  STANDPIPE_CHECK(core.check_writable());
  STANDPIPE_CHECK(core.change([](Store& store) { return store.flush_all(); }));
  STANDPIPE_CHECK(core.write_witness(/*is_clean=*/true));
  core.release();
  impl_->is_closed = true;
  return {};
}

const std::filesystem::path& Archive::directory() const { return impl_->core->dir; }
UniqueId Archive::unique_id() const {
  const std::lock_guard lock(impl_->core->mutex);
  return impl_->core->format.archive;
}
std::uint32_t Archive::format_version() const {
  const std::lock_guard lock(impl_->core->mutex);
  return impl_->core->format.version;
}

namespace {

StreamInfo describe(const Core& core, const StreamState& stream) {
  StreamInfo info;
  info.id = stream.row.id;
  info.unique_id = stream.row.unique_id;
  info.spec = stream.row.spec;
  info.created_ms = stream.row.created_ms;
  for (const EpochState& epoch : stream.epochs) info.epochs.push_back(core.describe(epoch));
  return info;
}

EpochRow new_epoch_row(StreamId stream, EpochNumber number, std::int64_t now_ms,
                       std::string reason) {
  return {stream, number, new_id(), now_ms, std::move(reason)};
}

void add_epoch_rows(StoreBatch& batch, const EpochRow& row) {
  batch.put(kMetaContainer, epoch_key(row.stream, row.number), encode_epoch_row(row));
  batch.put(kMetaContainer, head_key(row.stream, row.number), encode_head_row(HeadRow{}));
}

// The caller holds write_mutex.
Result<StreamInfo> create_stream(Core& core, const StreamSpec& spec) {
  StreamState stream;
  CountersRow counters;
  {
    const std::lock_guard lock(core.mutex);
    if (core.streams.size() >= kStreamsMax) {
      return Error{Errc::limit,
                   "an archive holds at most " + std::to_string(kStreamsMax) + " streams"};
    }
    counters = core.counters;
  }
  stream.row.id = StreamId{counters.next_stream++};
  stream.row.unique_id = new_id();
  stream.row.spec = spec;
  stream.row.shares_container = spec.kind == StreamKind::labels;  // labelers are quiet
  stream.row.created_ms = core.options.clock->now_ms();
  EpochState& epoch = stream.epochs.emplace_back();
  epoch.row = new_epoch_row(stream.row.id, EpochNumber{1}, stream.row.created_ms, "the first");
  StoreBatch batch;
  batch.put(kMetaContainer, stream_key(stream.row.id), encode_stream_row(stream.row));
  batch.put(kMetaContainer, counters_key(), encode_counters_row(counters));
  add_epoch_rows(batch, epoch.row);
  STANDPIPE_CHECK(core.write(batch));
  const std::lock_guard lock(core.mutex);
  core.counters = counters;
  core.publish(epoch);
  return describe(core, core.streams.emplace(stream.row.id, std::move(stream)).first->second);
}

// The caller holds write_mutex.
Result<void> change_stream(Core& core, const StreamRow& row) {
  StoreBatch batch;
  batch.put(kMetaContainer, stream_key(row.id), encode_stream_row(row));
  STANDPIPE_CHECK(core.write(batch));
  const std::lock_guard lock(core.mutex);
  core.find_stream(row.id)->row = row;
  return {};
}

}  // namespace

std::vector<StreamInfo> Archive::streams() const {
  const Core& core = *impl_->core;
  const std::lock_guard lock(core.mutex);
  std::vector<StreamInfo> infos;
  for (const auto& [id, stream] : core.streams) infos.push_back(describe(core, stream));
  return infos;
}

std::optional<StreamInfo> Archive::find_stream(std::string_view name) const {
  const Core& core = *impl_->core;
  const std::lock_guard lock(core.mutex);
  for (const auto& [id, stream] : core.streams) {
    if (stream.row.spec.name == name) return describe(core, stream);
  }
  return std::nullopt;
}

Result<void> check_stream_name(std::string_view name) {
  if (is_stream_name(name)) return {};
  return Error{Errc::invalid, "stream name '" + std::string(name) +
                                  "': 1 to 64 of a-z, 0-9, '.', '_' and '-', and a letter or "
                                  "digit first"};
}

Result<StreamInfo> Archive::ensure_stream(const StreamSpec& spec, bool change_upstream) {
  STANDPIPE_CHECK(check_stream_name(spec.name));
  Core& core = *impl_->core;
  const std::lock_guard writing(core.write_mutex);
  std::optional<StreamInfo> found = find_stream(spec.name);
  if (!found) {
    STANDPIPE_CHECK(core.check_writable());
    return create_stream(core, spec);
  }
  if (found->spec.kind != spec.kind) {
    return Error{Errc::invalid, "stream " + spec.name + " is of kind " +
                                    std::string(to_string(found->spec.kind)) + ", not " +
                                    std::string(to_string(spec.kind))};
  }
  const bool has_other_url = !spec.url.empty() && spec.url != found->spec.url;
  const bool has_other_density =
      spec.density != Density::automatic && spec.density != found->spec.density;
  if (!has_other_url && !has_other_density) return *found;
  if (has_other_url && !found->spec.url.empty() && !change_upstream) {
    return Error{Errc::invalid, "stream " + spec.name + " follows " + found->spec.url + ", not " +
                                    spec.url +
                                    ": another upstream has other seqs, so this must be "
                                    "asked for (--change-upstream)"};
  }
  StreamRow row;
  {
    const std::lock_guard lock(core.mutex);
    row = core.find_stream(found->id)->row;
  }
  if (has_other_url) row.spec.url = spec.url;
  if (has_other_density) row.spec.density = spec.density;
  STANDPIPE_CHECK(core.check_writable());
  STANDPIPE_CHECK(change_stream(core, row));
  return *find_stream(spec.name);
}

Result<EpochInfo> Archive::begin_epoch(StreamId stream, std::string reason) {
  Core& core = *impl_->core;
  const std::lock_guard work(impl_->core->partition_work);
  std::optional<PartitionId> sealed;
  EpochInfo info;
  {
    const std::lock_guard writing(core.write_mutex);
    STANDPIPE_CHECK(core.check_writable());
    EpochNumber last{};
    {
      const std::lock_guard lock(core.mutex);
      const StreamState* state = core.find_stream(stream);
      if (state == nullptr) return no_stream();
      last = state->epochs.back().row.number;
    }
    STANDPIPE_TRY(sealed, seal_open(core, stream, last));
    EpochState epoch;
    epoch.row =
        new_epoch_row(stream, EpochNumber{to_int(last) + 1}, core.options.clock->now_ms(), reason);
    StoreBatch batch;
    add_epoch_rows(batch, epoch.row);
    {
      const std::lock_guard lock(core.mutex);
      core.add_note(batch, {0, stream, epoch.row.started_ms, "epoch", std::move(reason)});
    }
    STANDPIPE_CHECK(core.write(batch));
    const std::lock_guard lock(core.mutex);
    StreamState* state = core.find_stream(stream);
    state->has_appender = false;  // one that is still held ends with its next commit
    core.publish(state->epochs.emplace_back(std::move(epoch)));
    info = core.describe(state->epochs.back());
  }
  if (sealed) STANDPIPE_CHECK(finish_sealing(core, *sealed));
  return info;
}

Result<Appender> Archive::appender(StreamId stream) {
  Core& core = *impl_->core;
  const std::lock_guard writing(core.write_mutex);
  STANDPIPE_CHECK(core.check_writable());
  STANDPIPE_TRY(std::unique_ptr<Appender::Impl> impl, Appender::Impl::make(core, stream));
  return Appender(std::move(impl));
}

Result<Reader> Archive::reader(StreamId stream, EpochNumber epoch) const {
  Core& core = *impl_->core;
  const std::lock_guard lock(core.mutex);
  const EpochState* state = core.find_epoch(stream, epoch);
  if (state == nullptr) {
    return Error{Errc::not_found, "there is no such stream, or no epoch " +
                                      std::to_string(to_int(epoch)) + " of it"};
  }
  return Reader(std::make_unique<Reader::Impl>(core, state->channel));
}

Seq Archive::newest(StreamId stream, EpochNumber epoch) const {
  Core& core = *impl_->core;
  const std::lock_guard lock(core.mutex);
  const EpochState* state = core.find_epoch(stream, epoch);
  return state == nullptr ? kSeqNone : state->channel->newest();
}

Result<std::vector<Gap>> Archive::gaps(StreamId stream, EpochNumber epoch, Seq after, Seq before,
                                       std::size_t max) const {
  Core& core = *impl_->core;
  const std::lock_guard lock(core.mutex);
  const EpochState* state = core.find_epoch(stream, epoch);
  if (state == nullptr) return no_stream();
  return state->gaps.query(after, before, max);
}

namespace {

// The newest rows under a prefix whose numbers are known, newest first.
template <typename Row, typename Numbers, typename Key, typename Parse>
Result<std::vector<Row>> newest_rows(Core& core, std::string_view container, const Numbers& numbers,
                                     std::size_t max, Key key, Parse parse) {
  std::vector<Row> rows;
  const std::shared_lock lock(core.store_mutex);
  if (core.store == nullptr) return Error{Errc::closed, "the archive is closed"};
  for (auto number = numbers.rbegin(); number != numbers.rend() && rows.size() < max; ++number) {
    STANDPIPE_TRY(const std::optional<std::string> value, core.store->get(container, key(*number)));
    if (!value) continue;  // gone since the numbers were taken
    STANDPIPE_TRY(Row row, parse(*value));
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

Result<std::vector<QuarantineEntry>> Archive::quarantine(std::size_t max) const {
  Core& core = *impl_->core;
  std::vector<std::uint64_t> numbers;
  {
    const std::lock_guard lock(core.mutex);
    numbers = core.quarantine.numbers();
  }
  return newest_rows<QuarantineEntry>(core, kQuarantineContainer, numbers, max, quarantine_key,
                                      parse_quarantine_row);
}

Result<std::vector<Note>> Archive::notes(std::size_t max) const {
  Core& core = *impl_->core;
  std::deque<std::uint64_t> numbers;
  {
    const std::lock_guard lock(core.mutex);
    numbers = core.notes;
  }
  return newest_rows<Note>(core, kMetaContainer, numbers, max, note_key, parse_note_row);
}

std::vector<PartitionInfo> Archive::partitions() const {
  const Core& core = *impl_->core;
  const std::lock_guard lock(core.mutex);
  std::vector<PartitionInfo> all;
  for (const auto& [id, partition] : core.partitions) all.push_back(partition);
  std::sort(all.begin(), all.end(), [](const PartitionInfo& a, const PartitionInfo& b) {
    return std::tuple(a.stream, a.epoch, a.first, a.id) <
           std::tuple(b.stream, b.epoch, b.first, b.id);
  });
  return all;
}

Result<void> Archive::seal(StreamId stream) {
  Core& core = *impl_->core;
  const std::lock_guard work(impl_->core->partition_work);
  std::optional<PartitionId> sealed;
  {
    const std::lock_guard writing(core.write_mutex);
    STANDPIPE_CHECK(core.check_writable());
    EpochNumber epoch{};
    {
      const std::lock_guard lock(core.mutex);
      const StreamState* state = core.find_stream(stream);
      if (state == nullptr) return no_stream();
      epoch = state->epochs.back().row.number;
    }
    STANDPIPE_TRY(sealed, seal_open(core, stream, epoch));
  }
  return sealed ? finish_sealing(core, *sealed) : Result<void>();
}

Result<void> Archive::drop_partition(PartitionId id) {
  const std::lock_guard work(impl_->core->partition_work);
  STANDPIPE_CHECK(impl_->core->check_writable());
  return storage::drop_partition(*impl_->core, id);
}

Result<std::size_t> Archive::apply_retention() { return drop_expired(*impl_->core); }

Result<PartitionId> Archive::rewrite_partition(PartitionId id) {
  const std::lock_guard work(impl_->core->partition_work);
  STANDPIPE_CHECK(impl_->core->check_writable());
  return storage::rewrite_partition(*impl_->core, id);
}

std::vector<Archive::TableFile> Archive::table_files() const {
  const Core& core = *impl_->core;
  std::vector<TableFile> files;
  const std::shared_lock lock(core.store_mutex);
  if (core.store == nullptr) return files;
  for (StoreTable& table : core.store->tables()) {
    files.push_back({std::move(table.name), table.bytes, std::move(table.checksum)});
  }
  return files;
}

Result<std::filesystem::path> Archive::make_checkpoint() {
  Core& core = *impl_->core;
  const std::lock_guard work(core.partition_work);
  STANDPIPE_CHECK(core.check_writable());
  STANDPIPE_CHECK(storage::remove_checkpoint(core.dir));
  // So that the log, which has to be copied while nobody writes, is short.
  STANDPIPE_CHECK(core.change([](Store& store) { return store.flush_all(); }));
  const std::lock_guard writing(core.write_mutex);
  return storage::make_checkpoint(core);
}

Result<void> Archive::remove_checkpoint() {
  Core& core = *impl_->core;
  const std::lock_guard work(core.partition_work);
  return storage::remove_checkpoint(core.dir);
}

Result<void> Archive::verify_files() const {
  Core& core = *impl_->core;
  const std::lock_guard work(impl_->core->partition_work);  // which would move what is looked at
  const auto verify = [&core, this]() -> Result<void> {
    const std::shared_lock lock(core.store_mutex);
    if (core.store == nullptr) return Error{Errc::closed, "the archive is closed"};
    STANDPIPE_CHECK(core.store->verify_files());
    for (const PartitionInfo& partition : partitions()) {
      const bool is_readable = partition.frames > 0 &&
                               partition.state != PartitionState::dropping &&
                               partition.state != PartitionState::building;
      if (is_readable) STANDPIPE_CHECK(verify_partition(*core.store, partition));
    }
    return {};
  };
  Result<void> verified = verify();
  if (!verified && verified.error().code == Errc::corrupt) core.fail(verified.error());
  return verified;
}

Result<void> Archive::try_resume() {
  Core& core = *impl_->core;
  const std::lock_guard work(impl_->core->partition_work);
  core.wait_for_background();
  {
    const std::lock_guard lock(core.mutex);
    if (core.health == Health::ok) return {};
    if (core.health != Health::disk_full) return Error{Errc::closed, core.health_detail};
  }
  // What is only short of room comes back by itself; what has failed a write must be re-opened.
  Result<void> room = core.check_room();
  const bool has_failed = [&core] {
    const std::lock_guard lock(core.mutex);
    return core.writer_failed;
  }();
  if (!has_failed) return room;
  if (core.free_bytes() < core.options.free_bytes_min) return room;
  return core.load_again();
}

Health Archive::health() const {
  const std::lock_guard lock(impl_->core->mutex);
  return impl_->core->health;
}

ArchiveStats Archive::stats() const {
  Core& core = *impl_->core;
  ArchiveStats stats;
  {
    const std::shared_lock lock(core.store_mutex);
    if (core.store != nullptr) {
      const StoreStats store = core.store->stats();
      stats.stored_bytes = store.table_bytes;
      stats.log_bytes = store.log_bytes;
      stats.families = store.families;
      stats.bytes_written_log = store.written_log;
      stats.bytes_written_flush = store.written_flush;
      stats.bytes_written_compaction = store.written_compaction;
    }
  }
  const RunCacheStats cache = core.cache.stats();
  stats.run_cache_hits = cache.hits;
  stats.run_cache_misses = cache.misses;
  stats.run_cache_bytes = cache.bytes;
  stats.free_bytes = core.free_bytes();
  const std::lock_guard lock(core.mutex);
  stats.health = core.health;
  stats.health_detail = core.health_detail;
  stats.quarantine_entries = core.quarantine.entries();
  stats.quarantine_bytes = core.quarantine.bytes();
  stats.partitions = core.partitions.size();
  stats.reopens = core.reopens;
  stats.retention_partitions = core.dropped.partitions;
  stats.retention_frames = core.dropped.frames;
  stats.retention_bytes = core.dropped.stored_bytes;
  return stats;
}

}  // namespace standpipe::storage
