// One process on one archive: whoever writes to it, and whoever serves it. Here the archiver and
// the server, which do not know each other, are joined.
//
//   upstreams --> StreamArchiver --> archive --> Server --> subscribers
//                       |                          ^
//                       +------- on_durable -------+
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "archiver/http_forward.h"
#include "archiver/stream_archiver.h"
#include "replay/options.h"
#include "replay/server.h"
#include "schema/base/result.h"
#include "storage/options.h"
#include "storage/types.h"
#include "tools/admin.h"

namespace standpipe::tools {

struct MirrorOptions {
  bool archives = true;  // follows upstreams
  bool serves = true;    // listens
  std::string data;
  std::vector<storage::StreamSpec>
      streams;  // to follow; none: those of the archive that have a URL
  bool is_upstream_change = false;
  replay::ListenAddresses listen;
  std::optional<AdminOptions> admin;  // nullopt: no admin listener
  // Written once it listens and follows: the plain listeners, then those with TLS. Empty: none.
  std::string ready_file;
  storage::ArchiveOptions archive;
  archiver::StreamOptions stream;
  std::string did_docs;  // to check signatures at ingest; empty: none
  replay::ServerOptions server;
  bool forwards = true;  // requests that only an upstream can answer, where there is one
  archiver::HttpForwardOptions forwarding;
  std::int64_t status_interval_ms = 1'000;  // 0: no status
  bool is_json = false;                     // status as JSON, on standard output
  std::string version;
};

// Runs until a signal asks it to stop, or the archive fails: the exit status. `verb`: for errors.
int run_mirror(std::string_view verb, const MirrorOptions& options);

}  // namespace standpipe::tools
