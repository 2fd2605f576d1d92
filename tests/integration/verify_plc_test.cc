// `standpipe verify --plc`: keys from a directory that is asked over HTTP, and all that can go
// wrong with it.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/support/certificates.h"
#include "tests/support/http_directory.h"
#include "tests/support/shared_data.h"
#include "tests/support/verify_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using Report = VerifyReport;
using Two = TwoRepos;

class VerifyPlc : public VerifyFixture {
 protected:
  VerifyPlc() : file(given_file("two", two.frames)) {
    documents = {{two.a.did(), two.a.did_document()}, {two.b.did(), two.b.did_document()}};
  }

  // As plc.directory does: 404 for whom it does not know.
  DirectoryReply known(const std::string& target) const {
    DirectoryReply reply;
    const auto found = documents.find(target.substr(1));
    reply.status = found == documents.end() ? 404 : 200;
    reply.body = found == documents.end() ? R"({"message":"DID not registered"})" : found->second;
    return reply;
  }
  HttpDirectory::Answer as_known() {
    return [this](const std::string& target) { return known(target); };
  }
  Report verify_with(const HttpDirectory& directory, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {file, "--plc", directory.url(), "--plc-rate", "1000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return verify(std::move(arguments));
  }
  // Of a directory that answers everything like this.
  Report verify_against(const DirectoryReply& reply, std::vector<std::string> more = {}) const {
    HttpDirectory directory([reply](const std::string&) { return reply; });
    return verify_with(directory, std::move(more));
  }

  Two two;
  std::string file;
  std::map<std::string, std::string> documents;
};

TEST_F(VerifyPlc, EachAccountIsAskedForOnce) {
  HttpDirectory directory(as_known());
  const Report report = verify_with(directory);
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["valid"], 10);
  EXPECT_EQ(report.summary["directory"], (json{{"requests", 2},
                                               {"documents", 2},
                                               {"nobody", 0},
                                               {"refused", 0},
                                               {"no_answer", 0},
                                               {"from_cache", 0}}));
  EXPECT_THAT(directory.requests(), UnorderedElementsAre("/" + two.a.did(), "/" + two.b.did()));
  const std::string program = run_standpipe({"--version"}).out;  // "standpipe 1.2.3"
  EXPECT_EQ(directory.user_agent() + "\n", "standpipe/" + program.substr(program.find(' ') + 1));
}

TEST_F(VerifyPlc, NobodyIsAskedByDefault) {
  const Report report = verify({file});
  expect_clean(report);
  EXPECT_EQ(report.summary["directory"], nullptr);
  EXPECT_EQ(report.summary["signatures"]["no_document"], 10);
}

TEST_F(VerifyPlc, AWrongSignatureIsFoundAndAFileComesFirst) {
  two.a.change_key(20);
  documents[two.b.did()] = two.a.did_document();  // nobody asks for it
  two.frames.push_back(two.a.commit(11, {{"create", Two::path(11)}}));
  file = given_file("changed", two.frames);
  HttpDirectory directory(as_known());
  const Report report =
      verify_with(directory, {"--did-docs", given_text("b.json", two.b.did_document())});
  EXPECT_THAT(report.rows, ElementsAre("11 signature_wrong"));
  EXPECT_THAT(directory.requests(), ElementsAre("/" + two.a.did()));
}

TEST_F(VerifyPlc, WhoIsNotThereIsAskedForOnceToo) {
  documents.erase(two.b.did());
  HttpDirectory directory(as_known());
  const Report report = verify_with(directory);
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["valid"], 5);
  EXPECT_EQ(report.summary["signatures"]["no_document"], 5);
  EXPECT_EQ(report.summary["directory"]["nobody"], 1);
  EXPECT_EQ(directory.requests().size(), 2U);
}

TEST_F(VerifyPlc, ThePathOfTheUrlComesFirst) {
  HttpDirectory directory([this](const std::string& target) {
    return target.starts_with("/mirror/of/plc/") ? known(target.substr(14))
                                                 : DirectoryReply{404, "", {}};
  });
  const Report report =
      verify({file, "--plc", directory.url() + "/mirror/of/plc/", "--plc-rate", "1000"});
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["valid"], 10);
}

