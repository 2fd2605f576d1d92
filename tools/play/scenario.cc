#include "tools/play/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <variant>

#include "tools/play/scenario_text.h"

namespace standpipe::tools::play {
namespace {

using nlohmann::json;

constexpr std::int64_t kSeqsMax = (std::int64_t{1} << 53) - 1;
constexpr std::int64_t kCountMax = 1'000'000'000'000;
constexpr std::size_t kTextBytesMax = 65'536;
constexpr std::size_t kNameBytesMax = 200;
constexpr std::size_t kReasonBytesMax = 123;  // RFC 6455: a close frame has 125, two are the code
constexpr std::int64_t kConnectionsMax = 100'000;
constexpr std::size_t kConnectionsListed = 1'000;

struct IntegerRule {
  std::int64_t Fault::*target;
  std::int64_t min;
  std::int64_t max;
  std::vector<std::int64_t> but = {};  // not these
};
struct TextRule {
  std::string Fault::*target;
  std::size_t bytes_max = kTextBytesMax;
  std::vector<std::string> choices = {};  // none: anything
};
struct FlagRule {
  bool Fault::*target;
};
struct KeyRule {
  std::string_view name;
  std::variant<IntegerRule, TextRule, FlagRule> value;
  bool is_required = false;
};

enum class Placing : std::uint8_t { connection, between, frame, either };
struct KindRule {
  FaultKind kind;
  std::string_view name;
  Placing placing;
  std::vector<KeyRule> keys;
};

// The language. docs/fixtures.md says what each means.
const std::vector<KindRule>& rules() {
  using K = FaultKind;
  using P = Placing;
  static const std::vector<KindRule> table = {
      {K::cut,
       "cut",
       P::either,
       {{"byte", IntegerRule{&Fault::byte, 0, kOversizeMax, {}}},
        {"how", TextRule{&Fault::how, kTextBytesMax, {"fin", "reset"}}}}},
      {K::close,
       "close",
       P::between,
       {{"code", IntegerRule{&Fault::code, 1000, 4999, {}}},
        {"reason", TextRule{&Fault::reason, kReasonBytesMax, {}}}}},
      {K::stall, "stall", P::between, {{"pongs", FlagRule{&Fault::pongs}}}},
      {K::delay, "delay", P::between, {{"ms", IntegerRule{&Fault::ms, 1, 3'600'000, {}}, true}}},
      {K::repeat,
       "repeat",
       P::between,
       {{"from_seq", IntegerRule{&Fault::from_seq, 1, kSeqsMax, {}}, true}}},
      {K::text, "text", P::between, {{"text", TextRule{&Fault::text}}}},
      {K::error,
       "error",
       P::between,
       {{"error", TextRule{&Fault::error, kReasonBytesMax, {}}},
        {"message", TextRule{&Fault::message}},
        {"ends", TextRule{&Fault::ends, kTextBytesMax, {"close", "cut", "open"}}}}},
      {K::info,
       "info",
       P::between,
       {{"info", TextRule{&Fault::info}}, {"message", TextRule{&Fault::message}}}},
      {K::duplicate, "duplicate", P::frame, {{"times", IntegerRule{&Fault::times, 1, 1000, {}}}}},
      {K::skip, "skip", P::frame, {}},
      {K::swap, "swap", P::frame, {}},
      {K::corrupt,
       "corrupt",
       P::frame,
       {{"byte", IntegerRule{&Fault::byte, 0, kOversizeMax, {}}, true},
        {"mask", IntegerRule{&Fault::mask, 1, 255, {}}}}},
      {K::truncate,
       "truncate",
       P::frame,
       {{"bytes", IntegerRule{&Fault::bytes, 0, kOversizeMax, {}}, true}}},
      {K::oversize,
       "oversize",
       P::frame,
       {{"bytes", IntegerRule{&Fault::bytes, kOversizeMin, kOversizeMax, {}}}}},
      {K::unknown_type, "unknown_type", P::frame, {{"type", TextRule{&Fault::type, 200, {}}}}},
      {K::unknown_op,
       "unknown_op",
       P::frame,
       {{"op", IntegerRule{&Fault::op, -kSeqsMax, kSeqsMax, {1, -1}}}}},
      {K::seq_reset,
       "seq_reset",
       P::frame,
       {{"to_seq", IntegerRule{&Fault::to_seq, 1, kSeqsMax, {}}}}},
      {K::window,
       "window",
       P::connection,
       {{"oldest", IntegerRule{&Fault::oldest, 1, kSeqsMax, {}}, true}}},
      {K::status,
       "status",
       P::connection,
       {{"status", IntegerRule{&Fault::status, 200, 599, {}}, true},
        {"retry_after", IntegerRule{&Fault::retry_after, 0, 86'400, {}}},
        {"body", TextRule{&Fault::body}}}},
      {K::redirect,
       "redirect",
       P::connection,
       {{"status", IntegerRule{&Fault::status, 300, 399, {}}},
        {"to", TextRule{&Fault::to, 2000, {}}}}},
      {K::no_pong, "no_pong", P::connection, {}},
  };
  return table;
}

struct PlaceKey {
  std::string_view name;
  FaultPlace::By by;
  std::int64_t min;
  std::int64_t max;
};
constexpr PlaceKey kPlaceKeys[] = {
    {"after", FaultPlace::By::after, 0, kCountMax},
    {"after_seq", FaultPlace::By::after_seq, 1, kSeqsMax},
    {"frame", FaultPlace::By::frame, 1, kCountMax},
    {"seq", FaultPlace::By::seq, 1, kSeqsMax},
};

bool is_between(FaultPlace::By by) {
  return by == FaultPlace::By::after || by == FaultPlace::By::after_seq;
}

bool may_have(Placing placing, FaultPlace::By by) {
  return placing == Placing::either || (placing == Placing::between && is_between(by)) ||
         (placing == Placing::frame && !is_between(by));
}

std::string places_of(Placing placing) {
  if (placing == Placing::between) return "after or after_seq";
  if (placing == Placing::frame) return "frame or seq";
  return "after or after_seq; or frame or seq, with byte";
}

// Keys and values of others, short enough for one line.
std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// One table of the scenario. Errors begin with what was read of it.
class FaultParser {
 public:
  FaultParser(const json& table, std::size_t number, const std::string& file)
      : table_(table), where_(fmt::format("{}: fault {}", file, number)) {}

  Result<Fault> parse() {
    if (!table_.is_object()) return error("must be a table");
    STANDPIPE_TRY(rule_, find_rule());
    where_ += fmt::format(" ({})", rule_->name);
    fault_.kind = rule_->kind;
    STANDPIPE_CHECK(check_keys());
    if (table_.contains("name"))
      STANDPIPE_CHECK(take_text("name", {&Fault::name, kNameBytesMax, {}}));
    STANDPIPE_CHECK(take_connections());
    STANDPIPE_CHECK(take_place());
    for (const KeyRule& key : rule_->keys) STANDPIPE_CHECK(take(key));
    STANDPIPE_CHECK(check_together());
    return std::move(fault_);
  }

 private:
  Error error(const std::string& what) const {
    return Error{Errc::invalid, fmt::format("{}: {}", where_, what)};
  }

  Result<const KindRule*> find_rule() const {
    std::vector<std::string_view> names;
    for (const KindRule& rule : rules()) names.push_back(rule.name);
    const std::string allowed = fmt::format("{}", fmt::join(names, ", "));
    if (!table_.contains("kind")) return error("kind is missing: one of " + allowed);
    for (const KindRule& rule : rules()) {
      if (table_["kind"] == rule.name) return &rule;
    }
    return error(fmt::format("kind: {} is not one of {}", shown(table_["kind"]), allowed));
  }

  Result<void> check_keys() const {
    std::vector<std::string_view> allowed = {"kind", "name", "connection"};
    if (rule_->placing != Placing::connection) {
      for (const PlaceKey& key : kPlaceKeys) {
        if (may_have(rule_->placing, key.by)) allowed.push_back(key.name);
      }
    }
    for (const KeyRule& key : rule_->keys) allowed.push_back(key.name);
    for (const auto& [key, value] : table_.items()) {
      if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
      return error(fmt::format("{}: no such key of a {}, which may have {}", shown(key),
                               rule_->name, fmt::join(allowed, ", ")));
    }
    return {};
  }

  Result<std::int64_t> whole_number(std::string_view key, const json& value, std::int64_t min,
                                    std::int64_t max) const {
    const bool is_wrong = !value.is_number_integer() ||
                          (value.is_number_unsigned() &&
                           value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
    if (!is_wrong && value.get<std::int64_t>() >= min && value.get<std::int64_t>() <= max) {
      return value.get<std::int64_t>();
    }
    return error(
        fmt::format("{}: {} is not a whole number from {} to {}", key, shown(value), min, max));
  }

  Result<void> take(const KeyRule& key) {
    if (!table_.contains(key.name)) {
      if (!key.is_required) return {};
      const auto& rule = std::get<IntegerRule>(key.value);
      return error(
          fmt::format("{} is missing: a whole number from {} to {}", key.name, rule.min, rule.max));
    }
    if (const auto* rule = std::get_if<IntegerRule>(&key.value)) {
      return take_integer(key.name, *rule);
    }
    if (const auto* rule = std::get_if<TextRule>(&key.value)) return take_text(key.name, *rule);
    const json& value = table_[std::string(key.name)];
    if (!value.is_boolean()) {
      return error(fmt::format("{}: {} is not true or false", key.name, shown(value)));
    }
    fault_.*std::get<FlagRule>(key.value).target = value.get<bool>();
    return {};
  }

  Result<void> take_integer(std::string_view key, const IntegerRule& rule) {
    const json& value = table_[std::string(key)];
    STANDPIPE_TRY(const std::int64_t number, whole_number(key, value, rule.min, rule.max));
    if (std::find(rule.but.begin(), rule.but.end(), number) != rule.but.end()) {
      return error(fmt::format("{}: {} is a known one: any but {}", key, number,
                               fmt::join(rule.but, " and ")));
    }
    fault_.*rule.target = number;
    return {};
  }

  Result<void> take_text(std::string_view key, const TextRule& rule) {
    const json& value = table_[std::string(key)];
    if (!value.is_string() || value.get_ref<const std::string&>().size() > rule.bytes_max) {
      return error(fmt::format("{}: {} is not a string of up to {} bytes", key, shown(value),
                               rule.bytes_max));
    }
    const auto& text = value.get_ref<const std::string&>();
    const bool is_chosen =
        rule.choices.empty() ||
        std::find(rule.choices.begin(), rule.choices.end(), text) != rule.choices.end();
    if (!is_chosen) {
      return error(
          fmt::format("{}: {} is not one of {}", key, shown(value), fmt::join(rule.choices, ", ")));
    }
    fault_.*rule.target = text;
    return {};
  }

  Result<void> take_connections() {
    if (!table_.contains("connection")) return {};
    const json& value = table_["connection"];
    FaultConnections& connections = fault_.connections;
    if (value == "every") {
      connections.which = FaultConnections::Which::every;
      return {};
    }
    connections.which = FaultConnections::Which::listed;
    const bool is_list = value.is_array();
    if (is_list ? value.empty() || value.size() > kConnectionsListed : !value.is_number()) {
      return error(
          fmt::format("connection: {} is not a number from 1, a list of up to {} such "
                      "numbers, or \"every\"",
                      shown(value), kConnectionsListed));
    }
    for (const json& number : is_list ? value : json::array({value})) {
      STANDPIPE_TRY(const std::int64_t given,
                    whole_number("connection", number, 1, kConnectionsMax));
      connections.numbers.push_back(static_cast<std::uint64_t>(given));
    }
    std::sort(connections.numbers.begin(), connections.numbers.end());
    const auto end = std::unique(connections.numbers.begin(), connections.numbers.end());
    connections.numbers.erase(end, connections.numbers.end());
    return {};
  }

  Result<void> take_place() {
    if (rule_->placing == Placing::connection) return {};
    std::size_t given = 0;
    for (const PlaceKey& key : kPlaceKeys) {
      if (!may_have(rule_->placing, key.by) || !table_.contains(key.name)) continue;
      const json& value = table_[std::string(key.name)];
      STANDPIPE_TRY(fault_.place.at, whole_number(key.name, value, key.min, key.max));
      fault_.place.by = key.by;
      ++given;
    }
    if (given == 1) return {};
    return error(fmt::format("{} where it happens: exactly one of {}",
                             given == 0 ? "does not say" : "says twice",
                             places_of(rule_->placing)));
  }

  // What no key can be judged by alone.
  Result<void> check_together() {
    const bool has_byte = table_.contains("byte");
    if (fault_.kind == FaultKind::cut && has_byte == is_between(fault_.place.by)) {
      return error(has_byte ? "byte: goes with frame or seq, not with after or after_seq"
                            : "byte is missing: with frame or seq it says where in the frame");
    }
    if (fault_.kind == FaultKind::close && fault_.code < 0 && !fault_.reason.empty()) {
      return error("reason: needs a code, from 1000 to 4999");
    }
    if (fault_.kind == FaultKind::repeat && fault_.place.by == FaultPlace::By::after_seq &&
        fault_.from_seq > fault_.place.at) {
      return error(fmt::format("from_seq: {} is not an earlier seq: up to {}", fault_.from_seq,
                               fault_.place.at));
    }
    if (fault_.kind == FaultKind::redirect && fault_.status == 0) fault_.status = 307;
    if (fault_.kind == FaultKind::oversize && fault_.bytes < 0) fault_.bytes = kOversizeMin;
    // They end up in a header of HTTP.
    const auto is_line = [](char c) { return c >= ' ' && c <= '~'; };
    if (!std::all_of(fault_.to.begin(), fault_.to.end(), is_line)) {
      return error("to: is not a URL in printable ASCII");
    }
    return {};
  }

  const json& table_;
  std::string where_;
  const KindRule* rule_ = nullptr;
  Fault fault_;
};

}  // namespace

std::string_view to_string(FaultKind kind) {
  for (const KindRule& rule : rules()) {
    if (rule.kind == kind) return rule.name;
  }
  return "?";
}

Result<Scenario> parse_scenario(std::string_view text, ScenarioSyntax syntax,
                                const std::string& file) {
  if (text.size() > kScenarioBytesMax) {
    return Error{Errc::invalid, fmt::format("{}: larger than a scenario may be: {} bytes", file,
                                            kScenarioBytesMax)};
  }
  STANDPIPE_TRY(const json whole, syntax == ScenarioSyntax::json ? json_of_json(text, file)
                                                                 : json_of_toml(text, file));
  for (const auto& [key, value] : whole.items()) {
    if (key == "fault") continue;
    return Error{Errc::invalid, fmt::format("{}: {}: no such key; there is only 'fault', a list",
                                            file, shown(key))};
  }
  if (!whole.contains("fault") || !whole["fault"].is_array() || whole["fault"].empty()) {
    return Error{Errc::invalid,
                 fmt::format("{}: holds no list 'fault' with a table for each", file)};
  }
  if (whole["fault"].size() > kFaultsMax) {
    return Error{Errc::invalid, fmt::format("{}: more faults than {}", file, kFaultsMax)};
  }
  Scenario scenario;
  for (const json& table : whole["fault"]) {
    FaultParser parser(table, scenario.faults.size() + 1, file);
    STANDPIPE_TRY(Fault fault, parser.parse());
    scenario.faults.push_back(std::move(fault));
  }
  return scenario;
}

Result<Scenario> read_scenario(const std::string& path) {
  std::error_code ignored;
  const bool is_directory = std::filesystem::is_directory(path, ignored);
  std::ifstream file(path, std::ios::binary);
  if (is_directory || !file) {
    return Error{Errc::io, fmt::format("cannot read {}: {}", path,
                                       std::strerror(is_directory ? EISDIR : errno))};
  }
  std::string text(kScenarioBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  const bool is_json = std::filesystem::path(path).extension() == ".json";
  return parse_scenario(text, is_json ? ScenarioSyntax::json : ScenarioSyntax::toml, path);
}

std::string describe(const Fault& fault, std::size_t number) {
  if (fault.name.empty()) return fmt::format("fault {} ({})", number, to_string(fault.kind));
  return fmt::format("fault {} ({}, '{}')", number, to_string(fault.kind), fault.name);
}

}  // namespace standpipe::tools::play
