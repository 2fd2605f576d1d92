// What the filters of the fan-out bench want, and which frames of a feed that is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "schema/frame.h"
#include "tests/support/bench_wire.h"

namespace standpipe::test {

constexpr std::string_view kCollection = "app.bsky.feed.like";
constexpr std::size_t kWantedDids = 10'000;

// Commits of one collection, and what is no commit: as the README says it.
inline bool touches_collection(ByteView frame) {
  const FrameScan scan = scan_frame(frame);
  if (scan.envelope.kind != FrameKind::commit) return true;
  OpReader ops(scan.envelope);
  for (EnvelopeOp op; ops.next(op);) {
    if (op.collection() == kCollection) return true;
  }
  return false;
}

// Every other account of the feed, and others up to 10,000 that are not in it.
inline std::set<std::string, std::less<>> wanted_dids(const BenchWire& feed) {
  std::set<std::string, std::less<>> all, wanted;
  for (std::size_t i = 0; i < feed.size(); ++i) {
    all.insert(std::string(scan_frame(feed.payload(i)).envelope.did));
  }
  bool takes = false;
  for (const std::string& did : all) {
    if ((takes = !takes) && wanted.size() < kWantedDids / 2) wanted.insert(did);
  }
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz234567";
  for (std::uint64_t number = 0; wanted.size() < kWantedDids; ++number) {
    std::string did = "did:plc:";
    std::uint64_t bits = (number + 1) * 0x9E3779B97F4A7C15U;
    for (int letter = 0; letter < 24; ++letter) {
      did += kLetters[bits % 32];
      bits = (bits >> 5) | (bits << 59);
    }
    if (!all.contains(did)) wanted.insert(did);
  }
  return wanted;
}

// Of the account that most frames are of.
inline std::string busiest_did(const BenchWire& feed) {
  std::map<std::string, std::size_t, std::less<>> frames_of;
  for (std::size_t i = 0; i < feed.size(); ++i) {
    ++frames_of[std::string(scan_frame(feed.payload(i)).envelope.did)];
  }
  const auto most = std::max_element(frames_of.begin(), frames_of.end(),
                                     [](auto& a, auto& b) { return a.second < b.second; });
  return most->first;
}

}  // namespace standpipe::test
