// Debian's Chromium without a window, driven as its developer tools do: a page as its readers get
// it, with all that the browser itself forbids.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/subscriber.h"
#include "tests/support/temp_dir.h"

namespace standpipe::test {

inline constexpr const char* kChromium = "/usr/bin/chromium";

struct BrowserOptions {
  int width = 1000, height = 900;  // CSS pixels
  bool is_dark = false;            // prefers-color-scheme
};

// One page. One thread. What does not happen within kTestDeadline throws std::runtime_error.
class Browser {
 public:
  explicit Browser(const BrowserOptions& options = {});
  ~Browser();
  Browser(const Browser&) = delete;
  Browser& operator=(const Browser&) = delete;

  void open(const std::string& url);
  // The value of an expression of JavaScript in the page.
  nlohmann::json evaluate(const std::string& expression);
  // Until the expression is true.
  void wait_for(const std::string& expression);
  void save_screenshot(const std::filesystem::path& path);  // PNG, of the whole page
  // What the page, or the browser on its behalf, has complained of: errors, forbidden resources.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  nlohmann::json call(const std::string& method,
                      nlohmann::json parameters = nlohmann::json::object());

  TempDir dir_;  // its profile
  std::unique_ptr<Process> process_;
  std::optional<Subscriber> tools_;  // the WebSocket of the page's developer tools
  int calls_ = 0;
  std::vector<std::string> complaints_;
};

}  // namespace standpipe::test
