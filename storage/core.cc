#include "storage/core.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include "schema/base/assert.h"
#include "schema/base/log.h"
#include "storage/log_check.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kWitnessIntervalMs = 1000;

UniqueId random_id() {
  std::random_device source;
  UniqueId id{};
  for (std::byte& byte : id) byte = static_cast<std::byte>(source() & 0xFFU);
  return id;
}

Result<void> sync_directory(const fs::path& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (is_synced) return {};
  return Error{Errc::io, "cannot sync " + dir.string() + ": " + std::strerror(error)};
}

// Makes DIR and DIR/db, and the entries that name them durable: RocksDB only syncs inside DIR/db.
Result<void> make_directories(const fs::path& dir) {
  const fs::path whole = fs::absolute(dir).lexically_normal();
  std::vector<fs::path> missing;
  for (fs::path path = whole / "db"; !fs::exists(path); path = path.parent_path()) {
    missing.push_back(path);
  }
  for (auto path = missing.rbegin(); path != missing.rend(); ++path) {
    std::error_code failed;
    fs::create_directory(*path, failed);
    if (failed) {
      return Error{Errc::io, "cannot create " + path->string() + ": " + failed.message()};
    }
    STANDPIPE_CHECK(sync_directory(path->parent_path()));
  }
  return {};
}

Error corrupt(std::string detail) { return Error{Errc::corrupt, std::move(detail)}; }

std::string id_text(PartitionId id) { return "partition " + std::to_string(to_int(id)); }

}  // namespace

Core::Core(fs::path directory, ArchiveOptions archive_options, DirectoryLock lock)
    : dir(std::move(directory)),
      options(std::move(archive_options)),
      quarantine(options),
      cache(options.run_cache_bytes),
      lock_(std::move(lock)) {}

Core::~Core() { stop_thread(); }

Result<std::unique_ptr<Core>> Core::open(const fs::path& dir, ArchiveOptions options) {
  const bool writes = options.access == Access::write;
  if (writes && options.create_if_missing) {
    STANDPIPE_CHECK(make_directories(dir));
  } else if (!fs::exists(dir / "db" / "CURRENT") && !fs::exists(dir / "witness")) {
    return Error{Errc::not_found, "no archive in " + dir.string()};
  }
  STANDPIPE_TRY(DirectoryLock lock, DirectoryLock::acquire(dir, options.access));
  std::unique_ptr<Core> core(new Core(dir, std::move(options), std::move(lock)));
  STANDPIPE_CHECK(core->check_before_writing());
  if (writes) {
    STANDPIPE_TRY(core->store, Store::open(dir / "db", core->options));
    STANDPIPE_CHECK(core->load(/*may_begin=*/true));
    STANDPIPE_CHECK(recover_partitions(*core));
  }
  {
    const std::lock_guard publishing(core->mutex);
    core->publish_all();
  }
  if (writes) {
    STANDPIPE_CHECK(core->note_witness_warning());
    STANDPIPE_CHECK(core->write_witness(/*is_clean=*/false));
    STANDPIPE_CHECK(sync_directory(dir));  // the lock and the witness may be new
    if (core->options.background) {
      core->thread_ =
          std::jthread([raw = core.get()](const std::stop_token& stop) { raw->run_thread(stop); });
    }
  } else {
    core->health = Health::read_only;
  }
  return core;
}

// Everything that can tell damage, a newer format or a lost database is looked at before RocksDB
// opens for writing, since that already deletes what the manifest does not name.
Result<void> Core::check_before_writing() {
  STANDPIPE_TRY(witness_, Witness::open(dir / "witness"));
  if (options.access == Access::write) STANDPIPE_CHECK(cut_torn_manifest(dir / "db"));
  STANDPIPE_CHECK(check_manifest(dir / "db"));
  if (!fs::exists(dir / "db" / "CURRENT")) {
    if (witness_->state()) {
      return corrupt("the database of " + dir.string() + " is gone, though " +
                     (dir / "witness").string() + " says that there was one");
    }
    return {};
  }
  STANDPIPE_CHECK(open_to_look());
  STANDPIPE_CHECK(load(/*may_begin=*/false));
  if (options.access == Access::write) store.reset();
  return {};
}

