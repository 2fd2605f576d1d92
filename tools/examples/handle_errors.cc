// What can go wrong, and where it is said: callbacks, connections, messages, error frames.
//
//     example_handle_errors [BASE_URI [CURSOR]]
#include <iostream>

#include "archiver/firehose/firehose.h"
#include "tools/examples/example_options.h"

namespace firehose = standpipe::firehose;

namespace {

void print_error(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    std::cerr << "callback: " << error.what() << '\n';
  }
}

firehose::Hooks hooks() {
  firehose::Hooks made;
  made.on_connect = [](const firehose::WsOpened& opened, const firehose::Params& asked) {
    std::cerr << "connected to " << firehose::to_string(opened.url);
    if (asked.cursor) std::cerr << " after seq " << standpipe::to_int(*asked.cursor);
    std::cerr << '\n';
  };
  made.on_disconnect = [](const firehose::WsEnd& end, std::chrono::milliseconds delay) {
    std::cerr << "connection: " << end.detail << "; again in " << delay.count() << " ms\n";
  };
  made.on_skip = [](const firehose::Skip& skip) {
    std::cerr << "message: " << firehose::to_string(skip.reason) << ": " << skip.detail << '\n';
  };
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  auto options = standpipe::examples::parse_arguments(argc, argv);
  options.client.hooks = hooks();
  firehose::FirehoseSubscribeReposClient client(options.params, options.client);
  for (;;) {
    try {
      client.start(
          [](const firehose::MessageFrame& frame) {
            // What this throws goes to print_error(), and the stream goes on.
            firehose::or_throw(firehose::parse_subscribe_repos_message(frame));
          },
          print_error);
      return 0;
    } catch (const firehose::FirehoseError& error) {
      std::cerr << "server: " << error.what() << '\n';
      // Whoever was too slow may go on from where it stood. A cursor that the server does not know
      // yet is a matter for people.
      if (error.error() != "ConsumerTooSlow") return 1;
    }
  }
}
