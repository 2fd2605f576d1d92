// The sockets of tools/play, which both ends of the network tests stand on, and what a test adds:
// a deadline for every wait, and the client's side of TLS.
#pragma once

#include <chrono>
#include <string>

#include "tools/play/net_stream.h"

namespace standpipe::test {

using tools::play::FileDescriptor;
using tools::play::IoResult;
using tools::play::IoStatus;
using tools::play::NetStream;
using tools::play::TlsContext;
using tools::play::WakeEvent;

// How long anything may take that a test waits for. Far above what the slowest machine needs: it
// is there to end a test that would never end, and no test passes by it.
inline constexpr std::chrono::seconds kTestDeadline{60};
using Deadline = std::chrono::steady_clock::time_point;
inline Deadline deadline_from_now(std::chrono::milliseconds time = kTestDeadline) {
  return std::chrono::steady_clock::now() + time;
}
// Milliseconds until `deadline` for poll(), rounded up; 0 when it has passed.
int poll_timeout(Deadline deadline);
// Waits for the stream's `events(has_output)`; false at the deadline.
bool wait_for(const NetStream& stream, bool has_output, Deadline deadline);

TlsContext make_client_tls(const std::string& trusted_pem);  // trusts nothing else
// The certificate must be for `host`.
void begin_client_tls(NetStream& stream, const TlsContext& context, const std::string& host);

}  // namespace standpipe::test