TEST_F(VerifyPlc, TlsIsCheckedAgainstTheNamedAuthority) {
  const CertificateAuthority authority;
  authority.write_certificate(dir / "ca.pem");
  HttpDirectory directory(as_known(), make_server_tls(authority.for_loopback()).value());
  const Report trusted = verify_with(directory, {"--tls-ca", dir / "ca.pem"});
  expect_clean(trusted);
  EXPECT_EQ(trusted.summary["signatures"]["valid"], 10);
  const Report untrusted = verify_with(directory);
  EXPECT_EQ(untrusted.status, 1);
  EXPECT_THAT(untrusted.err, HasSubstr("the last one: TLS: "));
  HttpDirectory other(as_known(), make_server_tls(authority.wrong_name()).value());
  EXPECT_THAT(verify_with(other, {"--tls-ca", dir / "ca.pem"}).err, HasSubstr("TLS: "));
}

// ---- what a directory can do wrong ----

TEST_F(VerifyPlc, ARedirectIsNotFollowed) {
  HttpDirectory elsewhere(as_known());
  DirectoryReply reply;
  reply.status = 302;
  reply.headers = {{"Location", elsewhere.url() + "/" + two.a.did()}};
  const Report report = verify_against(reply);
  EXPECT_EQ(report.status, 1);
  EXPECT_EQ(report.summary["result"], "failed");
  EXPECT_THAT(report.err, HasSubstr(": HTTP 302 for did:plc:"));
  EXPECT_THAT(report.err, HasSubstr("redirects are not followed"));
  EXPECT_TRUE(elsewhere.requests().empty());
}

TEST_F(VerifyPlc, AnswersThatAreNoDocumentOfTheDidAreRefused) {
  const std::string other = two.a.did_document();
  for (const std::string& body : {std::string(), std::string("<html>"), std::string("[]"),
                                  std::string(R"({"id":"did:plc:zzzzzzzzzzzzzzzzzzzzzzzz"})")}) {
    DirectoryReply reply;
    reply.body = body;
    const Report report = verify_against(reply);
    expect_clean(report);
    EXPECT_EQ(report.summary["signatures"]["no_answer"], 10) << body;
    EXPECT_EQ(report.summary["directory"]["refused"], 2) << body;
  }
}

