#include "replay/pages.h"

#include <gtest/gtest.h>

#include <vector>

namespace standpipe::replay {
namespace {

using storage::StreamKind;

TEST(Pages, TheBannerNamesEveryStreamAndWhereItIs) {
  const std::vector<ServedStream> streams{{"repos", StreamKind::repos},
                                          {"other", StreamKind::repos},
                                          {"mod.example.com", StreamKind::labels}};
  const HttpReply reply = banner_reply("0.1.0", streams);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.content_type, "text/plain; charset=utf-8");
  EXPECT_EQ(reply.body,
            "standpipe 0.1.0\n"
            "\n"
            "An archive of atproto event streams. Each is served from any cursor: open its path as "
            "a\n"
            "WebSocket. No cursor is live, ?cursor=0 is the oldest frame, ?cursor=N what follows "
            "N.\n"
            "\n"
            "repos (repos)\n"
            "  /xrpc/com.atproto.sync.subscribeRepos\n"
            "  /stream/repos/xrpc/com.atproto.sync.subscribeRepos\n"
            "  /stream/repos/gaps\n"
            "other (repos)\n"
            "  /stream/other/xrpc/com.atproto.sync.subscribeRepos\n"
            "  /stream/other/gaps\n"
            "mod.example.com (labels)\n"
            "  /xrpc/com.atproto.label.subscribeLabels\n"
            "  /stream/mod.example.com/xrpc/com.atproto.label.subscribeLabels\n"
            "  /stream/mod.example.com/gaps\n"
            "\n"
            "Health: /xrpc/_health\n");
}

TEST(Pages, TheBannerOfAnEmptyArchiveSaysSo) {
  EXPECT_NE(banner_reply("0.1.0", {}).body.find("No stream yet.\n"), std::string::npos);
}

std::vector<storage::Gap> gaps() {
  return {{Seq{4}, Seq{9}, storage::GapReason::upstream, 1'767'323'045'678, ""},
          {Seq{20}, Seq{22}, storage::GapReason::erased, 0, "bytes: \xff"}};
}

TEST(Pages, GapsAreJson) {
  const HttpReply reply = gaps_reply("repos", storage::EpochNumber{2}, gaps(), 2);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.content_type, "application/json");
  EXPECT_EQ(reply.body, R"({"stream":"repos","epoch":2,"gaps":[)"
                        R"({"after":4,"before":9,"reason":"upstream",)"
                        R"("recorded_at":"2026-01-02T03:04:05.678Z","detail":""},)"
                        R"({"after":20,"before":22,"reason":"erased",)"
                        R"("recorded_at":"1970-01-01T00:00:00.000Z","detail":"bytes: )"
                        "\xef\xbf\xbd"
                        R"("}],"more":false})");
}

TEST(Pages, GapsAboveTheLimitAreCutOff) {
  EXPECT_EQ(gaps_reply("repos", storage::EpochNumber{1}, gaps(), 1).body,
            R"({"stream":"repos","epoch":1,"gaps":[)"
            R"({"after":4,"before":9,"reason":"upstream",)"
            R"("recorded_at":"2026-01-02T03:04:05.678Z","detail":""}],"more":true})");
  EXPECT_EQ(gaps_reply("repos", storage::EpochNumber{1}, {}, 1000).body,
            R"({"stream":"repos","epoch":1,"gaps":[],"more":false})");
}

}  // namespace
}  // namespace standpipe::replay
