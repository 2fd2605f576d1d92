// The collections that simulated repositories have, and what their commits do to them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace standpipe::tools::sim {

// In the order of their keys in a tree.
enum class Collection : std::uint8_t {
  profile,
  status,
  like,
  post,
  repost,
  threadgate,
  block,
  follow,
  teal_status,
  teal_play,
};

struct CollectionTraits {
  std::string_view nsid;
  bool is_single;             // its only record has the key "self"
  std::uint32_t per_myriad;   // of a repository's records, in ten thousandths
  std::uint32_t pool_weight;  // of the keys in high layers, in eighths; see key_pool.h
};

inline constexpr std::array<CollectionTraits, 10> kCollections = {{
    {"app.bsky.actor.profile", true, 0, 0},
    {"app.bsky.actor.status", true, 0, 0},
    {"app.bsky.feed.like", false, 6750, 8},
    {"app.bsky.feed.post", false, 1390, 4},
    {"app.bsky.feed.repost", false, 990, 4},
    {"app.bsky.feed.threadgate", false, 20, 0},
    {"app.bsky.graph.block", false, 50, 0},
    {"app.bsky.graph.follow", false, 790, 4},
    {"fm.teal.alpha.actor.status", true, 0, 0},
    {"fm.teal.alpha.feed.play", false, 10, 0},
}};

constexpr const CollectionTraits& traits(Collection collection) {
  return kCollections[static_cast<std::size_t>(collection)];
}

// What one commit does. Shares in thousandths, of all commits: data of 183 real frames, in which
// deletes are 3 %, updates 1 % and one commit in a hundred has more than one operation.
enum class Deed : std::uint8_t {
  like,
  post,
  repost,
  follow,
  block,
  play,
  thread,  // of 3 to 10 posts
  gated,   // a post and its threadgate
  pack,    // follows by the dozen, up to 60
  unfollow,
  unlike,
  unpost,
  update_profile,
  update_status,
  update_teal,
};

struct DeedShare {
  Deed deed;
  Collection collection;
  std::uint32_t per_mille;
};

inline constexpr std::array<DeedShare, 15> kDeeds = {{
    {Deed::like, Collection::like, 694},
    {Deed::post, Collection::post, 97},
    {Deed::repost, Collection::repost, 101},
    {Deed::follow, Collection::follow, 43},
    {Deed::block, Collection::block, 6},
    {Deed::play, Collection::teal_play, 8},
    {Deed::thread, Collection::post, 3},
    {Deed::gated, Collection::post, 6},
    {Deed::pack, Collection::follow, 1},
    {Deed::unfollow, Collection::follow, 21},
    {Deed::unlike, Collection::like, 4},
    {Deed::unpost, Collection::post, 5},
    {Deed::update_profile, Collection::profile, 3},
    {Deed::update_status, Collection::status, 4},
    {Deed::update_teal, Collection::teal_status, 4},
}};

}  // namespace standpipe::tools::sim
