// Archives in each format that there ever was are opened, read to the last byte, and written on, by
// this program. tests/fixtures/README.md says what is in them.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "schema/hash.h"
#include "tests/support/hex.h"
#include "tests/support/mirror_fixture.h"
#include "tests/support/process.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

// Of (u32 little-endian length, frame) repeated, as the frame files had them.
constexpr const char* kReposEpoch1 =
    "da99cf88995418512f2448d6b08779ce3a7f2d77a9703ba784d2e350ff02d7cb";
constexpr const char* kReposEpoch2 =
    "d97e98c9bc828635ec3da431cd0900238eb9366fa06232481355206283f37345";
constexpr const char* kLabels = "096f44d1153e2f9cf6bbc4f67b7a93df0a3540cfb8a56d686eeb6c8a10feaeed";
constexpr const char* kCrashed = "2b0acbd51659e2e289c438a06e3fcb95ecb3f44081c16051297ba562b9d071e7";

class FrozenArchive : public MirrorFixture {
 protected:
  void given(const std::string& name) {
    std::filesystem::copy(
        std::filesystem::path(STANDPIPE_SOURCE_DIR) / "tests/fixtures/format-1" / name, archive(),
        std::filesystem::copy_options::recursive);
  }

  std::string run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin() + 1, {"--data", archive().string()});
    const Outcome outcome = run_standpipe(arguments);
    EXPECT_EQ(outcome.status, 0) << arguments.front() << ": " << outcome.err;
    return outcome.out;
  }

  std::string digest(std::vector<std::string> what) const {
    std::vector<std::string> arguments{"tail", "--raw"};
    arguments.insert(arguments.end(), what.begin(), what.end());
    return to_hex(sha256(as_bytes(run(arguments))));
  }

  // Frames behind all that there are, as a later release would add them.
  void write_on(const std::string& stream, std::int64_t after) {
    std::vector<Bytes> frames;
    for (std::int64_t seq = after + 1; seq <= after + 5; ++seq) frames.push_back(make_frame(seq));
    given_imported(frames, {"--stream", stream});
    const json held = json::parse(run({"inspect", "--json"}));
    for (const json& one : held["streams"]) {
      if (one["name"] != stream) continue;
      EXPECT_EQ(one["epochs"].back()["newest"], after + 5);
    }
  }
};

TEST_F(FrozenArchive, Format1ThatWasClosed) {
  given("closed");
  EXPECT_EQ(digest({"--stream", "repos", "--epoch", "1"}), kReposEpoch1);
  EXPECT_EQ(digest({"--stream", "repos", "--epoch", "2"}), kReposEpoch2);
  EXPECT_EQ(digest({"--stream", "labels"}), kLabels);
  const json held = json::parse(run({"inspect", "--json"}));
  EXPECT_EQ(held["quarantine"]["entries"], 3);
  run({"verify", "--stream", "repos", "--epoch", "1"});
  write_on("repos", 6);
  EXPECT_EQ(digest({"--stream", "repos", "--epoch", "1"}), kReposEpoch1);
}

TEST_F(FrozenArchive, Format1ThatCrashed) {
  given("crashed");
  EXPECT_EQ(digest({"--stream", "repos"}), kCrashed);
  run({"verify"});
  write_on("repos", 24);
}

}  // namespace
}  // namespace standpipe::test
