// The frames of a simulated network, to be compared with what came by way of programs.
#pragma once

#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "tools/sim/labels.h"
#include "tools/sim/network.h"
#include "tools/sim/spec.h"

namespace standpipe::test {

// Of a network with an end, all of them.
inline std::vector<Bytes> simulated_frames(const std::string& spec) {
  const auto parsed = tools::sim::parse_spec(spec).value();
  auto network = tools::sim::Network::create(parsed.network).value();
  std::vector<Bytes> frames;
  while (auto frame = network->next()) frames.push_back(std::move(frame->bytes));
  return frames;
}

inline std::vector<Bytes> simulated_labels(const std::string& spec) {
  const auto parsed = tools::sim::parse_spec(spec).value();
  tools::sim::Labeler labeler(parsed.network);
  std::vector<Bytes> frames;
  while (const auto slot = labeler.next()) frames.push_back(labeler.make_frame(*slot));
  return frames;
}

}  // namespace standpipe::test
