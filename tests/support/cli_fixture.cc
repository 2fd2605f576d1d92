#include "tests/support/cli_fixture.h"

#include <algorithm>
#include <sstream>

#include "tests/support/frame_file.h"
#include "tests/support/frames.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {

using nlohmann::json;

CliFixture::CliFixture() : archive(dir / "archive") {}

std::string CliFixture::given_file(const std::string& name, const std::vector<Bytes>& frames) {
  const std::filesystem::path path = dir / name;
  write_frame_file(path, frames);
  return path.string();
}

ProcessOptions CliFixture::options() const {
  ProcessOptions options;
  options.environment = {{"STANDPIPE_DATA", archive.string()}, {"STANDPIPE_MIN_FREE", "0"}};
  return options;
}

Outcome CliFixture::run(const std::vector<std::string>& arguments) const {
  return run_standpipe(arguments, options());
}

json CliFixture::run_json(std::vector<std::string> arguments) const {
  arguments.emplace_back("--json");
  const Outcome outcome = run(arguments);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  json parsed = json::parse(outcome.out, nullptr, false);
  EXPECT_FALSE(parsed.is_discarded()) << outcome.out;
  return parsed;
}

json CliFixture::import(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"import", "--quiet"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_json(all);
}

std::vector<Bytes> CliFixture::exported(const std::vector<std::string>& arguments) {
  const std::string path = dir / ("export" + std::to_string(++exports_) + ".zst");
  std::vector<std::string> all = {"export", "--quiet", "--output", path};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const json summary = run_json(all);
  std::vector<Bytes> frames = read_frame_corpus(path);
  EXPECT_EQ(summary["frames"], frames.size());
  EXPECT_EQ(summary["file_bytes"], std::filesystem::file_size(path));
  return frames;
}

std::vector<json> CliFixture::tailed(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"tail", "--json"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Outcome outcome = run(all);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  std::vector<json> lines;
  std::istringstream out(outcome.out);
  for (std::string line; std::getline(out, line);) {
    lines.push_back(json::parse(line, nullptr, false));
    EXPECT_FALSE(lines.back().is_discarded()) << line;
  }
  return lines;
}

std::vector<std::int64_t> CliFixture::tailed_seqs(const std::vector<std::string>& arguments) const {
  std::vector<std::int64_t> seqs;
  for (const json& line : tailed(arguments)) seqs.push_back(line["seq"]);
  return seqs;
}

void CliFixture::expect_refusal(const Outcome& outcome, int status, const std::string& text) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::StartsWith("standpipe"));
  EXPECT_THAT(outcome.err, ::testing::HasSubstr(text));
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_THAT(outcome.err, ::testing::EndsWith("\n"));
}

void CliFixture::expect_refusal(const std::vector<std::string>& arguments, int status,
                                const std::string& text) const {
  expect_refusal(run(arguments), status, text);
}

std::vector<Bytes> make_frames(std::initializer_list<std::int64_t> seqs) {
  std::vector<Bytes> frames;
  for (const std::int64_t seq : seqs) frames.push_back(make_frame(seq));
  return frames;
}

std::vector<Bytes> make_frame_range(std::int64_t first, std::int64_t last) {
  std::vector<Bytes> frames;
  for (std::int64_t seq = first; seq <= last; ++seq) frames.push_back(make_frame(seq));
  return frames;
}

}  // namespace standpipe::test
