#include "tests/support/verify_fixture.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "schema/cbor_writer.h"
#include "schema/event.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {

using nlohmann::json;

void expect_clean(const VerifyReport& report) {
  EXPECT_EQ(report.status, 0) << report.err;
  EXPECT_EQ(report.err, "");
  EXPECT_THAT(report.rows, ::testing::IsEmpty());
  EXPECT_EQ(report.summary["result"], "clean");
  EXPECT_EQ(report.summary["findings"], 0);
}

VerifyReport VerifyFixture::verify(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "verify");
  arguments.insert(arguments.end(), {"--json", "--quiet"});
  const Outcome outcome = run_standpipe(arguments);
  VerifyReport report;
  report.status = outcome.status;
  report.err = outcome.err;
  std::istringstream out(outcome.out);
  for (std::string line; std::getline(out, line);) {
    json parsed = json::parse(line, nullptr, false);
    EXPECT_FALSE(parsed.is_discarded()) << line;
    if (parsed.contains("result")) {
      report.summary = std::move(parsed);
      continue;
    }
    const std::string seq =
        parsed["seq"].is_null() ? "frame " + parsed["frame"].dump() : parsed["seq"].dump();
    report.rows.push_back(seq + " " + parsed["what"].get<std::string>());
    report.findings.push_back(std::move(parsed));
  }
  return report;
}

VerifyReport VerifyFixture::verify_frames(const std::vector<Bytes>& frames,
                                          std::vector<std::string> more) {
  more.insert(more.begin(), given_file("frames" + std::to_string(++files_), frames));
  return verify(std::move(more));
}

std::string VerifyFixture::corpus(const std::string& name) {
  return shared_dir() / "data" / name / "frames.bin.zst";
}

std::string VerifyFixture::real_documents() {
  return shared_dir() / "data" / "jetstream-corpus" / "did_docs.json.zst";
}

std::string VerifyFixture::given_text(const std::string& name, const std::string& text) const {
  std::ofstream(dir / name, std::ios::binary) << text;
  return dir / name;
}

Bytes with_change(Bytes frame, ByteView part) {
  const auto at = std::find_end(frame.begin(), frame.end(), part.begin(), part.end());
  EXPECT_NE(at, frame.end());
  if (at != frame.end()) *at ^= std::byte{1};
  return frame;
}

Bytes with_blocks(const Bytes& frame, ByteView blocks) {
  const Event event = decode_event(frame).value();
  const ByteView old = std::get<Commit>(event).blocks;
  Bytes old_item, new_item;
  CborWriter(old_item).write_bytes(old);
  CborWriter(new_item).write_bytes(blocks);
  Bytes out = frame;
  const auto at = std::search(out.begin(), out.end(), old_item.begin(), old_item.end());
  const auto after = out.erase(at, at + static_cast<std::ptrdiff_t>(old_item.size()));
  out.insert(after, new_item.begin(), new_item.end());
  return out;
}

TwoRepos::TwoRepos() {
  for (std::int64_t seq = 1; seq <= 8; ++seq) {
    frames.push_back((seq % 2 == 1 ? a : b).commit(seq, {{"create", path(seq)}}));
  }
  frames.push_back(a.commit(9, {{"update", path(1)}, {"delete", path(3)}}));
  frames.push_back(b.commit(10, {}));
}

std::string TwoRepos::path(std::int64_t seq) {
  return "com.example.record/3jqfcqzm3f" + std::string(1, static_cast<char>('a' + seq)) + "2j";
}

std::string TwoRepos::documents() const {
  return a.did_document() + "\n" + b.did_document() + "\n";
}

}  // namespace standpipe::test
