#include "tools/play/scenario_text.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <vector>

namespace standpipe::tools::play {
namespace {

using nlohmann::json;

constexpr int kDepthMax = 8;

// Parsers say more than fits a line, some of it with line breaks.
std::string one_short_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c >= 0 && (c < ' ' || c > '~'); }, ' ');
  return text.size() > 200 ? text.substr(0, 200) + "..." : text;
}

// A time has no use in a scenario, but what it is said to be instead should be seen.
json to_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    json object = json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value);
    return object;
  }
  if (const auto* array = node.as_array()) {
    json list = json::array();
    for (const toml::node& value : *array) list.push_back(to_json(value));
    return list;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* flag = node.as_boolean()) return flag->get();
  std::ostringstream out;
  node.visit([&out](const auto& value) {
    if constexpr (toml::is_date<decltype(value)> || toml::is_time<decltype(value)> ||
                  toml::is_date_time<decltype(value)>) {
      out << value.get();
    }
  });
  return json{{"time", out.str()}};
}

int depth_of(const toml::node& node, int limit) {
  if (limit == 0) return 0;
  int deepest = 0;
  if (const auto* table = node.as_table()) {
    for (const auto& [key, value] : *table) deepest = std::max(deepest, depth_of(value, limit - 1));
  } else if (const auto* array = node.as_array()) {
    for (const toml::node& value : *array) deepest = std::max(deepest, depth_of(value, limit - 1));
  } else {
    return 0;
  }
  return deepest + 1;
}

}  // namespace

Result<json> json_of_toml(std::string_view text, const std::string& file) {
  try {
    const toml::table table = toml::parse(text, file);
    if (depth_of(table, kDepthMax + 1) > kDepthMax) {
      return Error{Errc::invalid, fmt::format("{}: nests deeper than {}", file, kDepthMax)};
    }
    return to_json(table);
  } catch (const toml::parse_error& error) {
    return Error{Errc::invalid, fmt::format("{}:{}: not TOML: {}", file, error.source().begin.line,
                                            one_short_line(std::string(error.description())))};
  }
}

Result<json> json_of_json(std::string_view text, const std::string& file) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  std::string twice;
  bool is_too_deep = false;
  const auto watch = [&](int depth, json::parse_event_t event, const json& parsed) {
    if (depth > kDepthMax) is_too_deep = true;
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return !is_too_deep;
  };
  try {
    json whole = json::parse(text, watch);
    if (is_too_deep) {
      return Error{Errc::invalid, fmt::format("{}: nests deeper than {}", file, kDepthMax)};
    }
    if (!twice.empty()) {
      return Error{Errc::invalid,
                   fmt::format("{}: the key '{}' stands twice", file, one_short_line(twice))};
    }
    if (!whole.is_object()) {
      return Error{Errc::invalid, fmt::format("{}: is not an object with a list 'fault'", file)};
    }
    return whole;
  } catch (const json::exception& error) {
    return Error{Errc::invalid,
                 fmt::format("{}: not JSON: {}", file, one_short_line(error.what()))};
  }
}

}  // namespace standpipe::tools::play
