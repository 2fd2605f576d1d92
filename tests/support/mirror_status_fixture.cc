#include "tests/support/mirror_status_fixture.h"

#include <chrono>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tests/support/process.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

// Tries until it returns true; throws what `last_words` says at the deadline.
void poll_until(const std::function<bool()>& holds,
                const std::function<std::string()>& last_words) {
  const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) throw std::runtime_error(last_words());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// The newest whole line of status; null if there is none yet.
json newest_line(const std::string& output) {
  const std::size_t end = output.rfind('\n');
  if (end == std::string::npos || end == 0) return {};
  const std::size_t before = output.rfind('\n', end - 1);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return json::parse(output.substr(begin, end - begin), nullptr, /*allow_exceptions=*/false);
}

}  // namespace

void MirrorStatusFixture::given_watched_mirror(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--json", "--status-interval", "20ms"});
  given_mirror(std::move(arguments));
}

json MirrorStatusFixture::wait_for_status(const std::string& what,
                                          const std::function<bool(const json&)>& holds,
                                          const std::string& stream) const {
  json now;
  poll_until(
      [&] {
        const json line = newest_line(process().output_text());
        if (!line.is_object()) return false;
        for (const json& one : line["streams"]) {
          if (one["name"] == stream) now = one;
        }
        return now.is_object() && holds(now);
      },
      [&] {
        return "waited in vain for " + what + ": " + now.dump() + "\n" + process().error_text();
      });
  return now;
}

json MirrorStatusFixture::wait_for_newest(std::int64_t seq) const {
  return wait_for_status("seq " + std::to_string(seq),
                         [&](const json& now) { return now["newest"] == seq; });
}

json MirrorStatusFixture::wait_for_state(const std::string& state) const {
  return wait_for_status("state " + state, [&](const json& now) { return now["state"] == state; });
}

json MirrorStatusFixture::wait_for_count(const std::string& name, std::uint64_t least) const {
  return wait_for_status(name + " " + std::to_string(least),
                         [&](const json& now) { return now[name] >= least; });
}

void MirrorStatusFixture::wait_for_log(const std::string& text) const {
  poll_until([&] { return process().error_text().find(text) != std::string::npos; },
             [&] { return "waited in vain for \"" + text + "\" in\n" + process().error_text(); });
}

std::vector<std::string> MirrorStatusFixture::gaps() const {
  const json body = json::parse(http_get(port(), "/stream/repos/gaps").body);
  std::vector<std::string> said;
  for (const json& gap : body["gaps"]) {
    said.push_back(gap["after"].dump() + ".." + gap["before"].dump() + " " +
                   gap["reason"].get<std::string>());
  }
  return said;
}

json MirrorStatusFixture::inspected() const {
  const Outcome outcome = run_standpipe({"inspect", "--data", archive().string(), "--json"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  return json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
}

std::vector<std::int64_t> MirrorStatusFixture::cursors() const {
  std::vector<std::int64_t> all;
  for (const ConnectionRecord& one : upstream().connections()) {
    all.push_back(one.cursor.value_or(-1));
  }
  return all;
}

void MirrorStatusFixture::expect_served(const std::vector<Bytes>& frames) const {
  Subscriber subscriber = subscribe("?cursor=0");
  const std::vector<Bytes> read = subscriber.read_frames(frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_TRUE(read[i] == frames[i])
        << "frame " << i << ": seq " << seq_of(read[i]).value_or(0) << " in place of "
        << seq_of(frames[i]).value_or(0) << ", or other bytes";
  }
  EXPECT_TRUE(subscriber.read_until_pong().empty());
}

std::vector<Bytes> frames_between(std::int64_t first, std::int64_t last) {
  std::vector<Bytes> frames;
  for (std::int64_t seq = first; seq <= last; ++seq) frames.push_back(make_frame(seq));
  return frames;
}

std::vector<Bytes> frames_of(std::initializer_list<std::int64_t> seqs) {
  std::vector<Bytes> frames;
  for (const std::int64_t seq : seqs) frames.push_back(make_frame(seq));
  return frames;
}

Bytes other_frame(std::int64_t seq, std::uint64_t variant) {
  FrameSpec spec;
  spec.seq = seq;
  spec.variant = variant;
  return make_frame(spec);
}

}  // namespace standpipe::test
