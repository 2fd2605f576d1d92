#include "tests/support/play_fixture.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace standpipe::test {

using nlohmann::json;

std::string PlayFixture::given_frames(const std::vector<Bytes>& frames) {
  const std::filesystem::path path = dir / ("frames" + std::to_string(++files_) + ".bin.zst");
  write_frame_file(path, frames);
  return path.string();
}

std::string PlayFixture::given_scenario(std::string_view faults, const std::string& name) {
  const std::filesystem::path path = dir / name;
  std::ofstream(path, std::ios::binary) << faults;
  return path.string();
}

void PlayFixture::given_play_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "play");
  NetworkProcessOptions options;
  options.adds_listen = false;
  play_.reset();
  play_ = std::make_unique<NetworkProcess>(std::move(arguments), options);
}

void PlayFixture::given_play(const std::vector<Bytes>& frames, std::string_view faults,
                             std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), given_frames(frames));
  if (!faults.empty()) {
    arguments.insert(arguments.end(), {"--scenario", given_scenario(faults)});
  }
  given_play_of(std::move(arguments));
}

void PlayFixture::given_consumer(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--upstream", play_url()});
  given_watched_mirror(std::move(arguments));
}

Subscriber PlayFixture::subscribe_to_play(std::string_view query, SubscriberOptions options) const {
  return Subscriber::connect(play_port(), std::string(kSubscribeRepos) + std::string(query),
                             std::move(options));
}

Outcome PlayFixture::tail(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all{"tail", play_url(), "--raw"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_standpipe(all);
}

HttpReply PlayFixture::post(std::string_view target) const {
  HttpCall call;
  call.method = "POST";
  return http_get(play_port(), target, call);
}

json PlayFixture::printed() const {
  const auto deadline = deadline_from_now();
  while (!play().output_text().ends_with('\n')) {
    if (std::chrono::steady_clock::now() >= deadline) {
      throw std::runtime_error("waited in vain for the line that says where it listens");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return json::parse(play().output_text());
}

json PlayFixture::report() const { return json::parse(http_get(play_port(), "/play/report").body); }

json PlayFixture::poll(std::string_view what, const std::function<json(const json&)>& find) const {
  const auto deadline = deadline_from_now();
  for (;;) {
    const json now = report();
    json found = find(now);
    if (!found.is_null()) return found;
    if (std::chrono::steady_clock::now() >= deadline) {
      throw std::runtime_error("waited in vain for " + std::string(what) + ": " + now.dump());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

json PlayFixture::wait_for_fault(std::size_t number, std::uint64_t times) const {
  return poll("fault " + std::to_string(number), [&](const json& now) {
    const json& fault = now["faults"][number - 1];
    return fault["times"] >= times ? fault : json();
  });
}

void PlayFixture::wait_until_caught_up(std::size_t connection) const {
  poll("connection " + std::to_string(connection) + " to be caught up", [&](const json& now) {
    if (now["connections"].size() < connection) return json();
    const json& one = now["connections"][connection - 1];
    return one["caught_up"] == true || one["end"] != "open" ? one : json();
  });
}

json PlayFixture::wait_for_end(std::size_t connection) const {
  return poll("the end of connection " + std::to_string(connection), [&](const json& now) {
    if (now["connections"].size() < connection) return json();
    const json& one = now["connections"][connection - 1];
    return one["end"] == "open" ? json() : one;
  });
}

json PlayFixture::take_report(const Outcome& outcome, int status) {
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_EQ(outcome.err.empty(), status == 0) << outcome.err;
  errors_ = outcome.err;
  play_.reset();
  // Two lines: that it is ready, and the report.
  const std::size_t first = outcome.out.find('\n');
  if (first == std::string::npos) return {};
  return json::parse(outcome.out.substr(first + 1), nullptr, /*allow_exceptions=*/false);
}

json PlayFixture::given_met(std::string_view faults, const std::vector<std::string>& arguments) {
  given_play(frames_between(1, 20), faults);
  given_consumer(arguments);
  return wait_for_newest(20);
}

void PlayFixture::expect_happened(std::uint64_t connection, std::uint64_t frame, const json& seq) {
  const json ended = end_play();
  EXPECT_EQ(ended["passed"], true);
  const json& fault = ended["faults"][0];
  EXPECT_EQ(fault["times"], 1);
  EXPECT_EQ(fault["on"],
            json::array({{{"connection", connection}, {"frame", frame}, {"seq", seq}}}));
}

void PlayFixture::expect_refusal(const std::vector<std::string>& arguments, int status,
                                 const std::string& text) {
  std::vector<std::string> all{"play"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Outcome outcome = run_standpipe(all);
  EXPECT_EQ(outcome.status, status) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  EXPECT_TRUE(outcome.err.starts_with("standpipe play: ")) << outcome.err;
  EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err << "lacks " << text;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
}

json PlayFixture::end_play(int status) {
  EXPECT_EQ(post("/play/stop").status, 200);
  return take_report(play_->wait(), status);
}

json PlayFixture::ended_play(int status) { return take_report(play_->wait(), status); }

std::vector<std::int64_t> PlayFixture::cursors_asked() const {
  std::vector<std::int64_t> all;
  const json now = report();
  for (const json& one : now["connections"]) {
    all.push_back(one["cursor"].is_null() ? -1 : one["cursor"].get<std::int64_t>());
  }
  return all;
}

std::vector<Bytes> frames_without(std::int64_t seq) {
  std::vector<Bytes> frames = frames_between(1, 20);
  frames.erase(frames.begin() + seq - 1);
  return frames;
}

void expect_sent(Subscriber& subscriber, const std::vector<Bytes>& frames) {
  const std::vector<Bytes> read = subscriber.read_frames(frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    ASSERT_TRUE(read[i] == frames[i]) << "message " << i << ": seq " << seq_of(read[i]).value_or(0);
  }
  EXPECT_TRUE(subscriber.read_until_pong().empty());
}

void expect_sent(Subscriber&& subscriber, const std::vector<Bytes>& frames) {
  expect_sent(subscriber, frames);
}

}  // namespace standpipe::test
