// scan_frame on real captured frames, against what their sources say of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "schema/datetime.h"
#include "schema/frame.h"
#include "tests/support/frame_printing.h"
#include "tests/support/shared_data.h"
#include "tests/support/slow_scan.h"

namespace standpipe::test {
namespace {

std::vector<Bytes> frames_of(std::string_view source) {
  return read_frame_corpus(shared_dir() / "data" / source / "frames.bin.zst");
}

struct Summary {
  std::map<FrameKind, int> kinds;
  std::vector<std::int64_t> seqs;
  std::map<std::string, int> actions;
  std::set<std::string> dids;
};

// Scans every frame, and checks of each what is true of all of them.
Summary summarise(const std::vector<Bytes>& frames) {
  Summary summary;
  for (const Bytes& frame : frames) {
    const FrameScan scan = scan_frame(frame);
    const Envelope& envelope = scan.envelope;
    EXPECT_EQ(scan.why, Unarchivable::archivable);
    EXPECT_EQ(fast_scan(frame), slow_scan(frame));
    EXPECT_EQ(envelope.type, "#" + std::string(to_string(envelope.kind)));
    EXPECT_EQ(envelope.did.substr(0, 8), "did:plc:");
    EXPECT_EQ(envelope.did.size(), 32U);
    EXPECT_TRUE(parse_datetime_ms(envelope.time).has_value()) << envelope.time;
    const std::size_t header_bytes = envelope.type.size() + 8;
    EXPECT_EQ(envelope.payload.size(), frame.size() - header_bytes);
    const bool is_commit = envelope.kind == FrameKind::commit;
    EXPECT_EQ(envelope.rev.size(), is_commit ? 13U : 0U);
    EXPECT_EQ(envelope.blocks.empty(), !is_commit);
    ++summary.kinds[envelope.kind];
    summary.seqs.push_back(to_int(envelope.seq.value_or(kSeqNone)));
    summary.dids.emplace(envelope.did);
    OpReader ops(envelope);
    EnvelopeOp op;
    while (ops.next(op)) ++summary.actions[std::string(op.action)];
  }
  return summary;
}

TEST(FrameReal, TheJetstreamCorpusScansAsItsManifestSays) {
  STANDPIPE_REQUIRE_SHARED();
  const Summary summary = summarise(frames_of("jetstream-corpus"));
  std::vector<std::int64_t> seqs;
  for (std::int64_t seq = 31'527'015'322; seq <= 31'527'015'471; ++seq) seqs.push_back(seq);
  EXPECT_EQ(summary.seqs, seqs);
  EXPECT_EQ(summary.kinds,
            (std::map<FrameKind, int>{
                {FrameKind::commit, 148}, {FrameKind::identity, 1}, {FrameKind::account, 1}}));
  EXPECT_EQ(summary.actions,
            (std::map<std::string, int>{{"create", 144}, {"update", 2}, {"delete", 4}}));
  EXPECT_EQ(summary.dids.size(), 149U);

  const auto manifest = nlohmann::json::parse(
      read_text_file(shared_dir() / "data" / "jetstream-corpus" / "manifest.json"));
  for (const auto& did : manifest.at("commit_dids")) {
    EXPECT_EQ(summary.dids.count(did.get<std::string>()), 1U) << did;
  }
}

// did, rev, action and path of every operation, and the DIDs of what is no commit.
TEST(FrameReal, TheJetstreamCorpusCarriesTheOperationsThatItsServerSaw) {
  STANDPIPE_REQUIRE_SHARED();
  std::multiset<std::string> expected;
  std::istringstream lines(
      read_text_file(shared_dir() / "data" / "jetstream-corpus" / "expected_v1.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line);
    std::string words =
        event.at("kind").get<std::string>() + " " + event.at("did").get<std::string>();
    if (event.contains("commit")) {
      const auto& commit = event.at("commit");
      words += " " + commit.at("rev").get<std::string>() + " " +
               commit.at("operation").get<std::string>() + " " +
               commit.at("collection").get<std::string>() + "/" +
               commit.at("rkey").get<std::string>();
    }
    expected.insert(words);
  }
  ASSERT_EQ(expected.size(), 152U);

  std::multiset<std::string> actual;
  const std::vector<Bytes> frames = frames_of("jetstream-corpus");
  for (const Bytes& frame : frames) {
    std::array<EnvelopeOp, 8> ops;
    const Envelope envelope = scan_frame(frame, ops).envelope;
    const std::string words =
        std::string(to_string(envelope.kind)) + " " + std::string(envelope.did);
    if (envelope.kind != FrameKind::commit) actual.insert(words);
    for (std::size_t i = 0; i < envelope.ops_total; ++i) {
      actual.insert(words + " " + std::string(envelope.rev) + " " + std::string(ops[i].action) +
                    " " + std::string(ops[i].path));
    }
  }
  EXPECT_EQ(actual, expected);
}

TEST(FrameReal, TheHorizonFramesScanAsTheirReadmeSays) {
  STANDPIPE_REQUIRE_SHARED();
  const Summary summary = summarise(frames_of("horizon-firehose"));
  EXPECT_EQ(summary.kinds, (std::map<FrameKind, int>{{FrameKind::commit, 21}}));
  EXPECT_EQ(summary.actions, (std::map<std::string, int>{{"create", 22}}));
  ASSERT_EQ(summary.seqs.size(), 21U);
  const auto [least, greatest] = std::minmax_element(summary.seqs.begin(), summary.seqs.end());
  EXPECT_EQ(*least, 29'290'585'431);
  EXPECT_EQ(*greatest, 29'290'586'430);
}

TEST(FrameReal, TheProtoRuneFramesScanAsTheirReadmeSays) {
  STANDPIPE_REQUIRE_SHARED();
  const Summary summary = summarise(frames_of("proto-rune"));
  EXPECT_EQ(summary.kinds,
            (std::map<FrameKind, int>{{FrameKind::commit, 11}, {FrameKind::identity, 1}}));
  EXPECT_EQ(summary.actions, (std::map<std::string, int>{{"create", 10}, {"delete", 1}}));
  ASSERT_EQ(summary.seqs.size(), 12U);
  const auto [least, greatest] = std::minmax_element(summary.seqs.begin(), summary.seqs.end());
  EXPECT_EQ(*least, 32'625'482'169);
  EXPECT_EQ(*greatest, 32'625'561'603);
}

}  // namespace
}  // namespace standpipe::test
