// Frames of the client library, and the messages in them.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "archiver/firehose/car.h"
#include "archiver/firehose/errors.h"
#include "archiver/firehose/messages.h"
#include "tests/support/frame_json.h"
#include "tests/support/frames.h"
#include "tests/support/hex.h"
#include "tests/support/worked_frames.h"

namespace standpipe::firehose {
namespace {

using nlohmann::json;
using namespace standpipe::test;

MessageFrame worked(std::string_view text) { return MessageFrame::from_bytes(hex(text)); }

MessageFrame made(std::string_view type, std::string_view payload) {
  return MessageFrame::from_bytes(frame_from_json(type, json::parse(payload)));
}

TEST(MessageFrame, TellsItsHeaderAndKeepsItsBytes) {
  const Bytes bytes = hex(kWorkedCommit);
  const MessageFrame frame = MessageFrame::from_bytes(bytes);
  EXPECT_EQ(frame.op(), FrameOp::message);
  EXPECT_EQ(frame.type(), "#commit");
  EXPECT_EQ(frame.kind(), FrameKind::commit);
  EXPECT_EQ(frame.seq(), Seq{1});
  EXPECT_EQ(frame.did(), kWorkedDid);
  EXPECT_EQ(frame.time(), kWorkedTime);
  EXPECT_TRUE(equal(frame.bytes(), bytes));
  EXPECT_TRUE(equal(frame.body(), ByteView(bytes).subspan(15)));  // the header has 15 bytes
}

TEST(MessageFrame, ACopySharesTheBytesAndOutlivesTheFirst) {
  std::optional<MessageFrame> first(worked(kWorkedIdentity));
  const std::byte* const at = first->bytes().data();
  const MessageFrame copy = *first;
  first.reset();
  EXPECT_EQ(copy.bytes().data(), at);
  EXPECT_EQ(copy.type(), "#identity");
}

TEST(MessageFrame, AnErrorFrameSaysSo) {
  EXPECT_EQ(worked(kWorkedTooSlowGo).op(), FrameOp::error);
  EXPECT_EQ(worked(kWorkedTooSlowGo).why(), Unarchivable::error_frame);
}

TEST(MessageFrame, WhatIsNoFrameSaysWhy) {
  const MessageFrame cut = MessageFrame::from_bytes(ByteView(hex(kWorkedCommit)).first(400));
  EXPECT_EQ(cut.why(), Unarchivable::payload_malformed);
  EXPECT_EQ(MessageFrame::from_bytes({}).why(), Unarchivable::empty);
}

TEST(SubscribeReposMessage, ACommitIsDecodedAndItsRecordsAreJson) {
  const MessageFrame frame = worked(kWorkedCommit);
  const SubscribeReposMessage message = or_throw(parse_subscribe_repos_message(frame));
  const auto& commit = std::get<Commit>(message);
  EXPECT_EQ(commit.repo, kWorkedDid);
  ASSERT_EQ(commit.ops.size(), 1U);
  const Car car = or_throw(Car::from_bytes(commit.blocks));
  EXPECT_EQ(car.root(), commit.commit);
  EXPECT_EQ(car.blocks().size(), 3U);
  EXPECT_EQ(or_throw(car.record(*commit.ops[0].cid)),
            json::parse(R"({"$type": "com.example.record", "text": "hello"})"));
}

TEST(SubscribeReposMessage, EveryTypeIsItsOwnAlternative) {
  const MessageFrame sync = worked(kWorkedSync);
  EXPECT_EQ(std::get<Sync>(or_throw(parse_subscribe_repos_message(sync))).seq, Seq{4});
  const MessageFrame identity = worked(kWorkedIdentity);
  EXPECT_EQ(std::get<Identity>(or_throw(parse_subscribe_repos_message(identity))).handle,
            "alice.test");
  const MessageFrame account = worked(kWorkedAccount);
  EXPECT_EQ(std::get<Account>(or_throw(parse_subscribe_repos_message(account))).status, "deleted");
  const MessageFrame info = worked(kWorkedOutdatedCursor);
  EXPECT_EQ(std::get<Info>(or_throw(parse_subscribe_repos_message(info))).name, "OutdatedCursor");
}

TEST(SubscribeReposMessage, TheRetiredTypesAreStillThere) {
  const MessageFrame handle =
      made("#handle", R"({"did": "did:a", "seq": 7, "time": "t", "handle": "b.test"})");
  EXPECT_EQ(std::get<Handle>(or_throw(parse_subscribe_repos_message(handle))).handle, "b.test");
  const MessageFrame migrate =
      made("#migrate", R"({"did": "did:a", "seq": 7, "time": "t", "migrateTo": "pds.test"})");
  EXPECT_EQ(std::get<Migrate>(or_throw(parse_subscribe_repos_message(migrate))).migrate_to,
            "pds.test");
  const MessageFrame tombstone = made("#tombstone", R"({"did": "did:a", "seq": 7, "time": "t"})");
  EXPECT_EQ(std::get<Tombstone>(or_throw(parse_subscribe_repos_message(tombstone))).did, "did:a");
}

TEST(SubscribeReposMessage, AnUnknownTypeIsAValueWithOrWithoutASeq) {
  const MessageFrame newer = made("#quote", R"({"seq": 9, "what": [1, 2]})");
  const auto unknown = std::get<Unknown>(or_throw(parse_subscribe_repos_message(newer)));
  EXPECT_EQ(unknown.type, "#quote");
  EXPECT_EQ(unknown.seq, Seq{9});
  EXPECT_TRUE(equal(unknown.body, newer.body()));
  const MessageFrame bare = made("#quote", R"({"what": 1})");
  EXPECT_EQ(std::get<Unknown>(or_throw(parse_subscribe_repos_message(bare))).seq, std::nullopt);
  const MessageFrame labels = worked(kWorkedLabels);  // of the other endpoint
  EXPECT_EQ(std::get<Unknown>(or_throw(parse_subscribe_repos_message(labels))).type, "#labels");
}

TEST(SubscribeReposMessage, WhatCannotBeDecodedIsMalformedAndThrownIfAskedFor) {
  const MessageFrame lacking = made("#account", R"({"did": "did:a", "seq": 7, "time": "t"})");
  const auto parsed = parse_subscribe_repos_message(lacking);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, Errc::malformed);
  EXPECT_NE(parsed.error().detail.find("active"), std::string::npos) << parsed.error().detail;
  EXPECT_THROW(or_throw(parse_subscribe_repos_message(lacking)), FirehoseDecodingError);
  const MessageFrame error = worked(kWorkedTooSlow);
  EXPECT_FALSE(parse_subscribe_repos_message(error));
}

TEST(SubscribeLabelsMessage, LabelsInfoAndTheRest) {
  const MessageFrame frame = worked(kWorkedLabels);
  const auto labels = std::get<Labels>(or_throw(parse_subscribe_labels_message(frame)));
  ASSERT_EQ(labels.labels.size(), 1U);
  EXPECT_EQ(labels.labels[0].val, "spam");
  const MessageFrame info = worked(kWorkedOutdatedCursor);
  EXPECT_TRUE(std::holds_alternative<Info>(or_throw(parse_subscribe_labels_message(info))));
  const MessageFrame commit = worked(kWorkedCommit);
  EXPECT_TRUE(std::holds_alternative<Unknown>(or_throw(parse_subscribe_labels_message(commit))));
}

TEST(Car, ACarWithoutARootOrCutOffIsMalformed) {
  // {"roots": [], "version": 1}
  const auto rootless = Car::from_bytes(hex("11a265726f6f7473806776657273696f6e01"));
  ASSERT_FALSE(rootless);
  EXPECT_EQ(rootless.error().code, Errc::malformed);
  const MessageFrame frame = worked(kWorkedCommit);
  const auto commit = std::get<Commit>(or_throw(parse_subscribe_repos_message(frame)));
  EXPECT_FALSE(Car::from_bytes(commit.blocks.first(300)));
}

TEST(Car, HashesAreComparedIfAskedFor) {
  const MessageFrame frame = worked(kWorkedCommit);
  const auto commit = std::get<Commit>(or_throw(parse_subscribe_repos_message(frame)));
  Bytes changed = to_bytes(commit.blocks);
  changed.back() ^= std::byte{1};
  CarOptions options;
  options.checks_hashes = true;
  EXPECT_TRUE(Car::from_bytes(commit.blocks, options));
  EXPECT_TRUE(Car::from_bytes(changed));
  EXPECT_FALSE(Car::from_bytes(changed, options));
}

TEST(Car, ARecordThatIsNotThereIsNotFound) {
  const MessageFrame frame = worked(kWorkedCommit);
  const auto commit = std::get<Commit>(or_throw(parse_subscribe_repos_message(frame)));
  const Car car = or_throw(Car::from_bytes(commit.blocks));
  const auto missing = car.record(Cid::of_raw(as_bytes("nothing")));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
}

}  // namespace
}  // namespace standpipe::firehose
