// Our clients against everything that a server can do wrong: what the caller sees, whether the
// client dials again, and with which cursor.
//
// Each row plays its plans on the first connections to an upstream that holds seqs 1 to 6, to a
// client that starts from 0. After the plans the upstream behaves. Nothing is lost and nothing
// comes twice, unless the row says so; and the number of dials is exact, so nobody dials in a loop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "archiver/firehose/client.h"
#include "tests/support/firehose_fixture.h"
#include "tests/support/frame_json.h"
#include "tests/support/frames.h"
#include "tests/support/hex.h"
#include "tests/support/upstream_fixture.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using firehose::BadFrame;
using firehose::CleanClose;
using firehose::ClientOptions;
using firehose::FirehoseSubscribeReposClient;
using firehose::MessageFrame;
using firehose::OnErrorFrame;
using firehose::Params;
using Lines = std::vector<std::string>;

constexpr std::int64_t kLast = 6;
constexpr Params kFromOldest{Seq{0}};

struct Row {
  std::string name;
  std::vector<ConnectionPlan> plans;
  Lines ends;                      // of the connections that were not the last
  Lines cursors;                   // of the dials, the last included
  Lines skips = {};                // "text", "duplicate 3"
  std::string thrown = {};         // by start(), which then has ended
  Lines came = numbers(1, kLast);  // the seqs that were delivered
  BadFrame on_bad_frame = BadFrame::skip;
  OnErrorFrame on_error_frame = OnErrorFrame::fail;
  CleanClose on_clean_close = CleanClose::reconnect;
  std::chrono::milliseconds timeout{10'000};  // connect and receive
  std::chrono::milliseconds delay{1};         // before a dial, at least; at most four times as much
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

std::string skip_of(const firehose::Skip& skip) {
  std::string said(to_string(skip.reason));
  if (skip.reason == firehose::SkipReason::malformed) {
    said += " " + std::string(to_string(skip.why));
  }
  return skip.seq ? said + " " + std::to_string(to_int(*skip.seq)) : said;
}

class FirehoseMatrix : public ::testing::TestWithParam<Row> {};

TEST_P(FirehoseMatrix, NothingIsLostAndNothingComesTwice) {
  const Row& row = GetParam();
  ScriptedUpstream upstream(holding(1, kLast));
  for (const ConnectionPlan& plan : row.plans) upstream.plan_next(plan);

  Lines ends;
  Lines skips;
  ClientOptions options = client_of(upstream);
  options.connect_timeout = row.timeout;
  options.recv_timeout = row.timeout;
  options.reconnect.delay_min = row.delay;
  options.reconnect.delay_max = 4 * row.delay;
  options.reconnect.retry_after_max = std::chrono::milliseconds(2);
  options.on_bad_frame = row.on_bad_frame;
  options.on_error_frame = row.on_error_frame;
  options.on_clean_close = row.on_clean_close;
  bool is_done = false;
  options.hooks.on_disconnect = [&](const firehose::WsEnd& end, std::chrono::milliseconds delay) {
    if (is_done) return;
    ends.push_back(end_of(end));
    if (end.kind != firehose::WsEndKind::handler) {
      EXPECT_GE(delay.count(), 1);  // whatever it was, nobody dials at once
    }
  };
  options.hooks.on_skip = [&](const firehose::Skip& skip) { skips.push_back(skip_of(skip)); };
  FirehoseSubscribeReposClient client(kFromOldest, options);

  Lines came;
  std::string thrown;
  try {
    client.start([&](const MessageFrame& frame) {
      came.push_back(std::to_string(seq_of(frame)));
      if (seq_of(frame) != kLast) return;
      is_done = true;
      client.stop();
    });
  } catch (const firehose::FirehoseError& error) {
    thrown = error.error();
  }
  EXPECT_EQ(came, row.came);
  EXPECT_EQ(ends, row.ends);
  EXPECT_EQ(cursors_of(upstream), row.cursors);
  EXPECT_EQ(skips, row.skips);
  EXPECT_EQ(thrown, row.thrown);
}

std::string name_of(const ::testing::TestParamInfo<Row>& info) { return info.param.name; }

// -- Close codes ----------------------------------------------------------------------------------

std::vector<Row> close_codes() {
  std::vector<Row> rows;
  for (const int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
                         3000, 3999, 4000, 4999}) {
    const auto wire = static_cast<std::uint16_t>(code);
    const std::string end = "closed " + std::to_string(code);
    rows.push_back({"Code" + std::to_string(code),
                    {ConnectionPlan().close_after(2, wire, "because")},
                    {end},
                    {"0", "2"}});
  }
  rows.push_back({"WithoutACode", {ConnectionPlan().close_after(2)}, {"closed 1005"}, {"0", "2"}});
  // RFC 6455, 7.4: never on the wire, or nobody's.
  for (const int code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000}) {
    rows.push_back({"InvalidCode" + std::to_string(code),
                    {ConnectionPlan().close_after(2, static_cast<std::uint16_t>(code))},
                    {"protocol"},
                    {"0", "2"}});
  }
  rows.push_back({"BeforeTheFirstFrame",
                  {ConnectionPlan().close_after(0, 1012), ConnectionPlan().close_after(0, 1012)},
                  {"closed 1012", "closed 1012"},
                  {"0", "0", "0"}});
  for (const int code : {1000, 1001, 1005}) {
    Row stopped{"EndsTheStreamIfAskedTo" + std::to_string(code), {}, {}, {"0"}};
    stopped.plans = {code == 1005
                         ? ConnectionPlan().close_after(2)
                         : ConnectionPlan().close_after(2, static_cast<std::uint16_t>(code))};
    stopped.ends = {"closed " + std::to_string(code)};
    stopped.came = numbers(1, 2);
    stopped.on_clean_close = CleanClose::stop;
    stopped.delay = std::chrono::hours(1);  // which is not waited for
    rows.push_back(stopped);
  }
  Row other{"AnotherCodeIsNoCleanEnd",
            {ConnectionPlan().close_after(2, 1012)},
            {"closed 1012"},
            {"0", "2"}};
  other.on_clean_close = CleanClose::stop;
  rows.push_back(other);
  return rows;
}
INSTANTIATE_TEST_SUITE_P(Close, FirehoseMatrix, ::testing::ValuesIn(close_codes()), name_of);

