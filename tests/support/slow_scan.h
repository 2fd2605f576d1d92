// scan_frame again, slow and obvious: the twin that the fast scanner is compared with.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schema/frame.h"

namespace standpipe::test {

// As schema/frame.h, but owning, and with every op.
struct SlowScan {
  Unarchivable why = Unarchivable::archivable;
  FrameKind kind = FrameKind::unknown;
  std::int64_t op = 0;
  std::optional<std::int64_t> seq;
  std::string type, did, time, rev, blocks, payload, error_name, message;
  std::vector<std::pair<std::string, std::string>> ops;  // action, path

  friend bool operator==(const SlowScan&, const SlowScan&) = default;
};

// Built on check_cbor; quadratic in nesting, and copies whatever it touches.
SlowScan slow_scan(ByteView frame);

// What scan_frame says of the same frame, in the same form, by way of OpReader.
SlowScan fast_scan(ByteView frame);

// For messages of failed tests: the fields that are not empty.
std::string to_string(const SlowScan& scan);

}  // namespace standpipe::test