// Opens the store read-only, and tells damaged logs from torn ones.
Result<void> Core::open_to_look() {
  ArchiveOptions read_only = options;
  read_only.access = Access::read_only;
  STANDPIPE_TRY(store, Store::open(dir / "db", read_only));
  return check_logs(dir / "db", store->first_live_log());
}

Result<void> Core::load(bool may_begin) {
  streams.clear();
  partitions.clear();
  notes.clear();
  counters = {};
  quarantine = Quarantine(options);
  std::optional<std::string> row;
  if (store->has_container(kMetaContainer)) {
    STANDPIPE_TRY(row, store->get(kMetaContainer, format_key()));
  }
  if (!row) return begin_archive(may_begin);
  STANDPIPE_TRY(format, parse_format_row(*row));
  if (format.version > kFormatVersion) {
    return Error{Errc::unsupported, dir.string() + " has format " + std::to_string(format.version) +
                                        "; this program knows formats up to " +
                                        std::to_string(kFormatVersion)};
  }
  STANDPIPE_CHECK(load_rows());
  STANDPIPE_CHECK(check_partitions());
  STANDPIPE_CHECK(check_witness());
  return quarantine.load(*store);
}

// There is no format row: a new archive, or one whose making was interrupted, or one that lost it.
Result<void> Core::begin_archive(bool may_begin) {
  for (const std::string& name : store->containers()) {
    STANDPIPE_TRY(const auto scan, store->scan(name, /*bulk=*/false));
    scan->seek({});
    STANDPIPE_CHECK(scan->status());
    if (scan->valid()) {
      return corrupt(dir.string() + " has no format row, but column family " + name +
                     " is not empty");
    }
  }
  if (witness_->state()) {
    return corrupt("the contents of " + dir.string() + " are gone, though " +
                   (dir / "witness").string() + " says that there were some");
  }
  if (options.access != Access::write)
    return Error{Errc::not_found, "no archive in " + dir.string()};
  format = FormatRow{kFormatVersion, random_id(), options.clock->now_ms()};
  if (!may_begin) return {};
  StoreBatch batch;
  batch.put(kMetaContainer, format_key(), encode_format_row(format));
  batch.put(kMetaContainer, counters_key(), encode_counters_row(counters));
  return store->write(batch);
}

Result<void> Core::load_rows() {
  STANDPIPE_TRY(const auto scan, store->scan(kMetaContainer, /*bulk=*/true));
  std::vector<EpochRow> epochs;
  std::vector<std::pair<std::string, HeadRow>> heads;
  std::vector<std::pair<std::string, Gap>> gaps;
  std::vector<std::string> resets;
  for (scan->seek({}); scan->valid(); scan->next()) {
    const std::string_view key = scan->key();
    const std::string_view value = scan->value();
    switch (key.empty() ? '\0' : key.front()) {
      case 'C': {
        STANDPIPE_TRY(counters, parse_counters_row(value));
        break;
      }
      case 'S': {
        STANDPIPE_TRY(StreamRow stream, parse_stream_row(value));
        const StreamId id = stream.id;
        streams[id].row = std::move(stream);
        break;
      }
      case 'E': {
        STANDPIPE_TRY(EpochRow epoch, parse_epoch_row(value));
        epochs.push_back(std::move(epoch));
        break;
      }
      case 'H': {
        STANDPIPE_TRY(HeadRow head, parse_head_row(value));
        heads.emplace_back(key, std::move(head));
        break;
      }
      case 'P': {
        STANDPIPE_TRY(PartitionInfo partition, parse_partition_row(value));
        partitions.emplace(partition.id, std::move(partition));
        break;
      }
      case 'G': {
        STANDPIPE_TRY(Gap gap, parse_gap_row(value));
        gaps.emplace_back(key, std::move(gap));
        break;
      }
      case 'N': {
        STANDPIPE_TRY(const Note note, parse_note_row(value));
        notes.push_back(note.number);
        next_note = note.number + 1;
        break;
      }
      case 'U':
        resets.emplace_back(key);
        break;
      default:
        break;  // the format row, and what later versions of this format keep beside it
    }
  }
  STANDPIPE_CHECK(scan->status());
  // Epochs come in key order: by stream, then by number.
  for (EpochRow& row : epochs) {
    StreamState* stream = find_stream(row.stream);
    if (stream == nullptr) return corrupt("an epoch of a stream that the directory does not know");
    stream->epochs.emplace_back().row = std::move(row);
  }
  for (auto& [id, stream] : streams) {
    if (stream.epochs.empty()) return corrupt("stream " + stream.row.spec.name + " has no epoch");
    for (EpochState& epoch : stream.epochs) {
      const std::string wanted = head_key(id, epoch.row.number);
      const auto head = std::find_if(heads.begin(), heads.end(),
                                     [&](const auto& entry) { return entry.first == wanted; });
      if (head == heads.end()) {
        return corrupt("stream " + stream.row.spec.name + " has an epoch without a head");
      }
      epoch.head = head->second;
      epoch.was_reset =
          std::find(resets.begin(), resets.end(), reset_key(id, epoch.row.number)) != resets.end();
      const std::string prefix = gap_key(id, epoch.row.number, kSeqNone).substr(0, 9);
      std::vector<Gap> own;
      for (const auto& [key, gap] : gaps) {
        if (std::string_view(key).substr(0, prefix.size()) == prefix) own.push_back(gap);
      }
      STANDPIPE_TRY(epoch.gaps, GapSet::from_rows(std::move(own)));
    }
  }
  return {};
}

