// `standpipe verify`: what is wrong is found, named with its seq, and nothing else is.
#include <algorithm>
#include <functional>

#include "schema/event.h"
#include "tests/support/verify_fixture.h"

namespace standpipe::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Report = VerifyReport;
using Two = TwoRepos;

// ---- planted faults ----

// What is found in the two repositories after `plant`, with their true documents at hand.
class Planted : public VerifyFixture {
 protected:
  std::vector<std::string> rows_after(const std::function<void(Two&)>& plant) {
    Two two;
    plant(two);
    const Report report =
        verify_frames(two.frames, {"--did-docs", given_text("docs", two.documents())});
    EXPECT_EQ(report.status, report.rows.empty() ? 0 : 1);
    EXPECT_EQ(report.err, "");
    EXPECT_EQ(report.summary["result"], report.rows.empty() ? "clean" : "findings");
    EXPECT_EQ(report.summary["findings"], report.rows.size());
    return report.rows;
  }
};

TEST_F(Planted, AChangedByteInABlock) {
  EXPECT_THAT(rows_after([](Two& two) {
                const Event event = decode_event(two.frames[4]).value();
                const ByteView blocks = std::get<Commit>(event).blocks;
                const Bytes end = to_bytes(blocks.last(8));  // of the record, which comes last
                two.frames[4] = with_change(two.frames[4], end);
              }),
              ElementsAre("5 block_hash_wrong"));
}

TEST_F(Planted, AnOperationThatNamesAnotherRecord) {
  EXPECT_THAT(rows_after([](Two& two) {
                Bytes& frame = two.frames[5];
                const Event event = decode_event(frame).value();
                const Cid cid = *std::get<Commit>(event).ops[0].cid;
                // In the operation first, then in the tree and before the record.
                const auto at =
                    std::search(frame.begin(), frame.end(), cid.bytes().begin(), cid.bytes().end());
                at[35] ^= std::byte{1};
              }),
              ElementsAre("6 record_missing", "6 op_differs", "6 op_differs"));
}

TEST_F(Planted, AChangedPrevData) {
  EXPECT_THAT(rows_after([](Two& two) {
                two.frames[6].back() ^= std::byte{1};  // prevData comes last
              }),
              ElementsAre("7 prev_data_differs", "7 prev_data_not_previous"));
}

TEST_F(Planted, ASignatureOfAnotherKey) {
  EXPECT_THAT(rows_after([](Two& two) {
                two.a.change_key(20);
                two.frames.push_back(two.a.commit(11, {{"create", Two::path(11)}}));
                two.a.change_key(1);
                two.frames.push_back(two.a.commit(12, {{"create", Two::path(12)}}));
              }),
              ElementsAre("11 signature_wrong"));
}

TEST_F(Planted, ACommitThatIsLeftOut) {
  EXPECT_THAT(rows_after([](Two& two) { two.frames.erase(two.frames.begin() + 4); }),
              ElementsAre("7 since_not_previous", "7 prev_data_not_previous"));
}

TEST_F(Planted, ARevThatGoesBack) {
  EXPECT_THAT(rows_after([](Two& two) {
                two.a.roll_back_to(5);
                two.frames.push_back(two.a.commit(11, {{"create", Two::path(11)}}));
              }),
              ElementsAre("11 rev_not_rising"));
}

TEST_F(Planted, ACarThatIsCutShort) {
  EXPECT_THAT(rows_after([](Two& two) {
                const Event event = decode_event(two.frames[8]).value();
                const ByteView blocks = std::get<Commit>(event).blocks;
                two.frames[8] = with_blocks(two.frames[8], blocks.first(blocks.size() - 3));
              }),
              ElementsAre("9 blocks_unreadable"));
}

TEST_F(Planted, BlocksThatAreNotThere) {
  EXPECT_THAT(rows_after([](Two& two) { two.frames[8] = with_blocks(two.frames[8], {}); }),
              ElementsAre("9 blocks_absent"));
}

TEST_F(Planted, AFrameThatStandsTwiceOrIsNone) {
  EXPECT_THAT(rows_after([](Two& two) {
                two.frames.insert(two.frames.begin() + 6, two.frames[4]);
                two.frames.insert(two.frames.begin() + 2, *parse_hex("ff"));
                two.frames.insert(two.frames.begin() + 2, two.frames[1]);
                two.frames.push_back(*parse_hex("a261746723636f6d6d6974626f7001a1637365710b"));
              }),
              ElementsAre("2 seq_not_rising", "frame 4 header_malformed", "5 seq_not_rising",
                          "11 event_malformed"));
}

// ---- keys ----

TEST_F(Planted, WhatHasNoKeyThatIsSureToBeItsOwnIsUnchecked) {
  RepoMaker repo(5);
  std::vector<Bytes> frames = {repo.commit(1, {{"create", "a.b.c/1"}})};
  repo.change_key(6);
  frames.push_back(repo.identity(2));
  frames.push_back(repo.commit(3, {{"create", "a.b.c/3"}}));
  RepoMaker other(7);
  frames.push_back(other.commit(4, {{"create", "a.b.c/4"}}));
  const std::string document = repo.did_document();
  Report report = verify_frames(frames, {"--did-docs", given_text("one", document)});
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["valid"], 1);
  EXPECT_EQ(report.summary["signatures"]["key_changed"], 1);
  EXPECT_EQ(report.summary["signatures"]["no_document"], 1);
  EXPECT_EQ(report.summary["signatures"]["unchecked"], 2);

  // Documents of two times: either key will do, and what is by neither may be by one between.
  std::string later = document;
  const std::string key = "zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme";
  later.replace(later.rfind("zQ3sh"), key.size(), key);
  report = verify_frames(frames, {"--did-docs", given_text("two", document + "\n" + later)});
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["valid"], 1);
  EXPECT_EQ(report.summary["signatures"]["key_changed"], 1);
}

}  // namespace
}  // namespace standpipe::test
