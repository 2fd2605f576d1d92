#include "tests/support/metrics_fixture.h"

#include <chrono>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

namespace standpipe::test {

std::string with(const std::string& name,
                 const std::vector<std::pair<std::string, std::string>>& labels) {
  std::string text;
  for (const auto& [label, value] : labels) {
    text += (text.empty() ? "{" : ",") + label + "=\"" + value + "\"";
  }
  return name + text + (text.empty() ? "" : "}");
}

void MetricsFixture::given_measured_mirror(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--admin", "127.0.0.1:0"});
  given_mirror(std::move(arguments));
}

void MetricsFixture::given_measured_server(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--admin", "127.0.0.1:0"});
  given_server(std::move(arguments));
}

std::string MetricsFixture::metrics_text() const {
  const HttpReply reply = http_get(process().admin_port(), "/metrics");
  EXPECT_EQ(reply.status, 200) << reply.body;
  return reply.body;
}

Metrics MetricsFixture::metrics() const {
  Metrics all;
  std::istringstream lines(metrics_text());
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = line.rfind(' ');
    if (line.starts_with('#') || space == std::string::npos) continue;
    const bool is_new =
        all.emplace(line.substr(0, space), std::strtod(line.c_str() + space, nullptr)).second;
    EXPECT_TRUE(is_new) << line << " comes twice";
  }
  return all;
}

Metrics MetricsFixture::wait_for_metrics(const std::string& what,
                                         const std::function<bool(const Metrics&)>& holds) const {
  const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
  for (;;) {
    Metrics now = metrics();
    if (holds(now)) return now;
    if (std::chrono::steady_clock::now() >= deadline) {
      throw std::runtime_error("waited in vain for " + what + " in\n" + metrics_text() +
                               process().error_text());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

Metrics MetricsFixture::wait_for_metric(const std::string& name, double value) const {
  return wait_for_metrics(name + " " + std::to_string(value), [&](const Metrics& now) {
    const auto found = now.find(name);
    return found != now.end() && found->second == value;
  });
}

}  // namespace standpipe::test
