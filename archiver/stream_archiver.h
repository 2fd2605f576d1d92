// One stream from upstream to durable: upstream, queue, validator and writer, joined.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "archiver/firehose/upstream.h"
#include "archiver/ingest_check.h"
#include "archiver/writer.h"
#include "schema/base/duration_histogram.h"
#include "schema/base/result.h"
#include "schema/frame.h"
#include "schema/seq.h"
#include "storage/archive.h"

namespace standpipe::archiver {

enum class StreamState : std::uint8_t {
  connecting,   // nothing has failed yet
  catching_up,  // frames come, the newest is old
  live,
  down,            // the last dial failed, or the connection ended: the next follows by itself
  upstream_reset,  // waits for a new epoch
  disk_full,       // waits for room
  failed,          // the archive failed: nothing is taken any more
  stopped,
};
std::string_view to_string(StreamState state);

struct StreamStatus {
  std::string name;
  std::string url;
  StreamState state = StreamState::connecting;
  std::string last_error;  // what happened last that should not have; stays after it has passed
  storage::EpochNumber epoch{};
  Seq newest = kSeqNone;                      // durable
  std::int64_t received_ms = 0;               // of the last message; 0: none since the start
  std::optional<std::int64_t> event_time_ms;  // what the newest frame says; none on labels
  bool is_connected = false;
  std::uint64_t connections = 0;  // made since the start
  std::uint64_t dials_failed = 0;

  // Since the start, all messages:
  std::uint64_t frames = 0, text = 0, oversize = 0;
  std::uint64_t bytes = 0;  // on the wire
  std::uint64_t accepted = 0, duplicates = 0, conflicts = 0, late = 0, noted = 0, refused = 0;
  std::uint64_t quarantined = 0;
  std::map<Unarchivable, std::uint64_t> kept_aside;  // quarantined, conflicts and late by reason
  std::uint64_t quarantine_dropped = 0;              // counted, not kept
  std::uint64_t gaps = 0, commits = 0, groups = 0;
  DurationHistogram commit_times;

  std::size_t queue_bytes = 0;
  std::size_t queue_bytes_max = 0;

  IngestCheckStats check;
};

struct StreamOptions {
  firehose::UpstreamOptions upstream;
  WriterOptions writer;
  std::size_t queue_bytes_max = 32 << 20;
  IngestCheckOptions check;
};

struct StreamCallbacks {  // as in WriterCallbacks, and with the same duties
  std::function<void(storage::EpochNumber, const storage::CommitReport&)> on_durable;
  std::function<void(storage::EpochNumber)> on_epoch_began;
  std::function<void(const Error&)> on_fatal;
};

class StreamArchiver {
 public:
  // `stream` is in the archive and has a URL. invalid: the URL; the Appender's errors: busy, ...
  // `archive` is not ours and outlives us.
  static Result<std::unique_ptr<StreamArchiver>> start(storage::Archive& archive,
                                                       const storage::StreamInfo& stream,
                                                       StreamOptions options,
                                                       StreamCallbacks callbacks);
  ~StreamArchiver();  // stop()
  StreamArchiver(const StreamArchiver&) = delete;
  StreamArchiver& operator=(const StreamArchiver&) = delete;

  // The connection ends, what is queued becomes durable, the writer ends. Not from a callback.
  void stop();

  // Any thread:
  void epoch_began();  // somebody called Archive::begin_epoch() for the stream
  void redial_now();   // ends the wait before the next dial
  StreamStatus status() const;

 private:
  class Impl;
  explicit StreamArchiver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::archiver
