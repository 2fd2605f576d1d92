#include "tools/simulate_listen.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <utility>

#include "schema/base/log.h"
#include "tools/ready_file.h"
#include "tools/stop_signal.h"

namespace standpipe::tools {

Result<void> listen_until_stopped(sim::HostOptions options, const std::string& ready_file) {
  const StopSignal signal([] {});
  options.is_stopping = [&signal] { return signal.was_raised(); };
  log_info(fmt::format("simulated network {}", to_string(options.spec)));
  auto started = sim::Host::start(options);
  if (!started && signal.was_raised()) {
    log_info("stopping: " + started.error().detail);
    return {};
  }
  STANDPIPE_TRY(const auto host, std::move(started));
  for (const auto kind : {storage::StreamKind::repos, storage::StreamKind::labels}) {
    log_info(fmt::format("serving {} at {}", to_string(kind), host->url(kind)));
  }
  log_info(fmt::format("serving DID documents at http://{}/did:...", host->address()));
  if (!ready_file.empty()) STANDPIPE_CHECK(write_ready_file(ready_file, {host->address()}));
  pollfd waited{signal.fd(), POLLIN, 0};
  while (::poll(&waited, 1, -1) < 0 && errno == EINTR) {
  }
  log_info(fmt::format("stopping: repos up to seq {}, labels up to seq {} were handed out",
                       to_int(host->newest(storage::StreamKind::repos)),
                       to_int(host->newest(storage::StreamKind::labels))));
  host->stop();
  return {};
}

}  // namespace standpipe::tools