TEST_F(VerifyPlc, AnAnswerThatIsTooLargeIsNotRead) {
  DirectoryReply reply;
  reply.body.assign(70'000, ' ');
  const Report report = verify_against(reply);
  EXPECT_EQ(report.status, 1);
  EXPECT_THAT(report.err, HasSubstr("an answer that is too large"));
}

TEST_F(VerifyPlc, AServerThatIsNotThereOrFailsEndsIt) {
  std::string gone;
  {
    const HttpDirectory directory(as_known());
    gone = directory.url();
  }
  const Report refused = verify({file, "--plc", gone, "--plc-rate", "1000"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.summary["error"]["code"], "io");
  EXPECT_THAT(refused.err, HasSubstr("--plc " + gone +
                                     ": too many requests in a row came to "
                                     "nothing, the last one: Connection refused"));
  DirectoryReply failing;
  failing.status = 500;
  EXPECT_THAT(verify_against(failing).err, HasSubstr("the last one: HTTP 500 for did:plc:"));
  DirectoryReply ending;
  ending.ends_instead = true;
  EXPECT_EQ(verify_against(ending).status, 1);
  DirectoryReply silent;
  silent.is_silent = true;
  EXPECT_THAT(verify_against(silent, {"--plc-timeout", "50ms"}).err,
              HasSubstr("the last one: no answer within 50 ms"));
}

TEST_F(VerifyPlc, WhatFailsOnceIsAskedForAgain) {
  std::map<std::string, int> asked;
  HttpDirectory directory([&](const std::string& target) {
    if (++asked[target] > 1) return known(target);
    DirectoryReply reply;
    reply.status = 429;
    reply.headers = {{"Retry-After", "0"}};
    return reply;
  });
  const Report report = verify_with(directory);
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["valid"], 10);
  EXPECT_EQ(report.summary["directory"]["requests"], 4);
}

TEST_F(VerifyPlc, AConnectionIsUsedAgainAndOneThatHasEndedIsMadeAnew) {
  std::vector<Bytes> frames;
  for (unsigned i = 0; i < 20; ++i) {
    RepoMaker repo(i);
    frames.push_back(repo.commit(1 + i, {{"create", "a.b.c/1"}}));
    documents[repo.did()] = repo.did_document();
  }
  file = given_file("many", frames);
  HttpDirectory keeping(as_known());
  EXPECT_EQ(verify_with(keeping).summary["signatures"]["valid"], 20);
  EXPECT_LE(keeping.connections(), 4U);
  HttpDirectory ending([this](const std::string& target) {
    DirectoryReply reply = known(target);
    reply.ends_after = true;
    return reply;
  });
  EXPECT_EQ(verify_with(ending).summary["signatures"]["valid"], 20);
  EXPECT_EQ(ending.connections(), 20U);
}

// ---- the rate, the cache, the end ----

TEST_F(VerifyPlc, TheRateIsKept) {
  std::chrono::steady_clock::time_point last;
  HttpDirectory directory([&](const std::string& target) {
    last = std::chrono::steady_clock::now();
    return known(target);
  });
  std::vector<Bytes> frames;
  for (unsigned i = 0; i < 6; ++i) {
    RepoMaker repo(i);
    frames.push_back(repo.commit(1 + i, {{"create", "a.b.c/1"}}));
  }
  const std::string six = given_file("six", frames);
  const auto before = std::chrono::steady_clock::now();
  expect_clean(verify({six, "--plc", directory.url(), "--plc-rate", "20"}));
  EXPECT_EQ(directory.requests().size(), 6U);
  // Five intervals lie before the sixth request, however long all else takes.
  EXPECT_GE(last - before, std::chrono::milliseconds(5 * 50));
}

// Also by those whose turn lies within the pause.
TEST_F(VerifyPlc, APauseThatTheServerAsksForIsKeptByAll) {
  std::vector<std::chrono::steady_clock::time_point> times;
  HttpDirectory directory([&](const std::string& target) {
    times.push_back(std::chrono::steady_clock::now());
    if (times.size() > 1) return known(target);
    DirectoryReply reply;
    reply.status = 429;
    reply.headers = {{"Retry-After", "2"}};
    return reply;
  });
  // The second account's turn comes a second after the first one's.
  expect_clean(verify({file, "--plc", directory.url(), "--plc-rate", "1"}));
  ASSERT_EQ(directory.requests().size(), 3U);
  EXPECT_GE(times[1] - times[0], std::chrono::seconds(2));
}

TEST_F(VerifyPlc, WhatWasSaidIsKeptFromRunToRun) {
  const std::string cache = dir / "plc.jsonl";
  documents.erase(two.b.did());
  HttpDirectory directory(as_known());
  const Report first = verify_with(directory, {"--plc-cache", cache});
  expect_clean(first);
  EXPECT_EQ(directory.requests().size(), 2U);
  const Report second = verify_with(directory, {"--plc-cache", cache});
  expect_clean(second);
  EXPECT_EQ(directory.requests().size(), 2U);
  EXPECT_EQ(second.summary["signatures"], first.summary["signatures"]);
  EXPECT_EQ(second.summary["directory"]["from_cache"], 2);
  EXPECT_EQ(second.summary["directory"]["requests"], 0);
  // What is too old is asked for again.
  const Report third = verify_with(directory, {"--plc-cache", cache, "--plc-max-age", "0"});
  expect_clean(third);
  EXPECT_EQ(third.summary["directory"]["from_cache"], 0);
  EXPECT_EQ(directory.requests().size(), 4U);
  EXPECT_FALSE(std::filesystem::exists(cache + ".partial"));
}

TEST_F(VerifyPlc, ACacheThatIsNoneIsRefusedBeforeAnybodyIsAsked) {
  HttpDirectory directory(as_known());
  const Report words = verify_with(directory, {"--plc-cache", given_text("words", "not JSON\n")});
  EXPECT_EQ(words.status, 1);
  EXPECT_THAT(words.err,
              HasSubstr("--plc-cache " + std::string(dir / "words") + ": line 1 is none of ours"));
  const Report nowhere = verify_with(directory, {"--plc-cache", dir / "no" / "where"});
  EXPECT_EQ(nowhere.status, 1);
  EXPECT_THAT(nowhere.err, HasSubstr("cannot be written: No such file or directory"));
  EXPECT_TRUE(directory.requests().empty());
  std::ifstream kept(dir / "words");
  std::string text;
  std::getline(kept, text);
  EXPECT_EQ(text, "not JSON");
}

TEST_F(VerifyPlc, ADidWebIsNotAskedFor) {
  const Outcome made = run_standpipe({"simulate", "--frames", "40", "--output", dir / "web.bin.zst",
                                      "--odd", "did-web=1000", "--quiet"});
  ASSERT_EQ(made.status, 0) << made.err;
  file = dir / "web.bin.zst";
  HttpDirectory directory(as_known());
  const Report report = verify_with(directory);
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["valid"], 0);
  EXPECT_GT(report.summary["signatures"]["no_document"], 30);
  EXPECT_TRUE(directory.requests().empty());
}

