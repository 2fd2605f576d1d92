#include "schema/event_json.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "schema/car.h"
#include "schema/cbor_json.h"
#include "schema/cid.h"
#include "schema/frame.h"
#include "schema/multibase.h"
#include "tests/support/frame_json.h"
#include "tests/support/hex.h"
#include "tests/support/shared_data.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

constexpr FrameJsonOptions kWithRecords{.with_records = true, .with_blocks = false};

json shown(std::string_view frame, const FrameJsonOptions& options = {}) {
  return frame_to_json(hex(frame), options);
}

TEST(EventJson, ShowsAFrameWithItsPayloadInAtprotoJson) {
  EXPECT_EQ(shown(kWorkedIdentity), json::parse(R"({"op": 1, "t": "#identity", "payload": {
      "did": "did:plc:standpipe2222222222abcde", "seq": 2, "time": "2026-01-02T03:04:05.678Z",
      "handle": "alice.test"}})"));
  EXPECT_EQ(shown(kWorkedAccount), json::parse(R"({"op": 1, "t": "#account", "payload": {
      "did": "did:plc:standpipe2222222222abcde", "seq": 3, "time": "2026-01-02T03:04:05.678Z",
      "active": false, "status": "deleted"}})"));
  const json labels = shown(kWorkedLabels);
  EXPECT_EQ(labels.at("payload").at("labels").at(0).at("val"), "spam");
  EXPECT_EQ(
      labels.at("payload").at("labels").at(0).at("sig"),
      json::parse(R"({"$bytes": "4FDVMzA0JnIpVXsdIF3VX/4aYlcRIsZxIYLzTsMVJBUj1TAwNpMwPJtm+15M)"
                  R"(/Rie/Z+MMYhyNC/HSuGOgDrTQQ"})"));
}

TEST(EventJson, ShowsNotesWithoutCallingThemUnarchivable) {
  EXPECT_EQ(shown(kWorkedFutureCursor).dump(),
            R"({"op":-1,"payload":{"error":"FutureCursor","message":"Cursor in the future."}})");
  EXPECT_EQ(shown(kWorkedTooSlowGo).dump(),
            R"({"op":-1,"payload":{"error":"ConsumerTooSlow","message":""},"t":""})");
  EXPECT_EQ(shown(kWorkedOutdatedCursor).dump(),
            R"({"op":1,"payload":{"message":"Requested cursor exceeded limit. Possibly missing )"
            R"(events","name":"OutdatedCursor"},"t":"#info"})");
}

TEST(EventJson, ShowsACommitWithBlocksOrWithRecords) {
  const json whole = shown(kWorkedCommit);
  const json expected = json::parse(R"({"op": 1, "t": "#commit", "payload": {
      "ops": [{"action": "create", "path": "com.example.record/3jqfcqzm3fo2j",
        "cid": {"$link": "bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44"}}],
      "rev": "3l3qo2vuoiw2z", "seq": 1, "repo": "did:plc:standpipe2222222222abcde",
      "time": "2026-01-02T03:04:05.678Z", "blobs": [], "since": null,
      "commit": {"$link": "bafyreid5gj7j524egdcwuh4e7wdzclmzniqt4rq2xnroli7v5edc3octim"},
      "rebase": false, "tooBig": false,
      "prevData": {"$link": "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"}}})");
  json without_blocks = whole;
  EXPECT_EQ(whole.at("payload").at("blocks").at("$bytes").get<std::string>().substr(0, 24),
            "OqJlcm9vdHOB2CpYJQABcRIg");
  without_blocks["payload"].erase("blocks");
  EXPECT_EQ(without_blocks, expected);

  json with_record = expected;
  with_record["payload"]["ops"][0]["record"] =
      json::parse(R"({"$type": "com.example.record", "text": "hello"})");
  EXPECT_EQ(shown(kWorkedCommit, kWithRecords), with_record);
}

