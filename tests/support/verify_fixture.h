// Verbs for tests of `standpipe verify`: what it says, as values; frames for it to judge.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/cli_fixture.h"
#include "tests/support/repo_maker.h"

namespace standpipe::test {

struct VerifyReport {
  int status = -1;
  std::string err;
  std::vector<std::string> rows;  // "17 block_hash_wrong"; "frame 3 ..." where it has no seq
  std::vector<nlohmann::json> findings;
  nlohmann::json summary;
};

void expect_clean(const VerifyReport& report);

class VerifyFixture : public CliFixture {
 protected:
  // With --json; `--data` is not set.
  static VerifyReport verify(std::vector<std::string> arguments);
  // Of a frame file with these frames.
  VerifyReport verify_frames(const std::vector<Bytes>& frames, std::vector<std::string> more = {});

  // Of the shared data.
  static std::string corpus(const std::string& name);
  static std::string real_documents();

  std::string given_text(const std::string& name, const std::string& text) const;

 private:
  int files_ = 0;
};

// Changes the first byte of the last occurrence of `part`.
Bytes with_change(Bytes frame, ByteView part);
// The same commit with other blocks.
Bytes with_blocks(const Bytes& frame, ByteView blocks);

// Two repositories, whose commits alternate: eight that create a record each, seqs 1 to 8; then one
// of `a` with two operations and one of `b` with none.
struct TwoRepos {
  TwoRepos();

  static std::string path(std::int64_t seq);  // of the record that was created with it
  std::string documents() const;

  RepoMaker a{1};
  RepoMaker b{2};
  std::vector<Bytes> frames;
};

}  // namespace standpipe::test