// The directory is the authority on which partitions exist; the families must agree.
Result<void> Core::check_partitions() {
  std::vector<std::string> named;
  for (const auto& [id, partition] : partitions) {
    named.push_back(partition.container);
    const bool must_exist = partition.state == PartitionState::open ||
                            partition.state == PartitionState::sealing ||
                            partition.state == PartitionState::sealed;
    if (must_exist && !store->has_container(partition.container)) {
      return corrupt("column family " + partition.container + " of " + id_text(id) + ", seqs " +
                     std::to_string(to_int(partition.first)) + " to " +
                     std::to_string(to_int(partition.last)) + ", is gone");
    }
    if (find_epoch(partition.stream, partition.epoch) == nullptr) {
      return corrupt(id_text(id) + " belongs to an epoch that the directory does not know");
    }
  }
  for (const std::string& name : store->containers()) {
    if (!name.starts_with(kFramesContainerPrefix)) continue;
    if (std::find(named.begin(), named.end(), name) != named.end()) continue;
    STANDPIPE_TRY(const auto scan, store->scan(name, /*bulk=*/false));
    scan->seek({});
    STANDPIPE_CHECK(scan->status());
    if (scan->valid() && name != std::string(kFramesContainerPrefix) + "shared") {
      return corrupt("column family " + name + " holds frames, but the directory does not know it");
    }
  }
  for (const auto& [id, stream] : streams) {
    for (const EpochState& epoch : stream.epochs) STANDPIPE_CHECK(check_open_partition(epoch));
  }
  return {};
}

// The head is written in the same batch as the frames that it counts: they must agree.
Result<void> Core::check_open_partition(const EpochState& epoch) {
  const HeadRow& head = epoch.head;
  if (head.open_partition == PartitionId{}) return {};
  const auto found = partitions.find(head.open_partition);
  if (found == partitions.end() || found->second.state != PartitionState::open) {
    return corrupt(id_text(head.open_partition) + " should be open, but the directory differs");
  }
  STANDPIPE_TRY(const auto scan, store->scan(found->second.container, /*bulk=*/false));
  scan->seek_for_previous(group_key(head.open_partition, kSeqMax));
  STANDPIPE_CHECK(scan->status());
  Seq last = kSeqNone;
  if (scan->valid()) {
    STANDPIPE_TRY(const GroupKey key, parse_group_key(scan->key()));
    if (key.partition == head.open_partition && key.first != kSeqNone) {
      STANDPIPE_TRY(const GroupView group, parse_group_header(scan->value()));
      last = group.frames.back().seq;
    }
  }
  if (last != head.open_last) {
    return corrupt(id_text(head.open_partition) + " in " + found->second.container +
                   " ends at seq " + std::to_string(to_int(last)) + ", its head says " +
                   std::to_string(to_int(head.open_last)));
  }
  found->second.first = head.open_first;
  found->second.last = head.open_last;
  found->second.clock_first_ms = head.open_clock_first_ms;
  found->second.clock_last_ms = head.open_clock_last_ms;
  found->second.frames = head.open_frames;
  found->second.raw_bytes = head.open_raw_bytes;
  found->second.groups = head.open_groups;
  found->second.digest = head.open_digest;
  return {};
}

