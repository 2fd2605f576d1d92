#include "schema/ids.h"

#include <gtest/gtest.h>

#include <map>
#include <ostream>
#include <set>
#include <string>
#include <unordered_set>

#include "schema/cid.h"
#include "schema/datetime.h"
#include "schema/formats.h"
#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

// The syntax vectors of atproto: one file after another through one runner.
struct VectorFile {
  const char* name;
  bool (*accepts)(std::string_view);
  bool is_valid;      // what the file says of its lines
  std::size_t lines;  // so that a file that is read as empty does not pass
};

std::ostream& operator<<(std::ostream& out, const VectorFile& file) { return out << file.name; }

bool accepts_datetime(std::string_view text) { return Datetime::parse(text).has_value(); }

class SyntaxVectors : public ::testing::TestWithParam<VectorFile> {};

TEST_P(SyntaxVectors, AreJudgedAsTheFileSays) {
  STANDPIPE_REQUIRE_SHARED();
  const VectorFile& file = GetParam();
  const auto lines =
      test::read_vector_lines(test::shared_dir() / "fixtures/interop/syntax" / file.name);
  EXPECT_EQ(lines.size(), file.lines);
  for (const std::string& line : lines) {
    EXPECT_EQ(file.accepts(line), file.is_valid) << quoted_for_error(line);
  }
}

constexpr VectorFile kVectorFiles[] = {
    {"atidentifier_syntax_valid.txt", AtIdentifier::is_valid, true, 11},
    {"atidentifier_syntax_invalid.txt", AtIdentifier::is_valid, false, 22},
    {"aturi_syntax_valid.txt", AtUri::is_valid, true, 23},
    {"aturi_syntax_invalid.txt", AtUri::is_valid, false, 72},
    {"cid_syntax_valid.txt", is_cid_syntax, true, 8},
    {"cid_syntax_invalid.txt", is_cid_syntax, false, 10},
    {"datetime_syntax_valid.txt", accepts_datetime, true, 35},
    {"datetime_syntax_invalid.txt", accepts_datetime, false, 45},
    {"datetime_parse_invalid.txt", accepts_datetime, false, 7},
    {"did_syntax_valid.txt", Did::is_valid, true, 24},
    {"did_syntax_invalid.txt", Did::is_valid, false, 18},
    {"handle_syntax_valid.txt", Handle::is_valid, true, 71},
    {"handle_syntax_invalid.txt", Handle::is_valid, false, 48},
    {"language_syntax_valid.txt", is_language_syntax, true, 18},
    {"language_syntax_invalid.txt", is_language_syntax, false, 7},
    {"language_parse_invalid.txt", is_language_syntax, false, 4},
    {"nsid_syntax_valid.txt", Nsid::is_valid, true, 25},
    {"nsid_syntax_invalid.txt", Nsid::is_valid, false, 27},
    {"recordkey_syntax_valid.txt", Rkey::is_valid, true, 16},
    {"recordkey_syntax_invalid.txt", Rkey::is_valid, false, 11},
    {"tid_syntax_valid.txt", Tid::is_valid, true, 4},
    {"tid_syntax_invalid.txt", Tid::is_valid, false, 9},
    {"uri_syntax_valid.txt", is_uri_syntax, true, 9},
    {"uri_syntax_invalid.txt", is_uri_syntax, false, 12},
};

INSTANTIATE_TEST_SUITE_P(Interop, SyntaxVectors, ::testing::ValuesIn(kVectorFiles),
                         [](const auto& tested) {
                           const std::string name = tested.param.name;
                           return name.substr(0, name.find('.'));
                         });

// A vector file that nobody lists would be a format that nobody checks.
TEST(SyntaxVectorFiles, AreAllListed) {
  STANDPIPE_REQUIRE_SHARED();
  std::set<std::string> found;
  for (const auto& entry :
       std::filesystem::directory_iterator(test::shared_dir() / "fixtures/interop/syntax")) {
    found.insert(entry.path().filename().string());
  }
  std::set<std::string> listed;
  for (const VectorFile& file : kVectorFiles) listed.insert(file.name);
  EXPECT_EQ(found, listed);
}

TEST(Did, KnowsItsMethodAndLimits) {
  EXPECT_EQ(Did::parse("did:plc:44ybard66vv44zksje25o7dz")->method(), "plc");
  EXPECT_EQ(Did::parse("did:web:localhost%3A1234")->method(), "web");
  EXPECT_TRUE(Did::is_valid("did:web:" + std::string(2040, 'a')));
  EXPECT_FALSE(Did::is_valid("did:web:" + std::string(2041, 'a')));
  EXPECT_FALSE(Did::is_valid(""));
  EXPECT_FALSE(Did::is_valid("did:"));
  EXPECT_FALSE(Did::is_valid("did::a"));
  EXPECT_FALSE(Did::is_valid(std::string_view("did:plc:a\0b", 11)));
}

TEST(Handle, NormalizesToLowerCase) {
  EXPECT_EQ(Handle::parse("XX.LCS.MIT.EDU")->normalized().text(), "xx.lcs.mit.edu");
  EXPECT_EQ(Handle::parse("XX.LCS.MIT.EDU")->text(), "XX.LCS.MIT.EDU");
}

