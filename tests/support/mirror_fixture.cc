#include "tests/support/mirror_fixture.h"

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <utility>

#include "schema/base/bytes.h"
#include "tests/support/frame_file.h"
#include "tests/support/process.h"

namespace standpipe::test {

void MirrorFixture::given_upstream(UpstreamOptions options) {
  upstream_ = std::make_unique<ScriptedUpstream>(std::move(options));
}

std::vector<std::string> MirrorFixture::arguments_of(const std::string& verb,
                                                     std::vector<std::string> more) const {
  std::vector<std::string> all{verb, "--data", archive().string()};
  // Who wants its status as JSON reads it.
  if (std::find(more.begin(), more.end(), "--json") == more.end()) all.emplace_back("--quiet");
  if (verb != "serve") {
    const std::pair<std::string, std::string> quick[] = {
        {"--upstream", upstream_ == nullptr ? "" : upstream_->url()},
        {"--min-free", "0"},
        {"--reconnect-min", "20ms"},
        {"--reconnect-max", "100ms"}};
    for (const auto& [option, value] : quick) {
      if (std::find(more.begin(), more.end(), option) != more.end()) continue;
      all.insert(all.end(), {option, value});
    }
  }
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return all;
}

void MirrorFixture::given_mirror(std::vector<std::string> arguments) {
  process_.reset();
  process_ = std::make_unique<NetworkProcess>(arguments_of("mirror", std::move(arguments)));
}

void MirrorFixture::given_server(std::vector<std::string> arguments) {
  process_.reset();
  process_ = std::make_unique<NetworkProcess>(arguments_of("serve", std::move(arguments)));
}

void MirrorFixture::given_imported(const std::vector<Bytes>& frames,
                                   const std::vector<std::string>& arguments) {
  const std::filesystem::path file = dir / "imported.frames";
  write_frame_file(file, frames);
  std::vector<std::string> all{"import",  file.string(), "--data", archive().string(),
                               "--quiet", "--min-free",  "0"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Outcome imported = run_standpipe(all);
  if (imported.status != 0) throw std::runtime_error("the import failed: " + imported.err);
}

NetworkProcess& MirrorFixture::process() const {
  if (process_ == nullptr) throw std::runtime_error("the test has not started the program");
  return *process_;
}

Outcome MirrorFixture::stop() {
  const Outcome outcome = process().stop();
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  process_.reset();
  return outcome;
}

Outcome MirrorFixture::kill() {
  Outcome outcome = process().kill();
  process_.reset();
  return outcome;
}

Subscriber MirrorFixture::subscribe(std::string_view query, SubscriberOptions options) const {
  return Subscriber::connect(port(), std::string(kSubscribeRepos) + std::string(query),
                             std::move(options));
}

nlohmann::json MirrorFixture::health() const {
  return nlohmann::json::parse(http_get(port(), "/xrpc/_health").body);
}

// Until `holds` of what _health says; `what` completes "waited in vain for ...".
void MirrorFixture::wait_for_health(const std::string& what,
                                    const std::function<bool(const nlohmann::json&)>& holds) const {
  const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
  for (;;) {
    const nlohmann::json state = health();
    if (holds(state)) return;
    if (std::chrono::steady_clock::now() >= deadline) {
      throw std::runtime_error("waited in vain for " + what + ": " + state.dump() + "\n" +
                               process().error_text());
    }
    std::this_thread::yield();
  }
}

void MirrorFixture::wait_for_health(const std::string& status) const {
  wait_for_health("status " + status,
                  [&](const nlohmann::json& now) { return now["status"] == status; });
}

void MirrorFixture::wait_until_durable(std::int64_t seq, const std::string& stream) const {
  wait_for_health("seq " + std::to_string(seq), [&](const nlohmann::json& now) {
    for (const nlohmann::json& one : now["streams"]) {
      if (one["name"] == stream && one["seq"].is_number() && one["seq"] >= seq) return true;
    }
    return false;
  });
}

}  // namespace standpipe::test
