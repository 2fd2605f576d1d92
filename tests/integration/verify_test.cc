// `standpipe verify`: nothing is found where nothing is wrong; ranges, sums, archives, options.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/support/frame_file.h"
#include "tests/support/frames.h"
#include "tests/support/net_stream.h"
#include "tests/support/shared_data.h"
#include "tests/support/verify_fixture.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Report = VerifyReport;
using Two = TwoRepos;

class Verify : public VerifyFixture {};

// ---- nothing to find ----

TEST_F(Verify, RealFramesOfAFileAreWithoutAFinding) {
  STANDPIPE_REQUIRE_SHARED();
  const Report report = verify({corpus("jetstream-corpus"), "--did-docs", real_documents()});
  expect_clean(report);
  EXPECT_EQ(report.summary["frames"], 150);
  EXPECT_EQ(report.summary["first"], 31'527'015'322);
  EXPECT_EQ(report.summary["last"], 31'527'015'471);
  EXPECT_EQ(report.summary["kinds"], (json{{"commit", 148}, {"identity", 1}, {"account", 1}}));
  EXPECT_EQ(report.summary["checked"]["blocks"], 148);
  EXPECT_EQ(report.summary["checked"]["operations"], 148);
  EXPECT_EQ(report.summary["checked"]["inversions"], 148);
  EXPECT_EQ(report.summary["signatures"]["valid"], 148);
  EXPECT_EQ(report.summary["signatures"]["unchecked"], 0);
  EXPECT_EQ(report.summary["did_documents"]["read"], 148);
  for (const char* name : {"horizon-firehose", "proto-rune"}) expect_clean(verify({corpus(name)}));
}

TEST_F(Verify, RealFramesOfAnArchiveAreWithoutAFindingIdleOrHeld) {
  STANDPIPE_REQUIRE_SHARED();
  import({corpus("horizon-firehose"), corpus("jetstream-corpus"), corpus("proto-rune")});
  const std::vector<std::string> arguments = {"--data", archive.string(), "--did-docs",
                                              real_documents()};
  const auto expect_all = [&](const Report& report) {
    expect_clean(report);
    EXPECT_EQ(report.summary["frames"], 183);
    EXPECT_EQ(report.summary["checked"]["stored_files"], true);
    EXPECT_EQ(report.summary["checked"]["inversions"], 180);
    EXPECT_EQ(report.summary["signatures"]["valid"], 148);
    EXPECT_EQ(report.summary["signatures"]["no_document"], 32);
  };
  expect_all(verify(arguments));
  Process holder({"import", "-", "--quiet", "--json", "--report", "-"}, options());
  holder.feed(frame_file_bytes(make_frames({40'000'000'000})));
  EXPECT_EQ(holder.read_line(), "{\"seq\":40000000000,\"frames\":1}\n");
  std::vector<std::string> until = arguments;
  until.insert(until.end(), {"--until", "32625561603"});
  expect_all(verify(until));
  EXPECT_EQ(holder.wait().status, 0);
}

TEST_F(Verify, MadeRepositoriesAreFollowedFromCommitToCommit) {
  const Two two;
  const Report report =
      verify_frames(two.frames, {"--did-docs", given_text("docs", two.documents())});
  expect_clean(report);
  EXPECT_EQ(report.summary["frames"], 10);
  EXPECT_EQ(report.summary["checked"]["inversions"], 10);
  EXPECT_EQ(report.summary["checked"]["chain"], 8);
  EXPECT_EQ(report.summary["signatures"]["valid"], 10);
}

TEST_F(Verify, ASyncOrAnAccountBetweenCommitsBeginsTheChainAnew) {
  RepoMaker repo(3);
  std::vector<Bytes> frames = {repo.commit(1, {{"create", "a.b.c/1"}}),
                               repo.commit(2, {{"create", "a.b.c/2"}})};
  const Bytes missing = repo.commit(3, {{"create", "a.b.c/3"}});
  frames.push_back(repo.sync(4));
  frames.push_back(repo.commit(5, {{"create", "a.b.c/5"}}));
  const Bytes also_missing = repo.commit(6, {{"delete", "a.b.c/1"}});
  frames.push_back(repo.account(7, false));
  frames.push_back(repo.commit(8, {{"delete", "a.b.c/2"}}));
  repo.roll_back_to(5);
  frames.push_back(repo.sync(9));
  frames.push_back(repo.commit(10, {{"create", "a.b.c/10"}}));
  const Report report = verify_frames(frames);
  expect_clean(report);
  EXPECT_EQ(report.summary["checked"]["chain"], 3);
  EXPECT_EQ(report.summary["checked"]["blocks"], 7);
  EXPECT_EQ(report.summary["kinds"], (json{{"commit", 5}, {"sync", 2}, {"account", 1}}));
}

TEST_F(Verify, CommitsOfEarlierYearsAreNoFindings) {
  RepoMaker repo(4);
  std::vector<Bytes> frames;
  std::int64_t seq = 0;
  for (int i = 0; i < 20; ++i) {
    frames.push_back(
        repo.legacy_commit(++seq, {{"create", "com.example.record/" + std::to_string(i)}}));
  }
  for (int i = 0; i < 20; i += 2) {
    frames.push_back(
        repo.legacy_commit(++seq, {{"delete", "com.example.record/" + std::to_string(i)}}));
  }
  frames.push_back(repo.legacy_commit(++seq, {{"update", "com.example.record/3"}}));
  frames.push_back(repo.too_big_commit(++seq, {{"create", "com.example.record/big"}}));
  frames.push_back(repo.commit(++seq, {{"update", "com.example.record/big"}}));
  const Report report =
      verify_frames(frames, {"--did-docs", given_text("docs", repo.did_document())});
  expect_clean(report);
  // The very first says that nothing was before it, so it is held against the empty tree.
  EXPECT_EQ(report.summary["lacks_prev_data"], 31);
  EXPECT_EQ(report.summary["too_big"], 1);
  EXPECT_EQ(report.summary["checked"]["inversions"], 2);
  EXPECT_EQ(report.summary["checked"]["chain"], 32);
  EXPECT_EQ(report.summary["signatures"]["valid"], 32);
  EXPECT_EQ(report.summary["signatures"]["unreadable"], 1);
}

TEST_F(Verify, LabelsAreHeldAgainstTheKeyForLabels) {
  const Bytes frame = *parse_hex(kWorkedLabels);
  const auto document = [](const char* name) {
    return R"({"id":"did:plc:standpipe2222222222abcde","verificationMethod":[{"id":"#)" +
           std::string(name) +
           R"(","type":"Multikey","controller":"did:plc:standpipe2222222222abcde",)"
           R"("publicKeyMultibase":"zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"}]})";
  };
  Report report =
      verify_frames({frame}, {"--did-docs", given_text("label", document("atproto_label"))});
  expect_clean(report);
  EXPECT_EQ(report.summary["label_signatures"]["valid"], 1);
  report = verify_frames({frame}, {"--did-docs", given_text("other", document("atproto"))});
  expect_clean(report);
  EXPECT_EQ(report.summary["label_signatures"]["no_key"], 1);
  Bytes changed = frame;
  const auto spam =
      std::search(changed.begin(), changed.end(), as_bytes("spam").begin(), as_bytes("spam").end());
  ASSERT_NE(spam, changed.end());
  *spam = std::byte{'S'};
  report = verify_frames({changed}, {"--did-docs", dir / "label"});
  EXPECT_EQ(report.status, 1);
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings[0]["what"], "label_signature_wrong");
  EXPECT_EQ(report.findings[0]["did"], "did:plc:standpipe2222222222abcde");
  EXPECT_EQ(report.summary["label_signatures"]["wrong"], 1);
}

// ---- ranges, sums, threads ----

TEST_F(Verify, TakesARangeOfAFileAndReadsAPipe) {
  const Two two;
  const std::string file = given_file("two", two.frames);
  const Report report = verify({file, "--after", "3", "--until", "7"});
  expect_clean(report);
  EXPECT_EQ(report.summary["frames"], 4);
  EXPECT_EQ(report.summary["first"], 4);
  EXPECT_EQ(report.summary["last"], 7);
  Process piped({"verify", "-", "--json"});
  piped.feed(frame_file_bytes(two.frames));
  const Outcome outcome = piped.wait();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\"frames\":10,"));
}

bool holds(const std::string& text, std::string_view line) {
  return text.find(line) != std::string::npos;
}

// Many frames, of which every seventh is wrong in one way or another.
std::vector<Bytes> many_frames() {
  std::vector<RepoMaker> repos;
  for (unsigned i = 0; i < 5; ++i) repos.emplace_back(i);
  std::vector<Bytes> frames;
  for (std::int64_t seq = 1; seq <= 700; ++seq) {
    RepoMaker& repo = repos[static_cast<std::size_t>(seq % 5)];
    Bytes frame = repo.commit(seq, {{"create", "a.b.c/" + std::to_string(seq)}});
    if (seq % 21 == 0) continue;
    if (seq % 14 == 0) frame.back() ^= std::byte{1};
    if (seq % 14 == 7) frame[frame.size() / 2] ^= std::byte{1};
    frames.push_back(std::move(frame));
  }
  return frames;
}

TEST_F(Verify, ASignalEndsItWithWhereToGoOn) {
  Process piped({"verify", "-", "--json", "--quiet", "--threads", "1"});
  piped.feed(frame_file_bytes(many_frames()));
  EXPECT_THAT(piped.read_line(), HasSubstr("\"seq\":7,"));
  piped.signal(SIGTERM);
  const Outcome outcome = piped.wait_with_open_input();
  expect_refusal(outcome, 1, "stopped by a signal; seq ");
  EXPECT_THAT(outcome.out, HasSubstr("\"result\":\"failed\""));
}

// Fed for as long as it takes it to say how far it is.
TEST_F(Verify, TellsHowFarItIsOfWorkThatTakesLong) {
  const RepoMaker repo(1);
  Process piped({"verify", "-"});
  const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
  for (std::int64_t seq = 1; !holds(piped.error_text(), "verify: "); ++seq) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "it says nothing";
    piped.feed(frame_file_bytes({repo.identity(seq)}));
  }
  EXPECT_THAT(piped.error_text(), ::testing::ContainsRegex("verify: [0-9,]+ frames, .* frames/s"));
  EXPECT_EQ(piped.wait().status, 0);
}

TEST_F(Verify, ARangeInPiecesSaysWhatTheWholeSays) {
  const std::string file = given_file("many", many_frames());
  const Report whole = verify({file});
  std::vector<json> pieces;
  for (const char* const ends : {"0 200", "200 317", "317 700"}) {
    const std::string text = ends;
    const std::size_t space = text.find(' ');
    const Report piece =
        verify({file, "--after", text.substr(0, space), "--until", text.substr(space + 1)});
    pieces.insert(pieces.end(), piece.findings.begin(), piece.findings.end());
  }
  // But for commits that are a repository's first in their piece: nothing is known before them.
  std::vector<json> expected = whole.findings;
  std::vector<json> missing;
  for (auto at = expected.begin(); at != expected.end();) {
    if (std::find(pieces.begin(), pieces.end(), *at) != pieces.end()) {
      ++at;
      continue;
    }
    missing.push_back(*at);
    at = expected.erase(at);
  }
  EXPECT_EQ(pieces, expected);
  for (const json& finding : missing) {
    EXPECT_THAT(finding["what"].get<std::string>(), ::testing::EndsWith("_not_previous"));
    const std::int64_t seq = finding["seq"];
    EXPECT_TRUE((seq > 200 && seq <= 200 + 15) || (seq > 317 && seq <= 317 + 15)) << seq;
  }
}

TEST_F(Verify, SaysTheSameWhateverTheNumberOfThreads) {
  const std::string file = given_file("many", many_frames());
  Report one = verify({file, "--threads", "1"});
  EXPECT_EQ(one.status, 1);
  EXPECT_GT(one.rows.size(), 120U);
  EXPECT_EQ(one.summary["findings"], one.rows.size());
  std::uint64_t by_kind = 0;
  for (const auto& [name, count] : one.summary["findings_by_kind"].items()) {
    by_kind += count.get<std::uint64_t>();
  }
  EXPECT_EQ(by_kind, one.rows.size());
  for (const char* threads : {"2", "4", "13"}) {
    Report more = verify({file, "--threads", threads});
    EXPECT_EQ(more.findings, one.findings) << threads;
    for (Report* report : {&one, &more}) {
      report->summary.erase("took_ms");
      report->summary.erase("frames_per_second");
    }
    EXPECT_EQ(more.summary, one.summary) << threads;
  }
  const Report bounded = verify({file, "--findings-max", "5"});
  EXPECT_EQ(bounded.findings, std::vector<json>(one.findings.begin(), one.findings.begin() + 5));
  EXPECT_EQ(bounded.summary["findings"], one.rows.size());
  EXPECT_EQ(bounded.summary["findings_left_out"], one.rows.size() - 5);
}

TEST_F(Verify, CountsTheRepositoriesThatItForgets) {
  std::vector<Bytes> frames;
  std::vector<RepoMaker> repos;
  for (unsigned i = 0; i < 6; ++i) repos.emplace_back(i);
  for (std::int64_t seq = 1; seq <= 12; ++seq) {
    RepoMaker& repo = repos[static_cast<std::size_t>(seq % 6)];
    frames.push_back(repo.commit(seq, {{"create", "a.b.c/" + std::to_string(seq)}}));
  }
  Report report = verify_frames(frames, {"--repos-max", "4"});
  expect_clean(report);
  EXPECT_EQ(report.summary["checked"]["chain"], 0);
  EXPECT_EQ(report.summary["repos_forgotten"], 8);
  report = verify_frames(frames);
  EXPECT_EQ(report.summary["checked"]["chain"], 6);
  EXPECT_EQ(report.summary["repos_forgotten"], 0);
}

TEST_F(Verify, PrintsLinesForPeople) {
  Two two;
  two.frames[6].back() ^= std::byte{1};
  const Outcome outcome = run_standpipe({"verify", given_file("two", two.frames)});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.err, "");
  EXPECT_THAT(outcome.out, ::testing::StartsWith("7  " + two.a.did() + "  prev_data_differs  baf"));
  EXPECT_THAT(outcome.out, HasSubstr("two: 10 frames, seq 1 .. 10, "));
  EXPECT_THAT(outcome.out, HasSubstr("  kinds: commit 10\n"));
  EXPECT_THAT(outcome.out,
              HasSubstr("  findings: 2 (prev_data_differs 1, prev_data_not_previous 1)\n"));
  EXPECT_THAT(outcome.out, ::testing::EndsWith("  result: findings\n"));
}

