#include "schema/event.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "schema/ids.h"
#include "tests/support/frame_json.h"
#include "tests/support/hex.h"
#include "tests/support/shared_data.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

constexpr std::string_view kRecordCid =
    "bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44";
constexpr std::string_view kCommitCid =
    "bafyreid5gj7j524egdcwuh4e7wdzclmzniqt4rq2xnroli7v5edc3octim";
constexpr std::string_view kEmptyTreeCid =
    "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";

// The event of a frame of this type. The frame must live as long as the event.
template <typename T>
T decoded(const Bytes& frame) {
  auto event = decode_event(frame);
  if (!event) ADD_FAILURE() << event.error().detail;
  return std::get<T>(std::move(event).value());
}

std::string why_not(const Bytes& frame) {
  const auto event = decode_event(frame);
  if (event) return "is decoded";
  EXPECT_EQ(event.error().code, Errc::malformed);
  return event.error().detail;
}

std::string why_not(std::string_view type, std::string_view payload) {
  return why_not(frame_from_json(type, json::parse(payload)));
}

TEST(Event, DecodesTheWorkedCommit) {
  const Bytes frame = hex(kWorkedCommit);
  const auto commit = decoded<Commit>(frame);
  EXPECT_EQ(commit.seq, Seq{1});
  EXPECT_EQ(commit.repo, kWorkedDid);
  EXPECT_EQ(commit.time, kWorkedTime);
  EXPECT_EQ(commit.rev, "3l3qo2vuoiw2z");
  EXPECT_TRUE(commit.since.is_present);
  EXPECT_FALSE(commit.since.value.has_value());
  EXPECT_EQ(commit.commit.to_string(), kCommitCid);
  ASSERT_TRUE(commit.prev_data.has_value());
  EXPECT_EQ(commit.prev_data->to_string(), kEmptyTreeCid);
  EXPECT_FALSE(commit.prev.is_present);
  ASSERT_EQ(commit.ops.size(), 1U);
  EXPECT_EQ(commit.ops[0].action, "create");
  EXPECT_EQ(commit.ops[0].path, "com.example.record/3jqfcqzm3fo2j");
  ASSERT_TRUE(commit.ops[0].cid.has_value());
  EXPECT_EQ(commit.ops[0].cid->to_string(), kRecordCid);
  EXPECT_FALSE(commit.ops[0].prev.has_value());
  EXPECT_TRUE(commit.blobs.empty());
  EXPECT_EQ(commit.blocks.size(), 490U);
  EXPECT_FALSE(commit.is_too_big);
  EXPECT_FALSE(commit.is_rebase);
  // It borrows: the blocks are those of the frame.
  EXPECT_GT(commit.blocks.data(), frame.data());
  EXPECT_LT(commit.blocks.data(), frame.data() + frame.size());
}

TEST(Event, DecodesTheWorkedFramesOfOtherKinds) {
  const Bytes sync_frame = hex(kWorkedSync);
  const auto sync = decoded<Sync>(sync_frame);
  EXPECT_EQ(sync.seq, Seq{4});
  EXPECT_EQ(sync.did, kWorkedDid);
  EXPECT_EQ(sync.time, kWorkedTime);
  EXPECT_EQ(sync.rev, "3l3qo2vuoiw2z");
  EXPECT_EQ(sync.blocks.size(), 285U);

  const Bytes identity_frame = hex(kWorkedIdentity);
  const auto identity = decoded<Identity>(identity_frame);
  EXPECT_EQ(identity.seq, Seq{2});
  EXPECT_EQ(identity.did, kWorkedDid);
  EXPECT_EQ(identity.time, kWorkedTime);
  EXPECT_EQ(identity.handle, "alice.test");

  const Bytes account_frame = hex(kWorkedAccount);
  const auto account = decoded<Account>(account_frame);
  EXPECT_EQ(account.seq, Seq{3});
  EXPECT_EQ(account.did, kWorkedDid);
  EXPECT_FALSE(account.is_active);
  EXPECT_EQ(account.status, "deleted");

  const Bytes labels_frame = hex(kWorkedLabels);
  const auto labels = decoded<Labels>(labels_frame);
  EXPECT_EQ(labels.seq, Seq{5});
  ASSERT_EQ(labels.labels.size(), 1U);
  const Label& label = labels.labels[0];
  EXPECT_EQ(label.src, kWorkedDid);
  EXPECT_EQ(label.uri, "at://did:plc:standpipe2222222222abcde/com.example.record/3jqfcqzm3fo2j");
  EXPECT_EQ(label.val, "spam");
  EXPECT_EQ(label.cts, kWorkedTime);
  EXPECT_FALSE(label.is_negation);
  ASSERT_TRUE(label.sig.has_value());
  EXPECT_EQ(to_hex(*label.sig).substr(0, 16), "e050d53330342672");
  EXPECT_EQ(label.sig->size(), 64U);
  EXPECT_EQ(label.ver, 1);
  EXPECT_FALSE(label.exp.has_value());
  EXPECT_FALSE(label.cid.has_value());
}

