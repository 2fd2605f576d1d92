// Upstreams that are simulated in this process: `mirror --upstream sim:...`.
//
// Each network runs as a host of its own on a free port of the loopback interface, and is followed
// as any other: dialled, read, dialled again. What the archive remembers of it is its text
// (spec.h), complete with when it began; so a mirror that is started again gets what would have
// come next.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "archiver/stream_archiver.h"
#include "schema/base/clock.h"
#include "schema/base/result.h"
#include "storage/archive.h"
#include "tools/sim/host.h"

namespace standpipe::tools {

// One thread.
class SimulatedUpstreams {
 public:
  // Nothing for an upstream that is not simulated. Else completes `spec.url`: what it does not say
  // is as the archive's stream has it; a new one begins now.
  Result<void> resolve(storage::StreamSpec& spec, const storage::Archive& archive,
                       std::int64_t now_ms);

  // Starts the hosts of those that are simulated. `from`: where an empty stream begins. closed:
  // `is_stopping`, which is asked now and then.
  Result<void> start(const std::vector<storage::StreamInfo>& streams, const archiver::From& from,
                     std::string_view version, const std::function<bool()>& is_stopping);

  // Where the stream is dialled, and by which clock it is judged, if it is simulated.
  void redirect(storage::StreamInfo& stream, archiver::WriterOptions& writer) const;
  // By which the times of its frames are; null: by the one on the wall.
  const Clock* clock_of(std::string_view stream) const;

  // After whoever reads them has stopped.
  void stop();

 private:
  std::map<std::string, std::uint64_t> speeds_;              // by stream, where one was said
  std::map<std::string, std::unique_ptr<sim::Host>> hosts_;  // by the text of the network
  std::map<std::string, sim::Host*, std::less<>> of_stream_;
};

}  // namespace standpipe::tools
