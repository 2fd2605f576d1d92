// What `simulate` does once it is clear what is wanted: a network's frames, into a file or an
// archive, with what else was asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "schema/base/clock.h"
#include "schema/base/result.h"
#include "storage/archive.h"
#include "storage/options.h"
#include "tools/progress.h"
#include "tools/sim/network.h"
#include "tools/sim/report.h"
#include "tools/stop_signal.h"

namespace standpipe::tools {

struct SimulationOptions {
  sim::NetworkOptions network;  // in order, with an end
  std::string output;           // a frame file, or ...
  std::string data;             // ... an archive
  std::string stream = "repos";
  std::string did_docs;  // files; empty: none
  std::string labels;
  storage::ArchiveOptions archive;
  bool is_quiet = false;
};

// One thread. Make it before any other thread: it takes the signals that ask to stop.
class Simulation {
 public:
  explicit Simulation(SimulationOptions options);

  // Errors: closed where a signal came, io, busy, and whatever else the archive has to say.
  Result<void> run();

  std::string text() const;
  std::string json_line() const;

 private:
  using Take = std::function<Result<void>(const sim::SimulatedFrame& frame)>;

  Result<void> create_network(Seq after);
  Result<void> take_all(const Take& take);
  Result<void> to_file();
  Result<void> to_archive();
  Result<void> append(storage::Archive& archive);
  Result<void> write_labels();
  Error stopped() const;
  std::uint64_t frames_before() const;  // that were there already

  const SimulationOptions options_;
  const StopSignal signal_;
  // In an archive frames are received when they appear: it comes out the same whenever it is made.
  ManualClock clock_;
  std::unique_ptr<sim::Network> network_;
  Progress progress_;
  sim::Report report_;
  Seq after_ = kSeqNone;  // of the frames that were there already
  std::uint64_t did_docs_ = 0;
  std::uint64_t label_frames_ = 0;
};

}  // namespace standpipe::tools