TEST(Event, DecodesNotes) {
  const Bytes outdated = hex(kWorkedOutdatedCursor);
  const auto info = decoded<Info>(outdated);
  EXPECT_EQ(info.name, "OutdatedCursor");
  EXPECT_EQ(info.message, "Requested cursor exceeded limit. Possibly missing events");
  EXPECT_FALSE(info.seq.has_value());

  const Bytes future = hex(kWorkedFutureCursor);
  EXPECT_EQ(decoded<ErrorFrame>(future).name, "FutureCursor");
  EXPECT_EQ(decoded<ErrorFrame>(future).message, "Cursor in the future.");
  const Bytes go = hex(kWorkedTooSlowGo);
  EXPECT_EQ(decoded<ErrorFrame>(go).message, "");
  const Bytes bare = hex("a1 62'op' 20 a1 65'error' 61'E'");
  EXPECT_FALSE(decoded<ErrorFrame>(bare).message.has_value());
}

TEST(Event, DecodesRetiredMessages) {
  const Bytes handle_frame = frame_from_json(
      "#handle", {{"did", "did:a:b"}, {"seq", 1}, {"time", "t"}, {"handle", "a.test"}});
  const auto change = decoded<HandleChange>(handle_frame);
  EXPECT_EQ(change.seq, Seq{1});
  EXPECT_EQ(change.did, "did:a:b");
  EXPECT_EQ(change.handle, "a.test");

  const Bytes migrate_frame = frame_from_json(
      "#migrate", {{"did", "did:a:b"}, {"seq", 2}, {"time", "t"}, {"migrateTo", nullptr}});
  EXPECT_EQ(decoded<Migrate>(migrate_frame).seq, Seq{2});
  EXPECT_FALSE(decoded<Migrate>(migrate_frame).migrate_to.has_value());
  const Bytes moved = frame_from_json(
      "#migrate", {{"did", "did:a:b"}, {"seq", 2}, {"time", "t"}, {"migrateTo", "https://x"}});
  EXPECT_EQ(decoded<Migrate>(moved).migrate_to, "https://x");

  const Bytes tombstone_frame =
      frame_from_json("#tombstone", {{"did", "did:a:b"}, {"seq", 3}, {"time", "t"}});
  const auto tombstone = decoded<Tombstone>(tombstone_frame);
  EXPECT_EQ(tombstone.seq, Seq{3});
  EXPECT_EQ(tombstone.did, "did:a:b");
  EXPECT_EQ(tombstone.time, "t");
}