// ---- archives ----

TEST_F(Verify, ACommitThatIsInARecordedGapOfOurOwnIsNoFinding) {
  const Two two;
  std::vector<Bytes> first(two.frames.begin(), two.frames.begin() + 4);
  std::vector<Bytes> second(two.frames.begin() + 5, two.frames.end());
  const std::string one = given_file("first", first);
  const std::string other = given_file("second", second);
  import({one, other, "--density", "dense"});
  ASSERT_EQ(run_json({"inspect"})["streams"][0]["epochs"][0]["gaps"][0]["reason"], "outage");
  Report report = verify({"--data", archive.string()});
  expect_clean(report);
  EXPECT_EQ(report.summary["breaks_across_gaps"], 2);
  // What upstream itself skipped is told.
  std::vector<Bytes> skipped = first;
  skipped.insert(skipped.end(), second.begin(), second.end());
  import({given_file("skipped", skipped), "--density", "dense", "--stream", "two"});
  report = verify({"--data", archive.string(), "--stream", "two"});
  EXPECT_THAT(report.rows, ElementsAre("7 since_not_previous", "7 prev_data_not_previous"));
  EXPECT_EQ(report.summary["breaks_across_gaps"], 0);
}

TEST_F(Verify, ADamagedArchiveIsNamedWithThePlace) {
  import({given_file("many", many_frames())});
  std::filesystem::path largest;
  std::uintmax_t size = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(archive)) {
    if (entry.path().extension() != ".sst" || entry.file_size() <= size) continue;
    largest = entry.path();
    size = entry.file_size();
  }
  ASSERT_GT(size, 2'000U);
  std::fstream file(largest, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(500);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(500);
  file.put(byte);
  file.close();
  const Report report = verify({"--data", archive.string()});
  EXPECT_EQ(report.status, 1);
  EXPECT_EQ(report.summary["result"], "failed");
  EXPECT_EQ(report.summary["error"]["code"], "corrupt");
  EXPECT_THAT(report.err, HasSubstr(largest.filename().string()));
  EXPECT_THAT(report.err, ::testing::StartsWith("standpipe verify: corrupt: "));
  EXPECT_EQ(report.summary["checked"]["stored_files"], false);
  const Report skipped = verify({"--data", archive.string(), "--skip-files"});
  EXPECT_EQ(skipped.status, 1);
  EXPECT_EQ(skipped.summary["error"]["code"], "corrupt");
}

// `inspect frame` says the same of one frame, and shows the tree.
TEST_F(Verify, OneFrameIsInspectedWithItsTreeAndVerdicts) {
  TwoRepos two;
  two.frames[6].back() ^= std::byte{1};  // prevData
  import({given_file("two", two.frames)});
  const json clean = run_json({"inspect", "frame", "5"});
  EXPECT_EQ(clean["verdicts"], json::array());
  EXPECT_EQ(clean["tree"]["held"], true);
  EXPECT_EQ(clean["tree"]["ops"], (json{0}));
  const json wrong = run_json({"inspect", "frame", "7"});
  ASSERT_EQ(wrong["verdicts"].size(), 1U);
  EXPECT_EQ(wrong["verdicts"][0]["what"], "prev_data_differs");
  const std::string text = run({"inspect", "frame", "7"}).out;
  EXPECT_THAT(text, HasSubstr("\nverdicts\n  prev_data_differs  bafyrei"));
  EXPECT_THAT(text, HasSubstr(TwoRepos::path(7) + " -> .."));
  EXPECT_THAT(run({"inspect", "frame", "5"}).out,
              HasSubstr("\nverdicts\n  nothing is wrong, as far as it can be told"));
}

TEST_F(Verify, FramesOfEveryKindAreInspectedWithTheirVerdicts) {
  const RepoMaker repo(1);
  Bytes dated = repo.identity(2);
  const ByteView year = as_bytes("2026-01");
  const auto at = std::search(dated.begin(), dated.end(), year.begin(), year.end());
  ASSERT_NE(at, dated.end());
  at[6] = std::byte{'X'};
  const Bytes empty =
      *parse_hex("a261746723636f6d6d6974626f7001a16373657103");  // a #commit with nothing but a seq
  import({given_file("kinds", {repo.identity(1), dated, empty})});
  EXPECT_EQ(run_json({"inspect", "frame", "1"})["verdicts"], json::array());
  EXPECT_EQ(run_json({"inspect", "frame", "2"})["verdicts"][0]["what"], "time_invalid");
  const json malformed = run_json({"inspect", "frame", "3"});
  EXPECT_EQ(malformed["verdicts"][0]["what"], "event_malformed");
  EXPECT_FALSE(malformed.contains("tree"));
  EXPECT_THAT(run({"inspect", "frame", "3"}).out, HasSubstr("\nverdicts\n  event_malformed  "));
}

TEST_F(Verify, TheTreeOfARealFrameLeadsToItsOperation) {
  STANDPIPE_REQUIRE_SHARED();
  import({corpus("jetstream-corpus")});
  const json shown = run_json({"inspect", "frame", "31527015322"});
  EXPECT_EQ(shown["verdicts"], json::array());
  const json* node = &shown["tree"];
  int layer = 6;
  const json* found = nullptr;
  while (node != nullptr) {
    ASSERT_EQ((*node)["layer"], layer--);
    ASSERT_EQ((*node)["ops"], (json{0}));
    const json* below = nullptr;
    for (const json& entry : (*node)["entries"]) {
      if (entry.contains("key") && entry["ops"] == json{0}) found = &entry;
      if (entry.contains("child") && entry["child"]["held"] == true) {
        if (entry["child"]["ops"] == json{0}) below = &entry["child"];
      }
    }
    node = found == nullptr ? below : nullptr;
  }
  ASSERT_NE(found, nullptr);
  EXPECT_EQ((*found)["key"], "app.bsky.feed.like/3mptbyplj5d2a");
  EXPECT_EQ((*found)["value"], shown["event"]["payload"]["ops"][0]["cid"]["$link"]);
}

// ---- what is asked for wrongly, and input that ends ----

TEST_F(Verify, RefusesWhatMakesNoSenseWithOneLine) {
  const std::string file = given_file("one", Two().frames);
  expect_refusal(run_standpipe({"verify"}), 2, "wanted one FILE, or --data DIR");
  expect_refusal(run_standpipe({"verify", file, file}), 2, "wanted one FILE, or --data DIR");
  expect_refusal(run_standpipe({"verify", file, "--data", dir.path()}), 2, "wanted one FILE, or");
  expect_refusal(run_standpipe({"verify", file, "--stream", "x"}), 2, "--data");
  expect_refusal(run_standpipe({"verify", file, "--epoch", "1"}), 2, "--data");
  expect_refusal(run_standpipe({"verify", file, "--skip-files"}), 2, "--data");
  expect_refusal(run_standpipe({"verify", file, "--after", "9", "--until", "3"}), 2, "--until");
  expect_refusal(run_standpipe({"verify", file, "--threads", "0"}), 2, "--threads");
  expect_refusal(run_standpipe({"verify", file, "--repos-max", "1"}), 2, "--repos-max");
  expect_refusal(run_standpipe({"verify", file, "--plc", "x y"}), 2, "--plc: 'x y' is no URL");
  expect_refusal(run_standpipe({"verify", file, "--plc", "ftp://x"}), 2, "none of wss, ws, https");
  expect_refusal(run_standpipe({"verify", file, "--plc-cache", "x"}), 2, "with --plc URL alone");
  expect_refusal(run_standpipe({"verify", file, "--plc-rate", "0"}), 2, "--plc-rate");
  expect_refusal(run_standpipe({"verify", dir / "nothing"}), 1, "nothing");
  expect_refusal(run_standpipe({"verify", "--data", dir / "nothing"}), 1, "nothing");
  for (const auto& [name, text] : {std::pair{"empty", ""}, std::pair{"words", "not JSON"},
                                   std::pair{"cut", "\x28\xB5\x2F\xFD\x01"}}) {
    expect_refusal(run_standpipe({"verify", file, "--did-docs", given_text(name, text)}), 1, name);
  }
  expect_refusal(run_standpipe({"verify", file, "--did-docs", dir.path()}), 1, "DID documents");
}

TEST_F(Verify, AFileThatIsCutShortIsJudgedAsFarAsItGoes) {
  std::string bytes = frame_file_bytes(many_frames());
  bytes.resize(bytes.size() - 20'000);
  const Report report = verify({given_text("cut", bytes), "--findings-max", "0"});
  EXPECT_EQ(report.status, 1);
  EXPECT_EQ(report.summary["result"], "failed");
  EXPECT_EQ(report.summary["error"]["code"], "malformed");
  EXPECT_GT(report.summary["frames"], 100);
  EXPECT_GT(report.summary["findings"], 10);
  EXPECT_THAT(report.err, HasSubstr("go on with --after " + report.summary["last"].dump()));
}

}  // namespace
}  // namespace standpipe::test
