// Verbs for tests of the program: given_file, import, exported, tailed.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "schema/base/bytes.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

class CliFixture : public ::testing::Test {
 protected:
  CliFixture();

  // A frame file, not made by the code under test.
  std::string given_file(const std::string& name, const std::vector<Bytes>& frames);

  // Runs it with `--data` set to the archive and no demand for free space.
  Outcome run(const std::vector<std::string>& arguments) const;
  ProcessOptions options() const;

  // These expect success, and nothing on stderr.
  nlohmann::json run_json(std::vector<std::string> arguments) const;  // with --json
  nlohmann::json import(const std::vector<std::string>& arguments) const;
  std::vector<Bytes> exported(const std::vector<std::string>& arguments = {});
  std::vector<nlohmann::json> tailed(const std::vector<std::string>& arguments = {}) const;
  std::vector<std::int64_t> tailed_seqs(const std::vector<std::string>& arguments = {}) const;

  // Expects this status, and one line on stderr that begins "standpipe" and holds `text`.
  void expect_refusal(const std::vector<std::string>& arguments, int status,
                      const std::string& text) const;
  static void expect_refusal(const Outcome& outcome, int status, const std::string& text);

  TempDir dir;
  std::filesystem::path archive;

 private:
  int exports_ = 0;
};

std::vector<Bytes> make_frames(std::initializer_list<std::int64_t> seqs);
std::vector<Bytes> make_frame_range(std::int64_t first, std::int64_t last);  // inclusive

}  // namespace standpipe::test