// Before 29 August 2023: no rev, no since, `prev` required, blobs in use.
TEST(Event, DecodesACommitOfRepositoryVersionTwo) {
  const Bytes frame = frame_from_json("#commit", json::parse(R"({"seq": 9, "rebase": true,
      "tooBig": true, "repo": "did:a:b", "time": "2023-05-01T00:00:00Z", "blocks": {"$bytes": ""},
      "commit": {"$link": "bafyreid5gj7j524egdcwuh4e7wdzclmzniqt4rq2xnroli7v5edc3octim"},
      "prev": {"$link": "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"},
      "blobs": [{"$link": "bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44"}],
      "ops": [{"action": "delete", "path": "a/b", "cid": null}]})"));
  const auto commit = decoded<Commit>(frame);
  EXPECT_FALSE(commit.rev.has_value());
  EXPECT_FALSE(commit.since.is_present);
  EXPECT_FALSE(commit.prev_data.has_value());
  EXPECT_TRUE(commit.prev.is_present);
  ASSERT_TRUE(commit.prev.value.has_value());
  EXPECT_EQ(commit.prev.value->to_string(), kEmptyTreeCid);
  ASSERT_EQ(commit.blobs.size(), 1U);
  EXPECT_EQ(commit.blobs[0].to_string(), kRecordCid);
  EXPECT_TRUE(commit.is_too_big);
  EXPECT_TRUE(commit.is_rebase);
  EXPECT_TRUE(commit.blocks.empty());
  ASSERT_EQ(commit.ops.size(), 1U);
  EXPECT_FALSE(commit.ops[0].cid.has_value());
}

TEST(Event, ReadsNullListsAsEmptyAndNullPrevAsPresent) {
  const Bytes frame = frame_from_json("#commit", json::parse(R"({"seq": 9, "repo": "did:a:b",
      "time": "", "ops": null, "blobs": null, "prev": null, "rev": "r", "since": "s",
      "commit": {"$link": "bafyreid5gj7j524egdcwuh4e7wdzclmzniqt4rq2xnroli7v5edc3octim"}})"));
  const auto commit = decoded<Commit>(frame);
  EXPECT_TRUE(commit.ops.empty());
  EXPECT_TRUE(commit.blobs.empty());
  EXPECT_TRUE(commit.blocks.empty());  // not there at all
  EXPECT_TRUE(commit.prev.is_present);
  EXPECT_FALSE(commit.prev.value.has_value());
  EXPECT_EQ(commit.since.value, "s");
  EXPECT_FALSE(commit.is_too_big);
}

TEST(Event, HandsOnAnUnknownTypeAsItIs) {
  const Bytes frame = hex("a2 61't' 66'#later' 62'op' 01 bf 63'seq' 07 ff");
  const auto unknown = decoded<UnknownMessage>(frame);
  EXPECT_EQ(unknown.type, "#later");
  EXPECT_EQ(unknown.seq, Seq{7});
  EXPECT_EQ(to_hex(unknown.payload), "bf6373657107ff");
}

TEST(Event, TakesUnsortedKeysLongHeadsAndUnknownFields) {
  const Bytes frame =
      hex("a2 62'op' 1801 61't' 69'#identity' a5 64'time' 7801't' 63'seq' 1907d0"
          "63'new' f93c00 66'handle' f6 63'did' 61'd'");
  const auto identity = decoded<Identity>(frame);
  EXPECT_EQ(identity.seq, Seq{2000});
  EXPECT_EQ(identity.did, "d");
  EXPECT_EQ(identity.time, "t");
  EXPECT_FALSE(identity.handle.has_value());
}

