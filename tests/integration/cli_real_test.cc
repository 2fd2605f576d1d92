// Real frames through the program: in, out, shown.
#include <algorithm>
#include <map>

#include "tests/support/cli_fixture.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

class CliReal : public CliFixture {
 protected:
  static std::string corpus(const std::string& name) {
    return shared_dir() / "data" / name / "frames.bin.zst";
  }
  static std::vector<std::string> corpora() {
    return {corpus("horizon-firehose"), corpus("jetstream-corpus"), corpus("proto-rune")};
  }
  static std::vector<Bytes> all_frames() {
    std::vector<Bytes> frames;
    for (const std::string& path : corpora()) {
      for (Bytes& frame : read_frame_corpus(path)) frames.push_back(std::move(frame));
    }
    return frames;
  }
  // One process each, so that each begins a group and a commit of its own.
  void given_all() const {
    for (const std::string& path : corpora()) import({path});
  }
};

TEST_F(CliReal, AllFramesComeOutAsTheyWentInAndInOrder) {
  STANDPIPE_REQUIRE_SHARED();
  const json summary = import(corpora());
  EXPECT_EQ(summary["frames"], 183);
  EXPECT_EQ(summary["accepted"], 183);
  EXPECT_EQ(summary["accepted_bytes"], 117'052 + 818'776 + 58'906);
  EXPECT_EQ(summary["quarantined"], 0);
  EXPECT_EQ(summary["newest"], 32'625'561'603);
  EXPECT_EQ(summary["files"], 3);
  const std::vector<Bytes> expected = all_frames();
  ASSERT_EQ(expected.size(), 183U);
  EXPECT_TRUE(exported() == expected);
  EXPECT_TRUE(exported({"--zstd-level", "19"}) == expected);
}

TEST_F(CliReal, ThreeStreamsKeepTheirFramesApart) {
  STANDPIPE_REQUIRE_SHARED();
  const std::vector<std::string> names = {"horizon", "jetstream", "rune"};
  for (std::size_t i = 0; i < names.size(); ++i) {
    import({corpora()[i], "--stream", names[i], "--url", "wss://bsky.network"});
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    EXPECT_TRUE(exported({"--stream", names[i]}) == read_frame_corpus(corpora()[i])) << names[i];
  }
  const json archive_shown = run_json({"inspect"});
  ASSERT_EQ(archive_shown["streams"].size(), 3U);
  EXPECT_EQ(archive_shown["streams"][1]["name"], "jetstream");
  EXPECT_EQ(archive_shown["streams"][1]["url"], "wss://bsky.network");
  EXPECT_EQ(archive_shown["streams"][1]["epochs"][0]["frames"], 150);
  EXPECT_EQ(run_json({"inspect", "--stream", "rune"})["streams"].size(), 1U);
}

TEST_F(CliReal, ASecondImportOfTheSameFramesIsAllDuplicates) {
  STANDPIPE_REQUIRE_SHARED();
  import(corpora());
  const json again = import(corpora());
  EXPECT_EQ(again["duplicates"], 183);
  EXPECT_EQ(again["accepted"], 0);
  EXPECT_EQ(again["gaps"], 0);
  EXPECT_EQ(again["commits"], 0);
  EXPECT_TRUE(exported() == all_frames());
}

TEST_F(CliReal, TailPrintsEveryFrameInEachOfItsForms) {
  STANDPIPE_REQUIRE_SHARED();
  import(corpora());
  const std::vector<json> lines = tailed();
  ASSERT_EQ(lines.size(), 183U);
  std::map<std::string, int> types;
  for (const json& line : lines) ++types[line["t"]];
  EXPECT_EQ(types,
            (std::map<std::string, int>{{"#commit", 180}, {"#identity", 2}, {"#account", 1}}));
  EXPECT_TRUE(std::is_sorted(lines.begin(), lines.end(), [](const json& a, const json& b) {
    return a["seq"].get<std::int64_t>() < b["seq"].get<std::int64_t>();
  }));
  EXPECT_EQ(lines.front()["seq"], 29'290'585'431);
  EXPECT_EQ(lines.back()["seq"], 32'625'561'603);

  const Outcome text = run({"tail", "--cursor", "31527015469", "--until", "31527015471"});
  EXPECT_EQ(text.out,
            "31527015470  2026-07-04T14:38:07.877Z  #identity   "
            "did:plc:hqvhxrowqbemo5e4wjnj6zao\n"
            "31527015471  2026-07-04T14:38:07.877Z  #account    "
            "did:plc:hqvhxrowqbemo5e4wjnj6zao\n");

  std::string raw;
  for (const Bytes& frame : all_frames()) {
    std::array<std::byte, 4> length{};
    store_le(length.data(), static_cast<std::uint32_t>(frame.size()));
    raw.append(as_text(length));
    raw.append(as_text(frame));
  }
  EXPECT_TRUE(run({"tail", "--raw"}).out == raw);
}

// Jetstream's own JSON of the same frames, as its production service gave it.
TEST_F(CliReal, TailShowsTheRecordsThatJetstreamServedOfTheSameFrames) {
  STANDPIPE_REQUIRE_SHARED();
  import({corpus("jetstream-corpus")});
  std::map<std::string, json> records;  // by did/path
  for (const json& line : tailed()) {
    if (line["t"] != "#commit") continue;
    for (const json& op : line["payload"]["ops"]) {
      records[line["did"].get<std::string>() + "/" + op["path"].get<std::string>()] =
          op.value("record", json());
    }
  }
  int compared = 0;
  for (const std::string& text :
       read_vector_lines(shared_dir() / "data" / "jetstream-corpus" / "expected_v1.jsonl")) {
    const json expected = json::parse(text);
    if (expected["kind"] != "commit") continue;
    const json& commit = expected["commit"];
    const std::string path = expected["did"].get<std::string>() + "/" +
                             commit["collection"].get<std::string>() + "/" +
                             commit["rkey"].get<std::string>();
    ASSERT_TRUE(records.contains(path)) << path;
    EXPECT_EQ(records[path], commit.value("record", json())) << path;
    ++compared;
  }
  EXPECT_EQ(compared, 150);
}

TEST_F(CliReal, InspectShowsTheArchiveAndItsGaps) {
  STANDPIPE_REQUIRE_SHARED();
  import(corpora());
  const json shown = run_json({"inspect", "--check"});
  EXPECT_EQ(shown["checked"], true);
  EXPECT_EQ(shown["format"], 1);
  ASSERT_EQ(shown["streams"].size(), 1U);
  const json& stream = shown["streams"][0];
  EXPECT_EQ(stream["name"], "repos");
  EXPECT_EQ(stream["kind"], "repos");
  ASSERT_EQ(stream["epochs"].size(), 1U);
  const json& epoch = stream["epochs"][0];
  EXPECT_EQ(epoch["frames"], 183);
  EXPECT_EQ(epoch["newest"], 32'625'561'603);
  EXPECT_EQ(epoch["origin"], 29'290'585'430);
  // A second one may stand ready, empty.
  EXPECT_EQ(epoch["partitions"][0]["first"], 29'290'585'431);
  EXPECT_EQ(epoch["partitions"][0]["last"], 32'625'561'603);
  EXPECT_EQ(epoch["partitions"][0]["frames"], 183);
  // Between the corpora nothing was received; within them upstream's frames were left out.
  ASSERT_EQ(epoch["gaps"].size(), 24U);
  EXPECT_EQ(epoch["gaps"][0]["after"], 29'290'585'431);
  EXPECT_EQ(epoch["gaps"][0]["before"], 29'290'585'480);
  EXPECT_EQ(epoch["gaps"][0]["missing"], 48);
  EXPECT_EQ(epoch["gaps"][0]["reason"], "upstream");
  EXPECT_EQ(epoch["gaps"][20]["reason"], "outage");
  EXPECT_EQ(epoch["gaps"][20]["before"], 31'527'015'322);
  EXPECT_EQ(shown["quarantine"]["entries"], 0);
  // A clean stop leaves tables and no log.
  EXPECT_EQ(shown["bytes"]["log"], 0);
  EXPECT_LT(shown["bytes"]["stored_over_raw"].get<double>(), 0.75);

  const Outcome text = run({"inspect"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, ::testing::HasSubstr("183 frames"));
  EXPECT_THAT(text.out, ::testing::HasSubstr("more gaps: --json lists 24"));
}

TEST_F(CliReal, InspectShowsOneFrameDownToItsBlocks) {
  STANDPIPE_REQUIRE_SHARED();
  import({corpus("jetstream-corpus")});
  const json shown = run_json({"inspect", "frame", "31527015322", "--hex"});
  EXPECT_EQ(shown["seq"], 31'527'015'322);
  EXPECT_EQ(shown["verdict"], "archivable");
  EXPECT_EQ(shown["bytes"]["frame"], 6'881);
  EXPECT_EQ(shown["bytes"]["header"], 15);
  EXPECT_EQ(shown["envelope"]["type"], "#commit");
  EXPECT_EQ(shown["envelope"]["did"], "did:plc:wq4aajammjtxdomz3e23667t");
  EXPECT_EQ(shown["envelope"]["ops"][0]["path"], "app.bsky.feed.like/3mptbyplj5d2a");
  EXPECT_EQ(shown["event"]["payload"]["ops"][0]["record"]["$type"], "app.bsky.feed.like");
  EXPECT_EQ(shown["bytes"]["blocks_count"], shown["blocks"].size());
  ASSERT_GT(shown["blocks"].size(), 2U);
  int tree_nodes = 0;
  for (const json& block : shown["blocks"]) {
    EXPECT_EQ(block["hash"], "match") << block["cid"];
    if (block["value"].contains("e")) ++tree_nodes;
  }
  EXPECT_GT(tree_nodes, 0);
  EXPECT_THAT(shown["hex"].get<std::string>(),
              ::testing::StartsWith("a261746723636f6d6d6974626f7001"));

  const Outcome text = run({"inspect", "frame", "31527015322", "--hex"});
  EXPECT_EQ(text.status, 0);
  EXPECT_THAT(text.out, ::testing::HasSubstr("verdict archivable"));
  EXPECT_THAT(text.out,
              ::testing::HasSubstr("00000000  a2 61 74 67 23 63 6f 6d 6d 69 74 62 6f 70 01 "));
}

TEST_F(CliReal, ExportTakesRangesFiltersAndTimes) {
  STANDPIPE_REQUIRE_SHARED();
  given_all();
  const std::vector<Bytes> all = all_frames();
  const auto slice = [&](std::size_t first, std::size_t last) {
    return std::vector<Bytes>(all.begin() + static_cast<std::ptrdiff_t>(first),
                              all.begin() + static_cast<std::ptrdiff_t>(last));
  };
  // after is exclusive, until inclusive; neither needs to be a frame's.
  EXPECT_TRUE(exported({"--after", "31527015322"}) == slice(22, 183));
  EXPECT_TRUE(exported({"--after", "31527015321"}) == slice(21, 183));
  EXPECT_TRUE(exported({"--after", "29290586431", "--until", "31527015322"}) == slice(21, 22));
  EXPECT_TRUE(exported({"--until", "31527015321"}) == slice(0, 21));
  EXPECT_TRUE(exported({"--after", "32625561603"}).empty());
  // The archive's clock; each corpus has groups of its own.
  EXPECT_TRUE(exported({"--from-time", "2026-06-01T00:00:00Z"}) == slice(21, 183));
  EXPECT_TRUE(exported({"--to-time", "2026-06-01T00:00:00Z"}) == slice(0, 21));
  EXPECT_TRUE(exported({"--from-time", "2099-01-01T00:00:00Z"}).empty());
  EXPECT_TRUE(exported({"--from-time", "1970-01-01T00:00:00Z"}) == all);
}

// Counts from Jetstream's JSON of the same frames: 18 posts in 16 commits; identity and account
// pass whatever the collections.
TEST_F(CliReal, FiltersCountAsJetstreamCounted) {
  STANDPIPE_REQUIRE_SHARED();
  import({corpus("jetstream-corpus")});
  EXPECT_EQ(exported({"--collection", "app.bsky.feed.post"}).size(), 16U + 2);
  EXPECT_EQ(exported({"--collection", "app.bsky.feed.*"}).size(), 105U + 16 + 15 + 2);
  EXPECT_EQ(exported({"--collection", "app.bsky.graph.*"}).size(), 9U + 1 + 2);
  EXPECT_EQ(exported({"--collection", "app.bsky.graph.block", "--collection",
                      "fm.teal.alpha.actor.status"})
                .size(),
            2U + 2);
  EXPECT_EQ(tailed_seqs({"--did", "did:plc:hqvhxrowqbemo5e4wjnj6zao"}),
            (std::vector<std::int64_t>{31'527'015'470, 31'527'015'471}));
  EXPECT_EQ(tailed_seqs(
                {"--did", "did:plc:u4lmvw4wwzaql3z5kcf3r7h4", "--collection", "app.bsky.feed.post"})
                .size(),
            1U);
  EXPECT_TRUE(tailed_seqs({"--did", "did:plc:u4lmvw4wwzaql3z5kcf3r7h4", "--collection",
                           "app.bsky.feed.like"})
                  .empty());
}

}  // namespace
}  // namespace standpipe::test
