// Short words for tests that play made frames by a ScriptedUpstream: holding, subscribed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/frames.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/subscriber.h"

namespace standpipe::test {

inline constexpr std::string_view kSubscribeRepos = "/xrpc/com.atproto.sync.subscribeRepos";

inline std::string target_after(std::int64_t cursor) {
  return std::string(kSubscribeRepos) + "?cursor=" + std::to_string(cursor);
}

inline std::vector<UpstreamFrame> upstream_frames(std::int64_t first, std::int64_t last) {
  std::vector<UpstreamFrame> made;
  for (std::int64_t seq = first; seq <= last; ++seq) made.push_back({seq, make_frame(seq)});
  return made;
}

inline UpstreamOptions holding(std::int64_t first, std::int64_t last) {
  UpstreamOptions options;
  options.frames = upstream_frames(first, last);
  return options;
}

inline Subscriber subscribed(const ScriptedUpstream& upstream, std::int64_t cursor,
                             SubscriberOptions options = {}) {
  return Subscriber::connect(upstream.port(), target_after(cursor), std::move(options));
}

inline std::vector<std::int64_t> seqs_read(Subscriber& subscriber, std::size_t count) {
  return seqs_of(subscriber.read_frames(count));
}

}  // namespace standpipe::test
