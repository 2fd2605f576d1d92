// Prometheus itself, of Debian's package: it finds nothing to say against what we expose, our rules
// are rules to it, and with our sample of a configuration it scrapes a mirror and answers queries.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/metrics_fixture.h"
#include "tests/support/other_program.h"
#include "tests/support/process.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

constexpr const char* kPrometheus = "/usr/bin/prometheus";
constexpr const char* kPromtool = "/usr/bin/promtool";
constexpr const char* kPackage = "prometheus";

std::filesystem::path ops_file(std::string_view name) {
  return std::filesystem::path(STANDPIPE_SOURCE_DIR) / "tools" / "ops" / name;
}

Outcome run_promtool(const std::vector<std::string>& arguments, std::string_view input = "") {
  ProcessOptions options;
  options.program = kPromtool;
  Process process(arguments, options);
  process.feed(input);
  return process.wait();
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    char code[4];
    std::snprintf(code, sizeof code, "%%%02X",
                  static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += code;
  }
  return out;
}

class RealPrometheus : public MetricsFixture {
 protected:
  // With the sample of a configuration, but for the port of the mirror, and more haste.
  void given_prometheus() {
    std::ifstream sample(ops_file("prometheus.yml"));
    std::string config{std::istreambuf_iterator<char>(sample), std::istreambuf_iterator<char>()};
    const auto replace = [&config](const std::string& from, const std::string& to) {
      const std::size_t at = config.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      config.replace(at, from.size(), to);
    };
    replace("127.0.0.1:2481", "127.0.0.1:" + std::to_string(process().admin_port()));
    replace("scrape_interval: 15s", "scrape_interval: 500ms\n  scrape_timeout: 500ms");
    replace("evaluation_interval: 15s", "evaluation_interval: 500ms");
    const std::filesystem::path home = dir / "prometheus";
    std::filesystem::create_directory(home);
    std::ofstream(home / "prometheus.yml") << config;
    std::filesystem::copy_file(ops_file("alerts.yml"), home / "alerts.yml");
    prometheus_port_ = free_port();
    ProcessOptions options;
    options.program = kPrometheus;
    prometheus_ = std::make_unique<Process>(
        std::vector<std::string>{
            "--config.file=" + (home / "prometheus.yml").string(),
            "--storage.tsdb.path=" + (home / "data").string(),
            "--web.listen-address=127.0.0.1:" + std::to_string(prometheus_port_)},
        options);
  }

  // The answer of its API; null until it listens.
  json ask(const std::string& target) const {
    try {
      // In HTTP/1.0, or it would answer in chunks.
      const std::string reply =
          exchange_raw(prometheus_port_, "GET " + target + " HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n");
      return json::parse(reply.substr(std::min(reply.find("\r\n\r\n"), reply.size())), nullptr,
                         false);
    } catch (const std::runtime_error&) {
      return {};  // nobody listens yet
    }
  }

  // The value of the one series that the expression has, once it has one for which `holds`.
  json wait_for_answer(const std::string& target,
                       const std::function<bool(const json&)>& holds) const {
    const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
    for (;;) {
      const json answer = ask(target);
      if (answer.is_object() && answer["status"] == "success" && holds(answer["data"])) {
        return answer["data"];
      }
      if (std::chrono::steady_clock::now() >= deadline) {
        throw std::runtime_error("waited in vain: " + answer.dump() + prometheus_->error_text());
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
  void wait_for_value(const std::string& expression, const std::string& value) const {
    wait_for_answer("/api/v1/query?query=" + url_encoded(expression), [&](const json& data) {
      return data["result"].size() == 1 && data["result"][0]["value"][1] == value;
    });
  }

 private:
  std::uint16_t prometheus_port_ = 0;
  std::unique_ptr<Process> prometheus_;
};

TEST_F(RealPrometheus, FindsNothingToSayAgainstWhatIsExposed) {
  STANDPIPE_REQUIRE_PROGRAM(kPromtool, kPackage);
  given_upstream(holding(1, 20));
  given_measured_mirror({"--verify-ingest", "full"});
  wait_until_durable(20);
  const Outcome outcome = run_promtool({"check", "metrics"}, metrics_text());
  EXPECT_EQ(outcome.status, 0);
  EXPECT_EQ(outcome.err + outcome.out, "");
  // It would have said something.
  const Outcome broken = run_promtool({"check", "metrics"}, "a_count 1\n");
  EXPECT_NE(broken.status, 0);
}

TEST_F(RealPrometheus, TakesTheRulesAndTheSampleOfAConfiguration) {
  STANDPIPE_REQUIRE_PROGRAM(kPromtool, kPackage);
  for (const auto& [what, name] :
       {std::pair("rules", "alerts.yml"), {"config", "prometheus.yml"}}) {
    const Outcome outcome = run_promtool({"check", what, ops_file(name).string()});
    EXPECT_EQ(outcome.status, 0) << outcome.err << outcome.out;
  }
}

TEST_F(RealPrometheus, ScrapesAMirrorAndAnswersWhatItWasSent) {
  STANDPIPE_REQUIRE_PROGRAM(kPrometheus, kPackage);
  given_upstream(holding(1, 20));
  given_measured_mirror();
  wait_until_durable(20);
  Subscriber subscriber = subscribe("?cursor=0");
  EXPECT_EQ(subscriber.read_frames(20).size(), 20U);
  given_prometheus();
  wait_for_value("up{job=\"standpipe\"}", "1");
  wait_for_value("standpipe_frames_total{outcome=\"accepted\",stream=\"repos\"}", "20");
  wait_for_value("sum(standpipe_subscribers)", "1");
  upstream().append(upstream_frames(21, 30));
  wait_until_durable(30);
  wait_for_value("standpipe_frames_total{outcome=\"accepted\",stream=\"repos\"}", "30");
  // Every rule was evaluated, and none failed.
  const json rules = wait_for_answer("/api/v1/rules", [](const json& data) {
    if (data["groups"].size() != 1) return false;
    for (const json& rule : data["groups"][0]["rules"]) {
      if (rule["health"] == "unknown") return false;
    }
    return true;
  });
  for (const json& rule : rules["groups"][0]["rules"]) {
    EXPECT_EQ(rule["health"], "ok") << rule["name"] << ": " << rule["lastError"];
  }
  EXPECT_GE(rules["groups"][0]["rules"].size(), 15U);
}

}  // namespace
}  // namespace standpipe::test