TEST(Nsid, NamesItsLastSegment) {
  EXPECT_EQ(Nsid::parse("app.bsky.feed.post")->name(), "post");
  std::string longest = "a";
  for (int i = 0; i < 4; ++i) longest += "." + std::string(62, 'b');
  longest += "." + std::string(63, 'c');
  ASSERT_EQ(longest.size(), 317U);
  EXPECT_TRUE(Nsid::is_valid(longest));
  EXPECT_FALSE(Nsid::is_valid("a" + longest));
}

TEST(Tid, PartsAreThoseOfTheSpecification) {
  EXPECT_EQ(Tid::from_parts({0, 0}).text(), "2222222222222");
  EXPECT_EQ(Tid::from_parts({1735787045678000, 7}).text(), "3leq3p6auxk2b");
  EXPECT_EQ(Tid::from_parts({Tid::kMicrosMax, 1023}).text(), "bzzzzzzzzzzzz");
  const Tid::Parts parts = Tid::parse("3jzfcijpj2z2a")->parts();
  EXPECT_EQ(parts.micros, 1688137381887007U);
  EXPECT_EQ(parts.clock_id, 6U);
  EXPECT_EQ(Tid::parse("jzzzzzzzzzzzz")->parts().micros, (std::uint64_t{1} << 54) - 1);
}

TEST(TidDeathTest, PartsOutsideOfTheirRangesAreAnErrorOfTheCaller) {
  EXPECT_DEATH(Tid::from_parts({Tid::kMicrosMax + 1, 0}), "53 bits");
  EXPECT_DEATH(Tid::from_parts({0, 1024}), "10 bits");
}

TEST(Tid, SortsAsItsNumberDoes) {
  EXPECT_LT(Tid::from_parts({1, 1023}), Tid::from_parts({2, 0}));
  EXPECT_LT(Tid::from_parts({5, 1}), Tid::from_parts({5, 2}));
}

TEST(RepoPath, SplitsAtItsOneSlash) {
  const RepoPath path = RepoPath::parse("app.bsky.feed.post/3jzfcijpj2z2a").value();
  EXPECT_EQ(path.collection(), "app.bsky.feed.post");
  EXPECT_EQ(path.rkey(), "3jzfcijpj2z2a");
  for (const char* text :
       {"", "/", "app.bsky.feed.post", "app.bsky.feed.post/", "app.bsky.feed.post/a/b",
        "/app.bsky.feed.post/a", "app/a", "app.bsky.feed.post/.."}) {
    EXPECT_FALSE(RepoPath::is_valid(text)) << text;
  }
}

TEST(AtUri, SplitsIntoAuthorityCollectionAndKey) {
  const AtUri record = AtUri::parse("at://did:plc:asdf123/com.atproto.feed.post/self").value();
  EXPECT_EQ(record.authority(), "did:plc:asdf123");
  EXPECT_EQ(record.collection(), "com.atproto.feed.post");
  EXPECT_EQ(record.rkey(), "self");
  const AtUri account = AtUri::parse("at://user.bsky.social").value();
  EXPECT_EQ(account.authority(), "user.bsky.social");
  EXPECT_EQ(account.collection(), "");
  EXPECT_EQ(account.rkey(), "");
}

TEST(AtIdentifier, IsADidOrAHandle) {
  EXPECT_TRUE(AtIdentifier::parse("did:plc:asdf123")->is_did());
  EXPECT_FALSE(AtIdentifier::parse("alice.test")->is_did());
}

TEST(Identifiers, CompareAndHashByTheirText) {
  const Did a = Did::parse("did:plc:a").value();
  const Did b = Did::parse("did:plc:b").value();
  EXPECT_LT(a, b);
  EXPECT_EQ((std::map<Did, int>{{b, 2}, {a, 1}}.begin()->second), 1);
  EXPECT_EQ(std::unordered_set<Did>({a, b, a}).size(), 2U);
}

TEST(Identifiers, TheErrorShowsWhatWasGivenButNotAllOfIt) {
  EXPECT_EQ(Did::parse("did\n\xff").error().detail, "not a DID: \"did??\"");
  EXPECT_EQ(Rkey::parse(std::string(600, 'a')).error().detail,
            "not a record key: \"" + std::string(64, 'a') + "...\"");
}

TEST(Language, FollowsTheGrammar) {
  EXPECT_TRUE(is_language_syntax("zh-cmn-Hans-CN"));
  EXPECT_TRUE(is_language_syntax("en-GB-oed"));
  EXPECT_FALSE(is_language_syntax("de-419-DE"));
  EXPECT_FALSE(is_language_syntax("en-a"));
  EXPECT_FALSE(is_language_syntax("en-x"));
  EXPECT_FALSE(is_language_syntax("x"));
  EXPECT_FALSE(is_language_syntax("en-abcdefghi"));
  EXPECT_FALSE(is_language_syntax("en--GB"));
  EXPECT_FALSE(is_language_syntax(""));
  EXPECT_FALSE(is_language_syntax(std::string(100'000, 'a')));
}

}  // namespace
}  // namespace standpipe
