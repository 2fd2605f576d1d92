#include "archiver/firehose/message_frame.h"

#include <utility>

namespace standpipe::firehose {

MessageFrame MessageFrame::from_bytes(ByteView bytes) {
  auto stored = std::make_shared<Stored>();
  stored->bytes.assign(bytes.begin(), bytes.end());
  stored->scan = scan_frame(stored->bytes);
  return MessageFrame(std::move(stored));
}

}  // namespace standpipe::firehose
