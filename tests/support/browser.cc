#include "tests/support/browser.h"

#include <chrono>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "schema/multibase.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

void poll_until(const std::function<bool()>& holds, const std::string& what) {
  const auto deadline = std::chrono::steady_clock::now() + kTestDeadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      throw std::runtime_error("waited in vain for " + what);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

Browser::Browser(const BrowserOptions& options) {
  ProcessOptions process;
  process.program = kChromium;
  // Root has no sandbox to go into, and /dev/shm may be small.
  process_ = std::make_unique<Process>(
      std::vector<std::string>{"--headless", "--no-sandbox", "--disable-gpu",
                               "--disable-dev-shm-usage", "--no-first-run",
                               "--remote-debugging-port=0", "--hide-scrollbars",
                               "--user-data-dir=" + (dir_ / "profile").string(), "about:blank"},
      process);
  // Its first line is the port.
  const std::filesystem::path port_file = dir_ / "profile/DevToolsActivePort";
  int port = 0;
  poll_until([&] { return static_cast<bool>(std::ifstream(port_file) >> port); },
             "the browser: " + process_->error_text());
  std::string page;
  poll_until(
      [&] {
        const HttpReply reply = http_get(static_cast<std::uint16_t>(port), "/json/list");
        for (const json& one : json::parse(reply.body, nullptr, false)) {
          if (one["type"] == "page") page = "/devtools/page/" + one["id"].get<std::string>();
        }
        return !page.empty();
      },
      "its page");
  tools_.emplace(Subscriber::connect(static_cast<std::uint16_t>(port), page));
  call("Page.enable");
  call("Runtime.enable");
  call("Log.enable");
  call("Emulation.setDeviceMetricsOverride", {{"width", options.width},
                                              {"height", options.height},
                                              {"deviceScaleFactor", 1},
                                              {"mobile", options.width < 600}});
  call("Emulation.setEmulatedMedia",
       {{"features",
         {{{"name", "prefers-color-scheme"}, {"value", options.is_dark ? "dark" : "light"}}}}});
}

Browser::~Browser() {
  try {
    call("Browser.close");
    process_->wait();
  } catch (const std::exception&) {
    process_.reset();  // killed
  }
}

json Browser::call(const std::string& method, json parameters) {
  const int id = ++calls_;
  tools_->send_text(json{{"id", id}, {"method", method}, {"params", std::move(parameters)}}.dump());
  for (;;) {
    const Received received = tools_->next();
    const auto* const text = std::get_if<TextMessage>(&received);
    if (text == nullptr) throw std::runtime_error(method + ": " + describe(received));
    const json said = json::parse(text->text, nullptr, false);
    if (said.value("id", 0) == id) {
      if (said.contains("error")) throw std::runtime_error(method + ": " + said.dump());
      return said["result"];
    }
    const std::string event = said.value("method", "");
    if (event == "Runtime.exceptionThrown" || event == "Log.entryAdded") {
      complaints_.push_back(said["params"].dump());
    }
  }
}

void Browser::open(const std::string& url) { call("Page.navigate", {{"url", url}}); }

json Browser::evaluate(const std::string& expression) {
  const json result =
      call("Runtime.evaluate", {{"expression", expression}, {"returnByValue", true}});
  if (result.contains("exceptionDetails")) {
    throw std::runtime_error(expression + ": " + result["exceptionDetails"].dump());
  }
  return result["result"].value("value", json());
}

void Browser::wait_for(const std::string& expression) {
  poll_until([&] { return evaluate(expression) == true; }, expression);
}

void Browser::save_screenshot(const std::filesystem::path& path) {
  const json shot =
      call("Page.captureScreenshot", {{"format", "png"}, {"captureBeyondViewport", true}});
  const Bytes png = parse_base64(shot["data"].get<std::string>()).value();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(png.data()), static_cast<std::streamsize>(png.size()));
}

}  // namespace standpipe::test
