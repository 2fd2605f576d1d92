#include "tools/config_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <optional>
#include <sstream>

#include "tools/ready_file.h"

namespace standpipe::tools {
namespace {

std::optional<std::string> to_value(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* flag = node.as_boolean()) return std::string(flag->get() ? "true" : "false");
  if (const auto* time = node.as_date_time()) {
    std::ostringstream out;
    out << time->get();
    return out.str();
  }
  return std::nullopt;
}

class Collector {
 public:
  explicit Collector(const std::filesystem::path& path) : path_(path) {}

  Result<void> collect(const toml::table& table, const std::string& verb) {
    for (const auto& [key, node] : table) {
      const std::string name(key.str());
      if (const toml::table* inner = node.as_table()) {
        STANDPIPE_CHECK(collect(*inner, verb.empty() ? name : verb + " " + name));
        continue;
      }
      ConfigEntry entry{verb, name, {}, static_cast<int>(node.source().begin.line)};
      STANDPIPE_CHECK(collect_values(node, entry));
      entries.push_back(std::move(entry));
    }
    return {};
  }

  std::vector<ConfigEntry> entries;

 private:
  Result<void> collect_values(const toml::node& node, ConfigEntry& entry) const {
    if (const toml::array* array = node.as_array()) {
      for (const toml::node& item : *array) STANDPIPE_CHECK(collect_value(item, entry));
      return {};
    }
    return collect_value(node, entry);
  }

  Result<void> collect_value(const toml::node& node, ConfigEntry& entry) const {
    std::optional<std::string> value = to_value(node);
    if (!value) {
      return Error{Errc::invalid,
                   fmt::format("{}:{}: '{}' must be a string, a whole number, true or false, a "
                               "time, or a list of these",
                               path_.string(), entry.line, entry.key)};
    }
    entry.values.push_back(std::move(*value));
    return {};
  }

  const std::filesystem::path& path_;
};

}  // namespace

Result<std::vector<ConfigEntry>> read_config_file(const std::filesystem::path& path) {
  constexpr std::size_t kBytesMax = 1 << 20;
  STANDPIPE_TRY(const std::string text,
                read_whole_file(path.string(), kBytesMax, "--config " + path.string()));
  try {
    const toml::table table = toml::parse(text, path.string());
    Collector collector(path);
    STANDPIPE_CHECK(collector.collect(table, ""));
    return std::move(collector.entries);
  } catch (const toml::parse_error& error) {
    return Error{Errc::invalid, fmt::format("{}:{}: not TOML: {}", path.string(),
                                            error.source().begin.line, error.description())};
  }
}

}  // namespace standpipe::tools