Result<void> Core::check_witness() {
  if (!witness_->state()) return {};
  const WitnessState& seen = *witness_->state();
  const std::string path = (dir / "witness").string();
  if (seen.archive != format.archive) return corrupt(path + " is of another archive");
  for (const WitnessEntry& entry : seen.entries) {
    const EpochState* epoch = find_epoch(entry.stream, entry.epoch);
    const Seq newest = epoch == nullptr ? kSeqNone : epoch->head.newest;
    const Seq floor = epoch == nullptr ? kSeqNone : epoch->head.floor;
    if (newest < entry.newest || floor < entry.floor) {
      const StreamState* stream = find_stream(entry.stream);
      return corrupt("stream " + (stream == nullptr ? "?" : stream->row.spec.name) + ", epoch " +
                     std::to_string(to_int(entry.epoch)) + ", ends at seq " +
                     std::to_string(to_int(newest)) + ", but " + path + " saw seq " +
                     std::to_string(to_int(entry.newest)) +
                     " durable: acknowledged frames are gone, nothing was changed");
    }
  }
  return {};
}

void Core::publish_all() {
  for (auto& [id, stream] : streams) {
    for (EpochState& epoch : stream.epochs) publish(epoch);
  }
}

Result<void> Core::check_writable() const {
  const std::lock_guard lock(mutex);
  if (is_reopening) return Error{Errc::closed, "the archive is being re-opened"};
  if (health == Health::ok || health == Health::disk_full) return {};
  return Error{Errc::closed, "the archive takes nothing: " + std::string(to_string(health)) +
                                 (health_detail.empty() ? "" : ": " + health_detail)};
}