// -- Cuts -----------------------------------------------------------------------------------------

std::vector<Row> cuts() {
  return {
      {"Fin", {ConnectionPlan().cut_after(3)}, {"lost"}, {"0", "3"}},
      {"Rst", {ConnectionPlan().reset_after(3)}, {"lost"}, {"0", "3"}},
      {"FinInAFrame", {ConnectionPlan().cut_within(4, 300)}, {"lost"}, {"0", "3"}},
      {"RstInAFrame", {ConnectionPlan().reset_within(4, 300)}, {"lost"}, {"0", "3"}},
      {"FinInAFramesHeader", {ConnectionPlan().cut_within(4, 1)}, {"lost"}, {"0", "3"}},
      {"FinBeforeTheFirst", {ConnectionPlan().cut_after(0)}, {"lost"}, {"0", "0"}},
      {"AfterEachFrame",
       {ConnectionPlan().cut_after(1), ConnectionPlan().cut_after(1), ConnectionPlan().cut_after(1),
        ConnectionPlan().cut_after(1), ConnectionPlan().cut_after(1)},
       {"lost", "lost", "lost", "lost", "lost"},
       {"0", "1", "2", "3", "4", "5"}},
      {"BytesThatAreNoWebSocket",
       {ConnectionPlan().raw_after(2, Bytes(16, std::byte{0xFF}))},
       {"protocol"},
       {"0", "2"}},
      // A masked frame, as only clients may send.
      {"AMaskedFrame",
       {ConnectionPlan().raw_after(2, hex("8281010203045b"))},
       {"protocol"},
       {"0", "2"}},
      // A continuation of nothing.
      {"AContinuationOfNothing",
       {ConnectionPlan().raw_after(2, hex("800141"))},
       {"protocol"},
       {"0", "2"}},
      // RSV1 without permessage-deflate, which is never offered.
      {"ACompressedFrame",
       {ConnectionPlan().raw_after(2, hex("c20141"))},
       {"protocol"},
       {"0", "2"}},
      {"Silence",
       {ConnectionPlan().stall_after(2)},
       {"idle"},
       {"0", "2"},
       {},
       {},
       numbers(1, kLast),
       BadFrame::skip,
       OnErrorFrame::fail,
       CleanClose::reconnect,
       std::chrono::milliseconds(300)},
  };
}
INSTANTIATE_TEST_SUITE_P(Cut, FirehoseMatrix, ::testing::ValuesIn(cuts()), name_of);

// -- Handshakes -----------------------------------------------------------------------------------