TEST_F(VerifyPlc, WhoSignedNothingIsNotAskedFor) {
  const RepoMaker quiet(3);
  std::vector<Bytes> frames = {quiet.identity(1), quiet.account(2, true), two.a.sync(3)};
  file = given_file("quiet", frames);
  HttpDirectory directory(as_known());
  expect_clean(verify_with(directory));
  EXPECT_THAT(directory.requests(), ElementsAre("/" + two.a.did()));
}

// Names are in frames as strangers wrote them, and go into requests.
TEST_F(VerifyPlc, WhatIsNoNameOfADidPlcIsNobodysAndIsNotAskedFor) {
  const std::string name(24, 'a');
  std::vector<Bytes> frames;
  for (const std::string& odd :
       {std::string("%zz"), std::string("a:b"), std::string(2'000, 'a'), name.substr(1), name + "a",
        std::string(24, 'A'), name.substr(1) + "1", name.substr(1) + "8", name.substr(3) + "%2f"}) {
    const auto number = static_cast<unsigned>(frames.size());
    RepoMaker repo(number, "did:plc:" + odd);
    frames.push_back(repo.commit(1 + number, {{"create", "a.b.c/1"}}));
  }
  file = given_file("odd", frames);
  HttpDirectory directory([](const std::string&) { return DirectoryReply{400, "", {}}; });
  const Report report = verify_with(directory);
  expect_clean(report);
  EXPECT_EQ(report.summary["signatures"]["no_document"], frames.size());
  EXPECT_TRUE(directory.requests().empty());
}

TEST_F(VerifyPlc, ASignalEndsTheWaitForAnAnswer) {
  std::atomic<bool> was_asked = false;
  HttpDirectory directory([&](const std::string&) {
    was_asked = true;
    was_asked.notify_all();
    DirectoryReply reply;
    reply.is_silent = true;
    return reply;
  });
  Process process({"verify", file, "--plc", directory.url(), "--plc-timeout", "1h", "--json"});
  was_asked.wait(false);
  process.signal(SIGTERM);
  const Outcome outcome = process.wait();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("\"result\":\"failed\""));
  EXPECT_THAT(outcome.err, HasSubstr("stopped by a signal"));
  EXPECT_THAT(outcome.err, Not(HasSubstr("go on with")));  // nothing was judged
}

// What keys were known for was judged up to there: whoever goes on there leaves out nothing.
TEST_F(VerifyPlc, AnEndNamesTheLastFrameBeforeTheFirstWithoutAnAnswer) {
  std::vector<Bytes> frames(two.frames.begin(), two.frames.begin() + 2);
  for (std::int64_t seq = 3; seq <= 1'000; ++seq) frames.push_back(two.a.commit(seq, {}));
  file = given_file("long", frames);
  DirectoryReply elsewhere;
  elsewhere.status = 302;  // ends it at once
  const Report report = verify_against(
      elsewhere, {"--did-docs", given_text("a.json", two.a.did_document()), "--threads", "1"});
  EXPECT_EQ(report.status, 1);
  EXPECT_EQ(report.summary["frames"], 1);
  EXPECT_EQ(report.summary["last"], 1);
  EXPECT_EQ(report.summary["signatures"]["no_answer"], 0);
  EXPECT_THAT(report.err, HasSubstr("; seq 1 was the last that was judged: go on with --after 1"));
}

}  // namespace
}  // namespace standpipe::test
