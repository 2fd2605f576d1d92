// What every example takes from its command line: [BASE_URI [CURSOR]].
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

#include "archiver/firehose/client_options.h"

namespace standpipe::examples {

struct ExampleOptions {
  firehose::Params params;
  firehose::ClientOptions client;
};

// Ends the program with status 2 where an argument is none. Without arguments: the public network,
// from what comes next.
inline ExampleOptions parse_arguments(int argc, char** argv) {
  ExampleOptions options;
  if (argc > 1) options.client.base_uri = argv[1];
  if (argc > 2) {
    std::size_t used = 0;
    std::int64_t cursor = -1;
    try {
      cursor = std::stoll(argv[2], &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used != std::string(argv[2]).size() || cursor < 0 || cursor > to_int(kSeqMax)) {
      std::cerr << argv[0] << ": CURSOR is a number from 0 to 2^53 - 1, not '" << argv[2] << "'\n";
      std::exit(2);
    }
    options.params.cursor = Seq{cursor};
  }
  return options;
}

}  // namespace standpipe::examples