std::vector<Row> handshakes() {
  std::vector<Row> rows;
  for (const int status :
       {200, 204, 400, 401, 403, 404, 405, 408, 410, 426, 429, 431, 500, 501, 502, 503, 504, 599}) {
    rows.push_back({"Status" + std::to_string(status),
                    {ConnectionPlan::refuse(status), ConnectionPlan::refuse(status)},
                    Lines(2, "http_status " + std::to_string(status)),
                    {"0", "0", "0"}});
  }
  for (const int status : {301, 302, 303, 307, 308}) {
    rows.push_back({"Status" + std::to_string(status) + "WithoutALocation",
                    {ConnectionPlan::refuse(status)},
                    {"redirect"},
                    {"0", "0"}});
  }
  rows.push_back({"RetryAfter",
                  {ConnectionPlan::refuse(429, {{"Retry-After", "300"}})},
                  {"http_status 429"},
                  {"0", "0"}});
  rows.push_back({"ARedirectToNowhere",
                  {ConnectionPlan::redirect("gopher://example.com/")},
                  {"redirect"},
                  {"0", "0"}});
  rows.push_back({"HangsUp", {ConnectionPlan::hang_up()}, {"lost"}, {"0", "0"}});
  rows.push_back({"NoHttp",
                  {ConnectionPlan::answer_raw("SSH-2.0-OpenSSH\r\n\r\n")},
                  {"protocol"},
                  {"0", "0"}});
  rows.push_back({"AnUpgradeWithoutItsKey",
                  {ConnectionPlan::answer_raw("HTTP/1.1 101 Switching Protocols\r\n"
                                              "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                              "Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n"
                                              "\r\n")},
                  {"protocol"},
                  {"0", "0"}});
  rows.push_back({"AHeadWithoutEnd",
                  {ConnectionPlan::answer_raw("HTTP/1.1 101 " + std::string(100'000, 'x'))},
                  {"protocol"},
                  {"0", "0"}});
  Row mute{"NoAnswer", {ConnectionPlan::never_answer()}, {"timeout"}, {"0", "0"}};
  mute.timeout = std::chrono::milliseconds(300);
  rows.push_back(mute);
  return rows;
}
INSTANTIATE_TEST_SUITE_P(Handshake, FirehoseMatrix, ::testing::ValuesIn(handshakes()), name_of);

// -- Messages -------------------------------------------------------------------------------------

Bytes too_large(std::int64_t seq) {
  FrameSpec spec;
  spec.seq = seq;
  spec.blocks_bytes = 6'000'000;
  return make_frame(spec);
}

std::vector<Row> messages() {
  const Lines without_three = {"1", "2", "4", "5", "6"};
  std::vector<Row> rows = {
      {"Text", {ConnectionPlan().text_after(2, "hello")}, {}, {"0"}, {"text"}},
      {"EmptyText", {ConnectionPlan().text_after(2, "")}, {}, {"0"}, {"text"}},
      {"FragmentsWithPings", {ConnectionPlan().fragment(2, 7, /*has_pings=*/true)}, {}, {"0"}},
      {"Duplicate", {ConnectionPlan().repeat(2, 3)}, {}, {"0"}, Lines(3, "duplicate 2")},
      {"Regression",
       {ConnectionPlan().binary_after(4, make_frame(2))},
       {},
       {"0"},
       {"regression 2"}},
      // What comes after its successor is not processed, as the event-stream page asks.
      {"Reordering", {ConnectionPlan().swap(3)}, {}, {"0"}, {"regression 3"}, {}, without_three},
      {"TooLarge",
       {ConnectionPlan().replace(3, too_large(3))},
       {},
       {"0"},
       {"too_large 3"},
       {},
       without_three},
      // The cursor has moved past it: it does not come again.
      {"TooLargeAndThenACut",
       {ConnectionPlan().replace(3, too_large(3)).cut_after(3)},
       {"lost"},
       {"0", "3"},
       {"too_large 3"},
       {},
       without_three},
      {"TooLargeInFragmentsWithoutASeq",
       {ConnectionPlan().oversize_after(2, 20'000'000, {}, 65'536)},
       {},
       {"0"},
       {"too_large"}},
  };
  Row failing{"TooLargeFailsIfAskedTo",
              {ConnectionPlan().replace(3, too_large(3))},
              {"handler"},
              {"0"},
              {"too_large 3"},
              "too_large",
              numbers(1, 2)};
  failing.on_bad_frame = BadFrame::fail;
  rows.push_back(failing);
  return rows;
}
INSTANTIATE_TEST_SUITE_P(Message, FirehoseMatrix, ::testing::ValuesIn(messages()), name_of);

// -- Error frames ---------------------------------------------------------------------------------

std::vector<Row> error_frames() {
  std::vector<Row> rows;
  const std::vector<std::pair<std::string, std::string_view>> frames = {
      {"FutureCursor", kWorkedFutureCursor},
      {"ConsumerTooSlow", kWorkedTooSlow},
      {"ConsumerTooSlowOfGo", kWorkedTooSlowGo}};
  for (const auto& [name, frame] : frames) {
    const ConnectionPlan plan =
        ConnectionPlan().binary_after(2, hex(frame)).close_after(2, 1008, name);
    Row row{name, {plan}, {"handler"}, {"0"}};
    row.thrown = name.substr(0, name.find("OfGo"));
    row.came = numbers(1, 2);
    rows.push_back(row);
    Row again{name + "DialsAgainIfAskedTo", {plan, plan}, {"handler", "handler"}, {"0", "2", "4"}};
    again.skips = {"error_frame", "error_frame"};
    again.on_error_frame = OnErrorFrame::reconnect;
    rows.push_back(again);
  }
  return rows;
}
INSTANTIATE_TEST_SUITE_P(ErrorFrame, FirehoseMatrix, ::testing::ValuesIn(error_frames()), name_of);

// -- Frames that are none -------------------------------------------------------------------------

std::vector<Row> bad_frames() {
  const auto json_frame = [](std::string_view type, std::string_view payload) {
    return frame_from_json(type, nlohmann::json::parse(payload));
  };
  Bytes trailing = make_frame(3);
  trailing.push_back(std::byte{0x01});
  struct Bad {
    std::string name;
    Bytes bytes;
    std::string why;  // "malformed " goes before it
  };
  const std::vector<Bad> all = {
      {"Empty", {}, "empty"},
      {"Garbage", hex("ff00ff00ff"), "header_malformed"},
      {"AHeaderAlone", hex("a261746723636f6d6d6974626f7001"), "payload_missing"},
      {"CutOff", to_bytes(ByteView(make_frame(3)).first(300)), "payload_malformed 3"},
      {"AThirdItem", trailing, "trailing_bytes 3"},
      {"NoMap", hex("a261746723636f6d6d6974626f700101"), "payload_not_map"},
      {"NoType", hex("a1626f7001a0"), "type_missing"},
      {"NoOp", hex("a161746723636f6d6d6974a0"), "op_missing"},
      {"ACommitWithoutASeq", json_frame("#commit", R"({"rev": "3l3qo2vuoiw2z"})"), "seq_missing"},
      {"ASeqOfZero", json_frame("#commit", R"({"seq": 0})"), "seq_out_of_range"},
      {"ASeqThatIsText", json_frame("#commit", R"({"seq": "7"})"), "seq_not_integer"},
  };
  std::vector<Row> rows;
  for (const Bad& bad : all) {
    const ConnectionPlan plan = ConnectionPlan().binary_after(2, bad.bytes);
    const std::string skip = "malformed " + bad.why;
    rows.push_back({bad.name, {plan}, {}, {"0"}, {skip}});
    // The second connection begins after 2 and meets it at once: it is passed over then.
    Row dropped{bad.name + "Reconnects",
                {plan, ConnectionPlan().binary_after(0, bad.bytes)},
                {"handler"},
                {"0", "2"},
                {skip, skip}};
    dropped.on_bad_frame = BadFrame::reconnect;
    rows.push_back(dropped);
    Row failing{bad.name + "Fails", {plan}, {"handler"}, {"0"}, {skip}};
    failing.thrown = bad.why.substr(0, bad.why.find(' '));
    failing.came = numbers(1, 2);
    failing.on_bad_frame = BadFrame::fail;
    rows.push_back(failing);
  }
  // {"t": "#commit", "op": 2} is to be ignored, whatever is asked for.
  Row unknown{"AnUnknownOp",
              {ConnectionPlan().binary_after(2, hex("a261746723636f6d6d6974626f7002a0"))},
              {},
              {"0"},
              {"unknown_op"}};
  unknown.on_bad_frame = BadFrame::fail;
  rows.push_back(unknown);
  return rows;
}
INSTANTIATE_TEST_SUITE_P(BadFrame, FirehoseMatrix, ::testing::ValuesIn(bad_frames()), name_of);

}  // namespace
}  // namespace standpipe::test
