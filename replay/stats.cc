#include "replay/stats.h"

namespace standpipe::replay {

std::string_view to_string(EndReason reason) {
  switch (reason) {
    case EndReason::client_closed:
      return "client_closed";
    case EndReason::connection_lost:
      return "connection_lost";
    case EndReason::until_reached:
      return "until_reached";
    case EndReason::future_cursor:
      return "future_cursor";
    case EndReason::too_slow:
      return "too_slow";
    case EndReason::protocol_error:
      return "protocol_error";
    case EndReason::message_too_big:
      return "message_too_big";
    case EndReason::epoch_ended:
      return "epoch_ended";
    case EndReason::erased:
      return "erased";
    case EndReason::read_failed:
      return "read_failed";
    case EndReason::shutdown:
      return "shutdown";
  }
  return "?";
}

}  // namespace standpipe::replay
