// Stopping from a callback, from another thread, and starting again from there.
//
//     example_stop_client [BASE_URI [CURSOR]]
#include <iostream>
#include <thread>

#include "archiver/firehose/firehose.h"
#include "tools/examples/example_options.h"

namespace firehose = standpipe::firehose;

int main(int argc, char** argv) {
  const auto options = standpipe::examples::parse_arguments(argc, argv);
  firehose::FirehoseSubscribeReposClient client(options.params, options.client);

  int frames = 0;
  client.start([&](const firehose::MessageFrame&) {
    if (++frames == 10) client.stop();  // this frame is the last
  });
  std::cout << frames << " frames; the next dial asks for what follows seq "
            << standpipe::to_int(client.cursor().value_or(standpipe::kSeqNone)) << '\n';

  // A server that has nothing to say, or that cannot be reached: stop() ends that wait, too.
  std::thread stops([&] {
    std::cout << "Enter stops it" << std::endl;
    std::cin.get();
    client.stop();
  });
  client.start([&](const firehose::MessageFrame&) { ++frames; });
  stops.join();
  std::cout << frames << " frames in all\n";
  return 0;
}
