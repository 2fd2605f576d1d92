// --verify-ingest: frames are judged while they are mirrored, counted, told in the log, and kept
// and served as they came.
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "schema/event.h"
#include "tests/support/cli_fixture.h"
#include "tests/support/mirror_status_fixture.h"
#include "tests/support/verify_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string path(std::int64_t seq) { return TwoRepos::path(seq); }

// Commits of one repository, and in them one of each kind of thing that can be wrong.
struct BadFrames {
  BadFrames() {
    for (std::int64_t seq = 1; seq <= 3; ++seq) add(seq);
    {  // a byte of the record, which comes last in the blocks
      const Bytes frame = repo.commit(4, {{"create", path(4)}});
      const Event event = decode_event(frame).value();
      add(4, with_change(frame, to_bytes(std::get<Commit>(event).blocks.last(8))));
    }
    {  // prevData comes last in the frame
      Bytes frame = repo.commit(5, {{"create", path(5)}});
      frame.back() ^= std::byte{1};
      add(5, std::move(frame));
    }
    add(6, with_blocks(repo.commit(6, {{"create", path(6)}}), {}));
    {  // the operation's CID comes first
      Bytes frame = repo.commit(7, {{"create", path(7)}});
      const Event event = decode_event(frame).value();
      const Bytes cid = to_bytes(std::get<Commit>(event).ops[0].cid->bytes());
      std::search(frame.begin(), frame.end(), cid.begin(), cid.end())[35] ^= std::byte{1};
      add(7, std::move(frame));
    }
    repo.change_key(20);
    add(8);
    repo.change_key(1);
    {  // the header's two keys in the wrong order
      const Bytes frame = repo.commit(9, {{"create", path(9)}});
      const Bytes header = *parse_hex("a261746723636f6d6d6974626f7001");
      EXPECT_TRUE(equal(ByteView(frame).first(header.size()), header));
      Bytes changed = *parse_hex("a2626f700161746723636f6d6d6974");
      changed.insert(changed.end(), frame.begin() + static_cast<std::ptrdiff_t>(header.size()),
                     frame.end());
      add(9, std::move(changed));
    }
    repo.commit(10, {{"create", path(10)}});  // is left out
    add(11);
    repo.roll_back_to(9);
    add(12);
    add(13, *parse_hex("a261746723636f6d6d6974626f7001a1637365710d"));  // and nothing else
  }

  void add(std::int64_t seq) { add(seq, repo.commit(seq, {{"create", path(seq)}})); }
  void add(std::int64_t seq, Bytes frame) {
    bytes.push_back(frame);
    frames.push_back({seq, std::move(frame)});
  }

  RepoMaker repo{1};
  std::vector<UpstreamFrame> frames;
  std::vector<Bytes> bytes;
};

using Counts = std::map<std::string, std::uint64_t>;

// Of what is above. Seqs 4, 6, 7, 9, 13 can be told by themselves, the others against a tree, a
// key, or another frame.
const Counts kOfStructure = {{"block_hash_wrong", 1},
                             {"blocks_absent", 1},
                             {"record_missing", 1},
                             {"not_canonical", 1},
                             {"event_malformed", 1}};
const Counts kOfAll = {
    {"block_hash_wrong", 1}, {"prev_data_differs", 1}, {"prev_data_not_previous", 2},
    {"blocks_absent", 1},    {"record_missing", 1},    {"op_differs", 2},
    {"signature_wrong", 1},  {"not_canonical", 1},     {"since_not_previous", 1},
    {"rev_not_rising", 1},   {"event_malformed", 1}};

class MirrorVerify : public MirrorStatusFixture {
 protected:
  void given_bad_upstream() {
    UpstreamOptions options;
    options.frames = bad.frames;
    given_upstream(std::move(options));
    std::ofstream(dir / "docs.json") << bad.repo.did_document();
  }
  json wait_until_checked(std::uint64_t frames) const {
    return wait_for_status("the verdicts", [&](const json& now) {
      return now["verify"].is_object() && now["verify"]["frames"] >= frames;
    })["verify"];
  }
  std::vector<std::string> full() const {
    return {"--verify-ingest", "full", "--did-docs", dir / "docs.json"};
  }

  BadFrames bad;
};