std::uint64_t Core::free_bytes() const {
  if (options.free_bytes) return options.free_bytes();
  struct statvfs info {};
  if (::statvfs(dir.c_str(), &info) != 0) return 0;
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Result<void> Core::check_room() {
  const std::uint64_t free = free_bytes();
  if (free >= options.free_bytes_min) {
    const std::lock_guard lock(mutex);
    if (health == Health::disk_full && !writer_failed) health = Health::ok;
    if (health != Health::disk_full) return {};
    return Error{Errc::limit, health_detail};
  }
  std::string detail = std::to_string(free) + " bytes are free on the file system of " +
                       dir.string() + ", at least " + std::to_string(options.free_bytes_min) +
                       " are wanted: make room, or lower the minimum";
  const std::lock_guard lock(mutex);
  if (health == Health::ok || health == Health::disk_full) {
    health = Health::disk_full;
    health_detail = detail;
  }
  return Error{Errc::limit, std::move(detail)};
}

void Core::fail(const Error& error) {
  const std::lock_guard lock(mutex);
  // The first failure is the cause. What fails after it, on another thread, follows from it; but
  // where room was missing, that may be the one that says so.
  if (writer_failed && !(error.code == Errc::limit && health == Health::storage_failed)) return;
  writer_failed = true;
  health = error.code == Errc::limit     ? Health::disk_full
           : error.code == Errc::corrupt ? Health::corrupt
                                         : Health::storage_failed;
  health_detail = error.detail;
}

Result<void> Core::change(const std::function<Result<void>(Store&)>& change) {
  {
    const std::lock_guard lock(mutex);
    if (writer_failed) return Error{Errc::closed, "an earlier write failed: " + health_detail};
  }
  const std::shared_lock lock(store_mutex);
  if (store == nullptr) return Error{Errc::closed, "the archive is closed"};
  Result<void> done = change(*store);
  if (!done) fail(done.error());
  return done;
}

Result<void> Core::write(const StoreBatch& batch) {
  return change([&batch](Store& open) { return open.write(batch); });
}

StreamState* Core::find_stream(StreamId id) {
  const auto found = streams.find(id);
  return found == streams.end() ? nullptr : &found->second;
}

EpochState* Core::find_epoch(StreamId id, EpochNumber number) {
  StreamState* stream = find_stream(id);
  if (stream == nullptr) return nullptr;
  for (EpochState& epoch : stream->epochs) {
    if (epoch.row.number == number) return &epoch;
  }
  return nullptr;
}

void Core::publish(EpochState& epoch) {
  auto view = std::make_shared<EpochView>();
  view->window_floor = epoch.head.window_floor;
  for (const auto& [id, partition] : partitions) {
    const bool is_readable = partition.state == PartitionState::open ||
                             partition.state == PartitionState::sealing ||
                             partition.state == PartitionState::sealed;
    if (is_readable && partition.stream == epoch.row.stream &&
        partition.epoch == epoch.row.number) {
      view->partitions.push_back(partition);
    }
  }
  // A rewritten partition has a newer id than its neighbours.
  std::sort(view->partitions.begin(), view->partitions.end(),
            [](const PartitionInfo& a, const PartitionInfo& b) { return a.first < b.first; });
  // Of a write that failed some may have taken effect. While the archive is not whole again, that
  // may be lost to a power cut still: nobody is shown more than what was acknowledged.
  const bool is_whole = !writer_failed && !is_reopening;
  const Seq shown = epoch.channel->newest();
  epoch.channel->publish(std::move(view),
                         is_whole ? epoch.head.newest : std::min(epoch.head.newest, shown));
}

EpochInfo Core::describe(const EpochState& epoch) const {
  EpochInfo info;
  info.stream = epoch.row.stream;
  info.number = epoch.row.number;
  info.id = epoch.row.id;
  info.started_ms = epoch.row.started_ms;
  info.reason = epoch.row.reason;
  if (epoch.head.has_origin) info.origin = epoch.head.origin;
  info.floor = epoch.head.floor;
  info.newest = epoch.channel->newest();
  info.was_reset = epoch.was_reset;
  info.window_floor = epoch.head.window_floor;
  info.clock_ms = epoch.head.clock_ms;
  for (const auto& [id, partition] : partitions) {
    if (partition.stream != epoch.row.stream || partition.epoch != epoch.row.number) continue;
    if (partition.state == PartitionState::dropping ||
        partition.state == PartitionState::building) {
      continue;
    }
    info.frames += partition.frames;
    info.raw_bytes += partition.raw_bytes;
  }
  return info;
}

bool Core::quarantine_admits(std::size_t bytes, std::int64_t now_ms) {
  const std::lock_guard lock(mutex);
  return quarantine.admit(bytes, now_ms);
}

std::int64_t Core::clock_of(PartitionId id) const {
  const std::lock_guard lock(mutex);
  const auto found = partitions.find(id);
  return found == partitions.end() ? 0 : found->second.clock_last_ms;
}

void Core::add_note(StoreBatch& batch, Note note) {
  note.number = next_note++;
  notes.push_back(note.number);
  batch.put(kMetaContainer, note_key(note.number), encode_note_row(note));
  while (notes.size() > options.notes_max) {
    batch.remove(kMetaContainer, note_key(notes.front()));
    notes.pop_front();
  }
}

// A slot that a power cut tore, or damage: the other slot stands, and somebody should know.
Result<void> Core::note_witness_warning() {
  if (witness_->warning().empty()) return {};
  log_warn("witness damaged: " + witness_->warning());
  const std::lock_guard writing(write_mutex);
  StoreBatch batch;
  {
    const std::lock_guard lock(mutex);
    add_note(batch, {0, StreamId{}, options.clock->now_ms(), "damage", witness_->warning()});
  }
  return write(batch);
}

WitnessState Core::witness_state(bool is_clean) const {
  WitnessState state;
  state.archive = format.archive;
  state.is_clean = is_clean;
  for (const auto& [id, stream] : streams) {
    const EpochState& newest = stream.epochs.back();
    if (state.entries.size() == kWitnessEntriesMax) break;
    state.entries.push_back({id, newest.row.number, newest.head.newest, newest.head.floor});
  }
  return state;
}

Result<void> Core::write_witness(bool is_clean) {
  WitnessState state;
  {
    const std::lock_guard lock(mutex);
    state = witness_state(is_clean);
  }
  witnessed_ms_ = options.clock->now_ms();
  return witness_->write(std::move(state));
}

void Core::write_witness_if_due() {
  {
    const std::lock_guard lock(mutex);
    if (writer_failed) return;
  }
  if (options.clock->now_ms() - witnessed_ms_ < kWitnessIntervalMs) return;
  if (const Result<void> written = write_witness(/*is_clean=*/false); !written) {
    fail(written.error());
  }
}

void Core::release() {
  {
    const std::unique_lock exclusive(store_mutex);
    store.reset();
  }
  cache.clear();
  lock_.reset();
  const std::lock_guard lock(mutex);
  health = Health::closed;
}

Result<void> Core::load_again() {
  STANDPIPE_CHECK(exchange_store());
  Result<void> recovered = recover_partitions(*this);
  const std::lock_guard lock(mutex);
  is_reopening = false;
  if (!recovered) {
    writer_failed = true;
    return recovered;
  }
  // A reader that found damage meanwhile has the last word.
  if (writer_failed) return Error{Errc::closed, health_detail};
  // Nobody may write before all that was found is shown: it would be told of what follows alone.
  publish_all();
  health = Health::ok;
  health_detail.clear();
  return {};
}

Result<void> Core::exchange_store() {
  const std::lock_guard writing(write_mutex);
  const std::unique_lock exclusive(store_mutex);
  const std::lock_guard lock(mutex);
  cache.clear();
  ++generation;
  ++reopens;
  Result<void> loaded = load_store(Access::write);
  if (loaded) {
    writer_failed = false;
    is_reopening = true;
    return loaded;
  }
  // No room, still: health stays as it is, and this can be tried again.
  if (loaded.error().code != Errc::limit) {
    health = loaded.error().code == Errc::corrupt ? Health::corrupt : Health::storage_failed;
  }
  health_detail = loaded.error().detail;
  // What cannot be opened for writing can perhaps be read: that needs no room.
  if (const Result<void> readable = load_store(Access::read_only); !readable) {
    store.reset();
    health_detail += "; nor can it be read: " + readable.error().detail;
  }
  return loaded;
}

// The caller holds all locks.
Result<void> Core::load_store(Access access) {
  ArchiveOptions wanted = options;
  wanted.access = access;
  store.reset();
  std::map<StreamId, std::vector<std::shared_ptr<EpochChannel>>> channels;
  for (const auto& [id, stream] : streams) {
    for (const EpochState& epoch : stream.epochs) channels[id].push_back(epoch.channel);
  }
  if (options.access == Access::write) STANDPIPE_CHECK(cut_torn_manifest(dir / "db"));
  STANDPIPE_CHECK(check_manifest(dir / "db"));
  STANDPIPE_CHECK(open_to_look());
  store.reset();
  STANDPIPE_TRY(store, Store::open(dir / "db", wanted));
  STANDPIPE_CHECK(load(/*may_begin=*/false));
  // Readers go on with the channels that they hold.
  for (auto& [id, stream] : streams) {
    for (std::size_t i = 0; i < stream.epochs.size(); ++i) {
      if (i < channels[id].size()) stream.epochs[i].channel = channels[id][i];
      publish(stream.epochs[i]);
    }
  }
  return {};
}

void Core::in_background(std::function<Result<void>()> work) {
  if (!thread_.joinable()) {
    // The work's own failure has closed the writer where that was called for.
    [[maybe_unused]] const Result<void> done = work();
    return;
  }
  const std::lock_guard lock(work_mutex_);
  work_.push_back(std::move(work));
  work_changed_.notify_all();
}

void Core::wait_for_background() {
  std::unique_lock lock(work_mutex_);
  work_changed_.wait(lock, [this] { return work_.empty() && !is_working_; });
}

void Core::run_thread(const std::stop_token& stop) {
  std::unique_lock lock(work_mutex_);
  while (!stop.stop_requested()) {
    work_changed_.wait_for(lock, stop, std::chrono::milliseconds(kWitnessIntervalMs),
                           [this] { return !work_.empty(); });
    if (!work_.empty()) {
      const std::function<Result<void>()> work = std::move(work_.front());
      work_.pop_front();
      is_working_ = true;
      lock.unlock();
      [[maybe_unused]] const Result<void> done = work();  // a failure has closed the writer
      lock.lock();
      is_working_ = false;
      work_changed_.notify_all();
      continue;
    }
    lock.unlock();
    {
      const std::lock_guard writing(write_mutex);
      write_witness_if_due();
    }
    lock.lock();
  }
}

void Core::stop_thread() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace standpipe::storage
