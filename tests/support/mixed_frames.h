// A stream of frames of every kind, under a seed, and what a filter lets through of it, said in the
// plainest way.
#pragma once

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "schema/datetime.h"
#include "tests/support/bulk_frames.h"
#include "tests/support/frame_json.h"
#include "tests/support/frames.h"

namespace standpipe::test {

struct MixedFrame {
  std::int64_t seq = 0;
  bool is_commit = false;
  std::string did;                       // that it concerns; empty: none that can be asked for
  std::vector<std::string> collections;  // of its ops
  Bytes bytes;
};

struct MixedFilter {
  std::vector<std::string> dids, collections;

  bool passes(const MixedFrame& frame) const {
    const auto is_wanted = [](const std::string& collection, const std::string& wanted) {
      if (!wanted.ends_with(".*")) return collection == wanted;
      return collection.starts_with(wanted.substr(0, wanted.size() - 1));
    };
    if (!dids.empty() && std::find(dids.begin(), dids.end(), frame.did) == dids.end()) return false;
    if (collections.empty() || !frame.is_commit) return true;
    for (const std::string& collection : frame.collections) {
      for (const std::string& wanted : collections) {
        if (is_wanted(collection, wanted)) return true;
      }
    }
    return false;
  }
  // "&wantedDids=...&wantedCollections=...".
  std::string query() const {
    std::string text;
    for (const std::string& did : dids) text += "&wantedDids=" + did;
    for (const std::string& collection : collections) text += "&wantedCollections=" + collection;
    return text;
  }
};

class MixedFrames {
 public:
  explicit MixedFrames(std::uint64_t seed, std::int64_t first = 1) : random_(seed), next_(first) {
    for (int i = 0; i < kDids; ++i) {
      if (i % 5 == 0) {
        dids_.push_back("did:web:host" + std::to_string(i) + ".example");
        continue;
      }
      std::string id;
      for (int c = 0; c < 24; ++c) id += static_cast<char>('a' + random_.below(26));
      dids_.push_back("did:plc:" + id);
    }
  }

  // The next frame; now and then a seq or a few are passed over.
  MixedFrame next() {
    if (random_.chance(40)) next_ += static_cast<std::int64_t>(1 + random_.below(5));
    MixedFrame frame;
    frame.seq = next_++;
    nlohmann::json payload{{"seq", frame.seq},
                           {"time", format_datetime_ms(frame_time_ms(frame.seq))},
                           {"filler", std::string(random_.below(400), 'x')}};
    const char* type = "#commit";
    const std::string& did = dids_[random_.below(dids_.size())];
    switch (random_.below(10)) {
      case 0:
        type = "#identity";
        break;
      case 1:
        type = "#account";
        payload["active"] = random_.chance(2);
        break;
      case 2:
        type = "#sync";
        break;
      case 3:
        type = random_.chance(2) ? "#tombstone" : "#somethingNew";
        break;
      default:
        frame.is_commit = true;
        add_ops(frame, payload);
    }
    add_did(frame, did, payload);
    frame.bytes = frame_from_json(type, payload);
    return frame;
  }
  std::vector<MixedFrame> take(std::size_t count) {
    std::vector<MixedFrame> frames;
    while (frames.size() < count) frames.push_back(next());
    return frames;
  }

  MixedFilter filter() {
    MixedFilter filter;
    const auto kind = random_.below(3);
    if (kind != 0) {
      for (auto left = 1 + random_.below(8); left > 0; --left) filter.dids.push_back(any_did());
    }
    if (kind != 1) {
      static const std::vector<std::string> kWanted{
          "app.bsky.feed.post", "app.bsky.feed.*",  "app.bsky.*", "app.bsky.graph.follow",
          "com.example.thing",  "com.example.none", "org.*",      "app.bsky.actor.profile"};
      for (auto left = 1 + random_.below(3); left > 0; --left) {
        filter.collections.push_back(kWanted[random_.below(kWanted.size())]);
      }
    }
    return filter;
  }

 private:
  static constexpr int kDids = 30;

  std::string any_did() {
    return random_.chance(10) ? "did:web:nobody.example" : dids_[random_.below(dids_.size())];
  }

  void add_ops(MixedFrame& frame, nlohmann::json& payload) {
    static const std::vector<std::string> kCollections{
        "app.bsky.feed.post",     "app.bsky.feed.like", "app.bsky.feedgen.thing",
        "app.bsky.graph.follow",  "com.example.thing",  "com.example.thing.more",
        "app.bsky.actor.profile", "app.bsky.feed"};
    payload["ops"] = nlohmann::json::array();
    std::uint64_t ops = random_.below(4);
    if (random_.chance(200)) ops = 300;  // more than are looked at without allocating
    for (std::uint64_t op = 0; op < ops; ++op) {
      // Of many, only the last is of a kind that somebody asks for.
      const bool is_dull = ops > 10 && op + 1 < ops;
      frame.collections.push_back(is_dull ? "net.example.dull"
                                          : kCollections[random_.below(kCollections.size())]);
      payload["ops"].push_back({{"action", random_.chance(3) ? "delete" : "create"},
                                {"cid", nullptr},
                                {"path", frame.collections.back() + "/" + std::to_string(op)}});
    }
  }

  void add_did(MixedFrame& frame, const std::string& did, nlohmann::json& payload) {
    const char* const field = frame.is_commit ? "repo" : "did";
    if (!random_.chance(12)) {
      payload[field] = did;
      frame.did = did;
      return;
    }
    switch (random_.below(4)) {  // none that can be used
      case 0:
        payload[field] = "alice.example";
        break;
      case 1:
        payload[field] = 7;
        break;
      case 2:
        payload[frame.is_commit ? "did" : "repo"] = did;  // the other kind's field
        break;
      default:
        break;
    }
  }

  Random random_;
  std::int64_t next_;
  std::vector<std::string> dids_;
};

}  // namespace standpipe::test