TEST_F(MirrorVerify, StructureIsJudgedWithoutTreesAndKeys) {
  given_bad_upstream();
  given_watched_mirror({"--verify-ingest", "structure"});
  const json check = wait_until_checked(bad.frames.size());
  EXPECT_EQ(check["depth"], "structure");
  EXPECT_EQ(check["frames"], bad.frames.size());
  EXPECT_EQ(check["checked"], 13);
  EXPECT_EQ(check["findings_by_kind"].get<Counts>(), kOfStructure);
  EXPECT_EQ(check["invalid"], 5);
  EXPECT_EQ(check["error"], "");
  expect_served(bad.bytes);
}

TEST_F(MirrorVerify, FullIsAllThatVerifyFinds) {
  given_bad_upstream();
  given_watched_mirror(full());
  const json check = wait_until_checked(bad.frames.size());
  EXPECT_EQ(check["findings_by_kind"].get<Counts>(), kOfAll);
  EXPECT_EQ(check["invalid"], 9);
  EXPECT_EQ(check["signatures"], (json{{"valid", 9}, {"wrong", 1}, {"unchecked", 1}}));
  EXPECT_EQ(check["checked"], 13);
  wait_for_log("stream repos: seq 4 of " + bad.repo.did() +
               " is archived, and invalid: block_hash_wrong: ");
  // Nothing was dropped, nothing was changed.
  expect_served(bad.bytes);
  EXPECT_EQ(stop().status, 0);
  const Outcome verified = run_standpipe({"verify", "--data", archive().string(), "--did-docs",
                                          dir / "docs.json", "--json", "--quiet"});
  const std::string last =
      verified.out.substr(verified.out.rfind('\n', verified.out.size() - 2) + 1);
  EXPECT_EQ(json::parse(last)["findings_by_kind"].get<Counts>(), kOfAll);
}

TEST_F(MirrorVerify, WithoutKeysSignaturesAreCountedAsUnchecked) {
  given_bad_upstream();
  given_watched_mirror({"--verify-ingest", "full"});
  const json check = wait_until_checked(bad.frames.size());
  EXPECT_EQ(check["signatures"], (json{{"valid", 0}, {"wrong", 0}, {"unchecked", 11}}));
  EXPECT_FALSE(check["findings_by_kind"].contains("signature_wrong"));
}

TEST_F(MirrorVerify, OffIsTheDefaultAndSaysNothing) {
  given_bad_upstream();
  given_watched_mirror();
  EXPECT_EQ(wait_for_newest(13)["verify"], nullptr);
  expect_served(bad.bytes);
  EXPECT_THAT(stop().err, ::testing::Not(HasSubstr("invalid")));
}

TEST_F(MirrorVerify, BeginsBehindWhatIsThereAndFollowsIntoTheNextEpoch) {
  given_bad_upstream();
  given_watched_mirror();
  wait_for_newest(13);
  EXPECT_EQ(stop().status, 0);
  given_watched_mirror(full());
  upstream().append(14, bad.repo.commit(14, {{"create", path(14)}}));
  json check = wait_until_checked(1);
  EXPECT_EQ(check["frames"], 1);
  EXPECT_EQ(check["invalid"], 0);  // no commit is known that it could be held against
  EXPECT_EQ(check["checked"], 14);
  const Outcome begun = run_standpipe(
      {"epoch", "new", "--data", archive().string(), "--stream", "repos", "--reason", "test"});
  ASSERT_EQ(begun.status, 0) << begun.err;
  // Twelve frames and the new one come again; beside the nine, 14 has the rev of 11.
  check = wait_until_checked(1 + 13);
  EXPECT_EQ(check["frames"], 1 + 13);
  EXPECT_EQ(check["invalid"], 9 + 1);
  EXPECT_EQ(check["error"], "");
}

using MirrorVerifyUsage = CliFixture;

TEST_F(MirrorVerifyUsage, WhatMakesNoSenseIsToldInOneLine) {
  for (const std::string verb : {"mirror", "archive"}) {
    const std::vector<std::string> begin = {verb, "--upstream", "ws://127.0.0.1:1"};
    const auto expect = [&](std::vector<std::string> more, int status, const std::string& text) {
      more.insert(more.begin(), begin.begin(), begin.end());
      expect_refusal(more, status, text);
    };
    expect({"--verify-ingest", "deep"}, 2, "'deep' is not one of off, structure, full");
    expect({"--did-docs", "docs.json"}, 2, "--did-docs: of use with --verify-ingest full alone");
    expect({"--verify-ingest", "full", "--did-docs", dir / "nothing"}, 1, "nothing");
  }
  expect_refusal({"serve", "--verify-ingest", "full"}, 2, "unknown option --verify-ingest");
  EXPECT_FALSE(std::filesystem::exists(archive));
}

}  // namespace
}  // namespace standpipe::test
