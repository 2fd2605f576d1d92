// Opening, the order of changes, and what is published. What is read is in core_load.cc.
#include "storage/core.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "schema/base/assert.h"
#include "schema/base/log.h"
#include "schema/base/thread_name.h"
#include "storage/log_check.h"

namespace standpipe::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kWitnessIntervalMs = 1000;
constexpr std::int64_t kRetentionIntervalMs = 10'000;

std::int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
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

}  // namespace

Result<void> sync_directory(const fs::path& dir) {
  const int fd = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool is_synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (is_synced) return {};
  return Error{Errc::io, "cannot sync " + dir.string() + ": " + std::strerror(error)};
}

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
    STANDPIPE_CHECK(remove_checkpoint(dir));  // whoever read it has lost its archive
    STANDPIPE_CHECK(sync_directory(dir));     // the lock and the witness may be new
    if (core->options.background) {
      core->thread_ =
          std::jthread([raw = core.get()](const std::stop_token& stop) { raw->run_thread(stop); });
    }
  } else {
    core->health = Health::read_only;
  }
  return core;
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
                       " are wanted: make room, keep less, or lower the minimum";
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
  info.gaps = epoch.gaps.totals();
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
  name_this_thread("storage");
  std::unique_lock lock(work_mutex_);
  while (!stop.stop_requested()) {
    work_changed_.wait_for(lock, stop, std::chrono::milliseconds(kWitnessIntervalMs),
                           [this] { return !work_.empty() || was_sealed_; });
    if (!work_.empty()) {
      const std::function<Result<void>()> work = std::move(work_.front());
      work_.pop_front();
      is_working_ = true;
      lock.unlock();
      [[maybe_unused]] const Result<void> done = work();  // a failure has closed the writer
      lock.lock();
      is_working_ = false;
      work_changed_.notify_all();
      if (!was_sealed_) continue;  // however much is to be sealed, what is too much goes first
    }
    const bool was_sealed = std::exchange(was_sealed_, false);
    lock.unlock();
    {
      const std::lock_guard writing(write_mutex);
      write_witness_if_due();
    }
    if (was_sealed || retention_is_due()) {
      retention_ran_ms_ = steady_ms();
      // A failure has closed the writer, and is told by it.
      [[maybe_unused]] const Result<std::size_t> done = drop_expired(*this);
    }
    lock.lock();
  }
}

void Core::note_sealed() {
  const std::lock_guard lock(work_mutex_);
  was_sealed_ = true;
  work_changed_.notify_all();
}

// Full is full: what may go goes before anybody has to look after it.
bool Core::retention_is_due() const {
  if (steady_ms() - retention_ran_ms_ >= kRetentionIntervalMs) return true;
  const std::lock_guard lock(mutex);
  return health == Health::disk_full;
}

void Core::stop_thread() {
  is_stopping = true;
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

}  // namespace standpipe::storage
