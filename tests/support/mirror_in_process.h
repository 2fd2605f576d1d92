// A mirror inside the test's own process, joined as tools/mirror.cc joins it: for faults that can
// only be put under RocksDB, with real sockets on both sides.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "archiver/stream_archiver.h"
#include "replay/options.h"
#include "replay/server.h"
#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::test {

struct InProcessOptions {
  std::filesystem::path dir;
  std::string upstream_url;  // of the stream `repos`
  storage::ArchiveOptions archive;
  archiver::StreamOptions stream;
  replay::ServerOptions server;
};

class InProcessMirror {
 public:
  // Opens the archive, listens at 127.0.0.1, follows the upstream. Whatever fails first.
  static Result<std::unique_ptr<InProcessMirror>> start(InProcessOptions options);
  ~InProcessMirror();  // crash()
  InProcessMirror(const InProcessMirror&) = delete;
  InProcessMirror& operator=(const InProcessMirror&) = delete;

  std::uint16_t port() const;
  storage::Archive& archive() { return *archive_; }

  // What on_fatal was told. Any thread.
  std::optional<Error> fatal() const;

  // Ends everything, the archive without a clean stop: what it has not made durable by itself is
  // lost with the power. Connections end by FIN.
  void crash();
  Result<void> close();  // the same with a clean stop

 private:
  explicit InProcessMirror(InProcessOptions options);
  Result<void> start();
  replay::HealthReport health() const;
  bool is_catching_up() const;
  void end();

  const InProcessOptions options_;
  std::unique_ptr<storage::Archive> archive_;
  std::unique_ptr<replay::Server> server_;
  mutable std::mutex mutex_;  // guards everything below
  std::unique_ptr<archiver::StreamArchiver> archiver_;
  std::optional<Error> fatal_;
};

}  // namespace standpipe::test