TEST(EventJson, SaysWhereARecordCannotBeShown) {
  // One bit of the record's text differs: its block does not have its hash any more.
  Bytes frame = hex(kWorkedCommit);
  const std::string text(as_text(frame));
  frame[text.find("hello")] ^= std::byte{1};
  const json changed = frame_to_json(frame, kWithRecords);
  EXPECT_FALSE(changed.at("payload").at("ops").at(0).contains("record"));
  EXPECT_EQ(changed.at("payload").at("ops").at(0).at("record_error"),
            "the block does not have the hash that its CID gives");

  const json no_car = frame_to_json(
      frame_from_json("#commit", json::parse(R"({"seq": 1, "blocks": {"$bytes": "/////w"},
          "ops": [{"cid": {"$link":
            "bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44"}}]})")),
      kWithRecords);
  EXPECT_TRUE(no_car.at("blocks_error").is_string());
}

TEST(EventJson, ShowsNoMoreRecordsThanAFrameMayHaveBytes) {
  // Four hundred ops that name the same block of 20,000 bytes.
  const json record = {{"$type", "com.example.record"}, {"text", std::string(20'000, 'a')}};
  const Bytes block = json_to_cbor(record).value();
  const Cid cid = Cid::of_dag_cbor(block);
  Bytes car;
  CarWriter writer(car, {cid.bytes()});
  writer.write_block(cid, block);
  json payload = {{"seq", 1}, {"blocks", {{"$bytes", to_base64(car)}}}, {"ops", json::array()}};
  for (int i = 0; i < 400; ++i) {
    payload["ops"].push_back({{"cid", {{"$link", cid.to_string()}}}});
  }
  const json result = frame_to_json(frame_from_json("#commit", payload), kWithRecords);
  std::size_t records = 0;
  for (const json& op : result.at("payload").at("ops")) records += op.contains("record") ? 1 : 0;
  EXPECT_EQ(records, 5'242'880 / block.size());
}

TEST(EventJson, ShowsUnknownTypesAndFields) {
  const Bytes frame =
      hex("a3 61't' 77'com.example.other#event' 62'op' 01 61'x' f6"
          "a3 63'new' fb3fe0000000000000 63'old' 81 43 010203 63'seq' 07");
  EXPECT_EQ(frame_to_json(frame).dump(),
            R"({"header":{"op":1,"t":"com.example.other#event","x":null},"op":1,)"
            R"("payload":{"new":0.5,"old":[{"$bytes":"AQID"}],"seq":7},)"
            R"("t":"com.example.other#event"})");
}

TEST(EventJson, ShowsBytesWhereThereIsNoJson) {
  const auto dump = [](std::string_view frame) { return frame_to_json(hex(frame)).dump(); };
  // Archivable, but with an indefinite length.
  const json odd = frame_to_json(hex("a2 61't' 61'x' 62'op' 01 bf 63'seq' 07 ff"));
  EXPECT_EQ(odd.at("payload").dump(), R"({"$bytes":"v2NzZXEH/w"})");
  EXPECT_TRUE(odd.at("payload_error").is_string());
  EXPECT_FALSE(odd.contains("unarchivable"));
  // A type that is no UTF-8.
  EXPECT_EQ(dump("a2 61't' 61 ff 62'op' 01 a1 63'seq' 07"),
            R"({"op":1,"payload":{"seq":7},"t":{"$bytes":"/w"}})");
  EXPECT_EQ(dump(""), R"({"frame":{"$bytes":""},"unarchivable":"empty"})");
  EXPECT_EQ(dump("ff00"), R"({"frame":{"$bytes":"/wA"},"unarchivable":"header_malformed"})");
  EXPECT_EQ(dump("a2 61't' 61'x' 62'op' 01 a0"),
            R"({"op":1,"payload":{},"t":"x","unarchivable":"seq_missing"})");
  EXPECT_EQ(dump("a1 62'op' 01 a1 63'seq' 07"),
            R"({"op":1,"payload":{"seq":7},"unarchivable":"type_missing"})");
  EXPECT_EQ(dump("a2 61't' 61'x' 62'op' 01 01"),
            R"({"op":1,"payload":1,"t":"x","unarchivable":"payload_not_map"})");
  EXPECT_EQ(dump("a2 61't' 61'x' 62'op' 01 a1 63'seq' 07 00"),
            R"({"frame":{"$bytes":"omF0YXhib3AB)"
            R"(oWNzZXEHAA"},"op":1,"payload":{"seq":7},)"
            R"("t":"x","unarchivable":"trailing_bytes"})");
}

// The frames of expected_v1.jsonl, as another server showed them: kind, then what it had to say.
std::multimap<std::string, json> expected_events() {
  std::multimap<std::string, json> events;
  std::istringstream lines(
      read_text_file(shared_dir() / "data" / "jetstream-corpus" / "expected_v1.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    json event = json::parse(line);
    const std::string kind = event.at("kind");
    if (kind != "commit") {
      events.emplace(kind, event.at(kind));
      continue;
    }
    const json& commit = event.at("commit");
    const std::string path =
        commit.at("collection").get<std::string>() + "/" + commit.at("rkey").get<std::string>();
    events.emplace(event.at("did").get<std::string>() + " " + path, commit);
  }
  return events;
}

TEST(EventJson, ShowsRealFramesAsAnotherServerDid) {
  STANDPIPE_REQUIRE_SHARED();
  const auto expected = expected_events();
  ASSERT_EQ(expected.size(), 152U);
  std::size_t compared = 0;
  for (const Bytes& frame :
       read_frame_corpus(shared_dir() / "data" / "jetstream-corpus" / "frames.bin.zst")) {
    const json shown_frame = frame_to_json(frame, kWithRecords);
    const json& payload = shown_frame.at("payload");
    const std::string type = shown_frame.at("t");
    if (type != "#commit") {
      ASSERT_EQ(expected.count(type.substr(1)), 1U);
      EXPECT_EQ(payload, expected.find(type.substr(1))->second);
      ++compared;
      continue;
    }
    EXPECT_FALSE(payload.contains("blocks"));
    EXPECT_FALSE(shown_frame.contains("blocks_error"));
    for (const json& op : payload.at("ops")) {
      const std::string key =
          payload.at("repo").get<std::string>() + " " + op.at("path").get<std::string>();
      ASSERT_EQ(expected.count(key), 1U) << key;
      const json& commit = expected.find(key)->second;
      EXPECT_EQ(op.at("action"), commit.at("operation"));
      EXPECT_EQ(payload.at("rev"), commit.at("rev"));
      ASSERT_EQ(op.contains("record"), commit.contains("record")) << key;
      if (commit.contains("record")) {
        EXPECT_EQ(op.at("record"), commit.at("record"));
        EXPECT_EQ(op.at("cid").at("$link"), commit.at("cid"));
      }
      EXPECT_FALSE(op.contains("record_error"));
      ++compared;
    }
  }
  EXPECT_EQ(compared, 152U);
}

TEST(EventJson, GivesBackTheJsonThatAFrameWasMadeFrom) {
  STANDPIPE_REQUIRE_SHARED();
  const auto indigo = shared_dir() / "data" / "indigo";
  std::size_t frames = 0;
  const auto check = [&frames](const std::string& type, const json& body) {
    const Bytes frame = frame_from_json(type, body);
    EXPECT_EQ(scan_frame(frame).why, Unarchivable::archivable);
    EXPECT_EQ(frame_to_json(frame), (json{{"op", 1}, {"t", type}, {"payload", body}}));
    ++frames;
  };
  for (const auto& file : std::filesystem::directory_iterator(indigo / "firehose_commit_json")) {
    check("#commit", json::parse(read_text_file(file.path())));
  }
  EXPECT_EQ(frames, 4U);
  for (const auto& file : std::filesystem::directory_iterator(indigo / "relay_scenarios")) {
    const json scenario = json::parse(read_text_file(file.path()));
    for (const json& message : scenario.at("messages")) {
      check(message.at("frame").at("header").at("t"), message.at("frame").at("body"));
    }
  }
  EXPECT_EQ(frames, 39U);
}

}  // namespace
}  // namespace standpipe::test
