// The simulated network as a host: subscribeRepos and subscribeLabels over WebSockets, and the DID
// documents of its accounts at GET /did:plc:..., as plc.directory has them.
//
// It keeps no frames. What a subscriber asks for is made for it, from its cursor on, and as the
// network is a function of its options, everybody gets the same: any cursor is good, for ever, and
// a host that is started again goes on where the old one was. The price is a network for each
// subscriber, in time and in memory; for many of them there is `standpipe mirror`, of this host.
//
// The network has its own clock (live_clock.h): frames appear when they are due, at 1 to 1,000
// times the speed of real time, or as fast as they are read. It stands still while no host runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "schema/base/clock.h"
#include "schema/base/result.h"
#include "schema/seq.h"
#include "storage/types.h"
#include "tools/sim/spec.h"

namespace standpipe::tools::sim {

struct HostOptions {
  Spec spec;  // with a start
  std::string listen = "127.0.0.1:0";
  // The clock begins when the frame of this seq appears: the newest that somebody has already.
  Seq repos_after = kSeqNone;
  Seq labels_after = kSeqNone;
  std::size_t subscribers_max = 16;  // more are answered 503
  // Asked now and then while start() passes over what has been before; true: it gives up.
  std::function<bool()> is_stopping;
  std::string version;
};

class Host {
 public:
  // invalid: not an address; io: cannot listen there; closed: `is_stopping`. Takes a while where
  // much has been before: some millions of frames a second.
  static Result<std::unique_ptr<Host>> start(const HostOptions& options);
  ~Host();  // stop()
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  const std::string& address() const;               // "127.0.0.1:43121"
  std::string url(storage::StreamKind kind) const;  // "ws://127.0.0.1:43121/xrpc/..."
  const Clock& clock() const;                       // of the network. Any thread
  // Of frames that were handed out last, to anybody; what it began with before the first.
  Seq newest(storage::StreamKind kind) const;

  // Ends all connections, and what is being made for them.
  void stop();

 private:
  class Impl;
  explicit Host(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace standpipe::tools::sim
