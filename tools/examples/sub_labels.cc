// Every label of a labeler, one per line, and what it takes back.
//
//     example_sub_labels [BASE_URI [CURSOR]]     example_sub_labels wss://mod.bsky.app 0
#include <iostream>

#include "archiver/firehose/firehose.h"
#include "tools/examples/example_options.h"

namespace firehose = standpipe::firehose;

int main(int argc, char** argv) {
  const auto options = standpipe::examples::parse_arguments(argc, argv);
  firehose::FirehoseSubscribeLabelsClient client(options.params, options.client);
  for (const firehose::MessageFrame& frame : client.messages()) {
    const auto message = firehose::parse_subscribe_labels_message(frame);
    if (!message) {
      std::cerr << "passed over a frame: " << message.error().detail << '\n';
      continue;
    }
    const auto* const labels = std::get_if<firehose::Labels>(&*message);
    if (labels == nullptr) continue;  // #info, or a type of the future
    for (const firehose::Label& label : labels->labels) {
      std::cout << (label.is_negation ? '-' : '+') << label.val << ' ' << label.uri << " by "
                << label.src << std::endl;
    }
    if (!std::cout) break;
  }
  return 0;
}
