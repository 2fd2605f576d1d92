#include "schema/frame_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "schema/cbor.h"

namespace standpipe {
namespace {

constexpr std::string_view kAlice = "did:plc:z72i7hdynmk6r22z27h6tvur";
constexpr std::string_view kBob = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";

FrameFilter given_filter(FrameFilter::Wanted wanted) {
  auto filter = FrameFilter::compile(wanted);
  EXPECT_TRUE(filter.has_value()) << filter.error().detail;
  return std::move(*filter);
}

std::string refusal(FrameFilter::Wanted wanted) {
  const auto filter = FrameFilter::compile(wanted);
  return filter ? "" : to_string(filter.error());
}

void begin_frame(CborWriter& cbor, std::string_view type, std::size_t payload_pairs) {
  cbor.write_map(2);
  cbor.write_text("t");
  cbor.write_text(type);
  cbor.write_text("op");
  cbor.write_integer(1);
  cbor.write_map(payload_pairs);
  cbor.write_text("seq");
  cbor.write_integer(7);
}

Bytes commit_of(std::string_view repo, const std::vector<std::string>& paths) {
  Bytes frame;
  CborWriter cbor(frame);
  begin_frame(cbor, "#commit", 3);
  cbor.write_text("ops");
  cbor.write_array(paths.size());
  for (const std::string& path : paths) {
    cbor.write_map(2);
    cbor.write_text("path");
    cbor.write_text(path);
    cbor.write_text("action");
    cbor.write_text("create");
  }
  cbor.write_text("repo");
  cbor.write_text(repo);
  return frame;
}

Bytes identity_of(std::string_view did) {
  Bytes frame;
  CborWriter cbor(frame);
  begin_frame(cbor, "#identity", 2);
  cbor.write_text("did");
  cbor.write_text(did);
  return frame;
}

Bytes frame_without_did() {
  Bytes frame;
  CborWriter cbor(frame);
  begin_frame(cbor, "#account", 1);
  return frame;
}

TEST(FrameFilter, WithoutWishesPassesEverything) {
  const FrameFilter filter;
  EXPECT_TRUE(filter.passes_all());
  EXPECT_TRUE(filter.passes(commit_of(kAlice, {"app.bsky.feed.post/a"})));
  EXPECT_TRUE(filter.passes(frame_without_did()));
  EXPECT_TRUE(filter.passes(as_bytes("no frame at all")));
}

TEST(FrameFilter, DidsPassFramesOfAnyKindThatConcernThem) {
  const FrameFilter filter = given_filter({{std::string(kAlice)}, {}});
  EXPECT_FALSE(filter.passes_all());
  EXPECT_TRUE(filter.passes(commit_of(kAlice, {"app.bsky.feed.post/a"})));
  EXPECT_TRUE(filter.passes(identity_of(kAlice)));
  EXPECT_FALSE(filter.passes(commit_of(kBob, {"app.bsky.feed.post/a"})));
  EXPECT_FALSE(filter.passes(identity_of(kBob)));
}

TEST(FrameFilter, AFrameWithoutAUsableDidNeverPassesUnderDids) {
  const FrameFilter filter = given_filter({{std::string(kAlice)}, {}});
  EXPECT_FALSE(filter.passes(frame_without_did()));
  EXPECT_FALSE(filter.passes(identity_of("")));
  EXPECT_FALSE(filter.passes(identity_of("not a did")));
  EXPECT_FALSE(filter.passes(identity_of(std::string(kAlice) + " ")));
}

TEST(FrameFilter, CollectionsPassAWholeCommitIfAnyOpMatches) {
  const FrameFilter filter = given_filter({{}, {"app.bsky.feed.post"}});
  EXPECT_TRUE(filter.passes(commit_of(kAlice, {"app.bsky.feed.like/a", "app.bsky.feed.post/b"})));
  EXPECT_FALSE(filter.passes(commit_of(kAlice, {"app.bsky.feed.like/a"})));
  EXPECT_FALSE(filter.passes(commit_of(kAlice, {"app.bsky.feed.postgate/a"})));
  EXPECT_FALSE(filter.passes(commit_of(kAlice, {})));
}

TEST(FrameFilter, CollectionsPassEveryOtherKindOfFrame) {
  const FrameFilter filter = given_filter({{}, {"app.bsky.feed.post"}});
  EXPECT_TRUE(filter.passes(identity_of(kAlice)));
  EXPECT_TRUE(filter.passes(frame_without_did()));
}

TEST(FrameFilter, APrefixMatchesWholeSegmentsAlone) {
  const FrameFilter filter = given_filter({{}, {"app.bsky.feed.*"}});
  EXPECT_TRUE(filter.passes(commit_of(kAlice, {"app.bsky.feed.post/a"})));
  EXPECT_TRUE(filter.passes(commit_of(kAlice, {"app.bsky.feed.more.deeply/a"})));
  EXPECT_FALSE(filter.passes(commit_of(kAlice, {"app.bsky.feedback.post/a"})));
  EXPECT_FALSE(filter.passes(commit_of(kAlice, {"app.bsky.feed/a"})));
  EXPECT_FALSE(filter.passes(commit_of(kAlice, {"app.bsky.feed./a"})));
}

TEST(FrameFilter, BothDidAndCollectionMustPass) {
  const FrameFilter filter = given_filter({{std::string(kAlice)}, {"app.bsky.feed.*"}});
  EXPECT_TRUE(filter.passes(commit_of(kAlice, {"app.bsky.feed.post/a"})));
  EXPECT_FALSE(filter.passes(commit_of(kBob, {"app.bsky.feed.post/a"})));
  EXPECT_FALSE(filter.passes(commit_of(kAlice, {"app.bsky.graph.follow/a"})));
  EXPECT_FALSE(filter.passes(identity_of(kBob)));
  EXPECT_TRUE(filter.passes(identity_of(kAlice)));
}

TEST(FrameFilter, TheLastOfManyOpsIsJudgedToo) {
  const FrameFilter filter = given_filter({{}, {"app.bsky.feed.post"}});
  std::vector<std::string> paths(1'000, "app.bsky.feed.like/a");
  EXPECT_FALSE(filter.passes(commit_of(kAlice, paths)));
  paths.back() = "app.bsky.feed.post/a";
  EXPECT_TRUE(filter.passes(commit_of(kAlice, paths)));
}

TEST(FrameFilter, RefusesWhatIsNoDidOrCollectionAndSaysWhatIs) {
  EXPECT_THAT(refusal({{"alice.example.com"}, {}}), ::testing::HasSubstr("is not a DID"));
  for (const char* wrong :
       {"", "*", ".*", "app.bsky.feed.", "app.bsky.*.post", "app.bsky.feed*", "app..*", "likes"}) {
    EXPECT_THAT(refusal({{}, {wrong}}), ::testing::HasSubstr("is not a collection: an NSID"))
        << wrong;
  }
  EXPECT_EQ(refusal({{}, {"app.*", "app.bsky.*"}}), "");
}

TEST(FrameFilter, RefusesMoreThanTheLimits) {
  EXPECT_EQ(refusal({std::vector<std::string>(10'000, std::string(kAlice)), {}}), "");
  EXPECT_EQ(refusal({std::vector<std::string>(10'001, std::string(kAlice)), {}}),
            "limit reached: 10001 DIDs: at most 10000 are allowed");
  EXPECT_EQ(refusal({{}, std::vector<std::string>(100, "app.bsky.feed.post")}), "");
  EXPECT_EQ(refusal({{}, std::vector<std::string>(101, "app.bsky.feed.post")}),
            "limit reached: 101 collections: at most 100 are allowed");
}

}  // namespace
}  // namespace standpipe