TEST(Event, NamesTheFieldThatIsWrong) {
  EXPECT_EQ(why_not("#identity", R"({"seq": 1, "did": "d"})"),
            "#identity: field `time`: is missing");
  EXPECT_EQ(why_not("#identity", R"({"seq": 1, "did": 5, "time": "t"})").substr(0, 23),
            "#identity: field `did`:");
  EXPECT_EQ(why_not("#identity", R"({"seq": 1, "did": null, "time": "t"})").substr(0, 23),
            "#identity: field `did`:");
  EXPECT_EQ(why_not("#account", R"({"seq": 1, "did": "d", "time": "t"})"),
            "#account: field `active`: is missing");
  EXPECT_EQ(why_not("#labels", R"({"seq": 1, "labels": [{"src": "d"}]})"),
            "#labels: field `labels`: field `uri`: is missing");
  EXPECT_EQ(why_not("#labels", R"({"seq": 1})"), "#labels: field `labels`: is missing");
  EXPECT_EQ(why_not("#commit", R"({"seq": 1, "repo": "d", "time": "t", "ops": [],
                                   "commit": null})"),
            "#commit: field `commit`: is null");
  EXPECT_EQ(why_not("#commit", R"({"seq": 1, "repo": "d", "time": "t", "ops": [5]})").substr(0, 21),
            "#commit: field `ops`:");
  EXPECT_EQ(why_not("#sync", R"({"seq": 1, "did": "d", "time": "t", "rev": "r"})"),
            "#sync: field `blocks`: is missing");
  EXPECT_EQ(why_not(hex("a1 62'op' 20 a0")), "error frame: field `error`: is missing");
}

TEST(Event, RefusesWhatNoDecoderTakes) {
  EXPECT_EQ(why_not(Bytes{}), "frame is unarchivable: empty at byte 0");
  EXPECT_EQ(why_not(hex("a2 61't' 61'x' 62'op' 01 a0")),
            "frame is unarchivable: seq_missing at byte 9");
  // Archivable both, but ambiguous or in chunks.
  EXPECT_EQ(
      why_not(hex("a2 61't' 65'#sync' 62'op' 01 a3 63'did' 60 63'did' 60 63'seq' 07")).substr(0, 9),
      "payload: ");
  EXPECT_EQ(why_not(hex("a2 61't' 65'#sync' 62'op' 01 bf 63'seq' 07 ff")).substr(0, 9),
            "payload: ");
}

TEST(Event, DecodesEveryRealFrame) {
  STANDPIPE_REQUIRE_SHARED();
  std::size_t ops = 0;
  std::size_t frames = 0;
  for (const std::string_view source : {"jetstream-corpus", "horizon-firehose", "proto-rune"}) {
    for (const Bytes& frame :
         read_frame_corpus(shared_dir() / "data" / source / "frames.bin.zst")) {
      ++frames;
      const auto event = decode_event(frame);
      ASSERT_TRUE(event) << event.error().detail;
      const auto* commit = std::get_if<Commit>(&*event);
      if (commit == nullptr) continue;
      ops += commit->ops.size();
      EXPECT_TRUE(Did::parse(commit->repo));
      EXPECT_TRUE(commit->prev_data.has_value());
      EXPECT_TRUE(commit->since.value.has_value());
      for (const RepoOp& op : commit->ops) {
        EXPECT_EQ(op.cid.has_value(), op.action != "delete");
        EXPECT_EQ(op.prev.has_value(), op.action != "create");
      }
    }
  }
  EXPECT_EQ(frames, 183U);
  EXPECT_EQ(ops, 183U);  // 150 + 22 + 11
}

TEST(Event, DecodesTheFramesOfEarlierYears) {
  STANDPIPE_REQUIRE_SHARED();
  const auto dir = shared_dir() / "data" / "indigo" / "firehose_commit_json";
  std::size_t frames = 0;
  for (const auto& file : std::filesystem::directory_iterator(dir)) {
    const json body = json::parse(read_text_file(file.path()));
    const Bytes frame = frame_from_json("#commit", body);
    const auto commit = decoded<Commit>(frame);
    EXPECT_EQ(to_int(commit.seq), body.at("seq").get<std::int64_t>());
    EXPECT_EQ(commit.repo, body.at("repo").get<std::string>());
    EXPECT_EQ(commit.ops.size(), body.at("ops").size());
    EXPECT_TRUE(commit.prev.is_present);
    EXPECT_FALSE(commit.prev.value.has_value());
    EXPECT_FALSE(commit.prev_data.has_value());
    EXPECT_EQ(commit.since.value.has_value(), body.at("since").is_string());
    ++frames;
  }
  EXPECT_EQ(frames, 4U);
}

}  // namespace
}  // namespace standpipe::test
