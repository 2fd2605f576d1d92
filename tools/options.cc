#include "tools/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "tools/values.h"

namespace standpipe::tools {
namespace {

// An option with one value, parsed by `parse` and stored in `target`.
template <typename Target, typename Parse>
OptionSpec parsed(std::string name, std::string value_name, Target* target, std::string help,
                  Parse parse) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.value_name = std::move(value_name);
  spec.help = std::move(help);
  spec.take = [target, parse](std::string_view text) -> Result<void> {
    auto value = parse(text);
    if (!value) return value.error();
    *target = std::move(*value);
    return {};
  };
  return spec;
}

Result<bool> parse_flag(std::string_view text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return Error{Errc::invalid, fmt::format("'{}' is neither true nor false", text)};
}

Result<std::string> parse_text(std::string_view text) {
  if (text.empty()) return Error{Errc::invalid, "must not be empty"};
  return std::string(text);
}

}  // namespace

void OptionTable::flag(std::string name, bool* target, std::string help) {
  add(parsed(std::move(name), "", target, std::move(help), parse_flag));
}

void OptionTable::text(std::string name, std::string value_name, std::string* target,
                       std::string help) {
  add(parsed(std::move(name), std::move(value_name), target, std::move(help), parse_text));
}

void OptionTable::list(std::string name, std::string value_name, std::vector<std::string>* target,
                       std::string help) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.value_name = std::move(value_name);
  spec.help = std::move(help);
  spec.is_repeatable = true;
  spec.take = [target](std::string_view text) -> Result<void> {
    STANDPIPE_TRY(std::string value, parse_text(text));
    target->push_back(std::move(value));
    return {};
  };
  add(std::move(spec));
}

void OptionTable::size(std::string name, std::uint64_t* target, std::string help) {
  add(parsed(std::move(name), "SIZE", target, std::move(help), parse_size));
}

void OptionTable::size(std::string name, std::optional<std::uint64_t>* target, std::string help) {
  add(parsed(std::move(name), "SIZE", target, std::move(help), parse_size));
}

void OptionTable::duration_ms(std::string name, std::int64_t* target, std::string help) {
  add(parsed(std::move(name), "DURATION", target, std::move(help), parse_duration_ms));
}

void OptionTable::duration_ms(std::string name, std::optional<std::int64_t>* target,
                              std::string help) {
  add(parsed(std::move(name), "DURATION", target, std::move(help), parse_duration_ms));
}

void OptionTable::time_ms(std::string name, std::optional<std::int64_t>* target, std::string help) {
  add(parsed(std::move(name), "TIME", target, std::move(help), parse_time_ms));
}

void OptionTable::seq(std::string name, std::optional<Seq>* target, std::string help) {
  add(parsed(std::move(name), "SEQ", target, std::move(help), parse_seq));
}

void OptionTable::count(std::string name, std::uint64_t* target, std::uint64_t min,
                        std::uint64_t max, std::string help) {
  add(parsed(std::move(name), "N", target, std::move(help),
             [min, max](std::string_view text) { return parse_count(text, min, max); }));
}

void OptionTable::count(std::string name, std::optional<std::uint64_t>* target, std::uint64_t min,
                        std::uint64_t max, std::string help) {
  add(parsed(std::move(name), "N", target, std::move(help),
             [min, max](std::string_view text) { return parse_count(text, min, max); }));
}

void OptionTable::choice(std::string name, std::vector<std::string> allowed, std::size_t* target,
                         std::string help) {
  std::string value_name = fmt::format("{}", fmt::join(allowed, "|"));
  add(parsed(std::move(name), std::move(value_name), target, std::move(help),
             [allowed](std::string_view text) -> Result<std::size_t> {
               for (std::size_t i = 0; i < allowed.size(); ++i) {
                 if (text == allowed[i]) return i;
               }
               return Error{Errc::invalid,
                            fmt::format("'{}' is not one of {}", text, fmt::join(allowed, ", "))};
             }));
}

void OptionTable::judged(std::string name, std::string value_name, Times times,
                         std::function<Result<void>(std::string_view)> take, std::string help) {
  OptionSpec spec;
  spec.name = std::move(name);
  spec.value_name = std::move(value_name);
  spec.help = std::move(help);
  spec.is_repeatable = times == Times::any;
  spec.take = std::move(take);
  add(std::move(spec));
}

void OptionTable::positional(std::string value_name, std::size_t values_min,
                             std::vector<std::string>* target, std::string help) {
  list(value_name, value_name, target, std::move(help));
  specs_.back().is_positional = true;
  specs_.back().values_min = values_min;
}

OptionTable& OptionTable::required() {
  specs_.back().values_min = 1;
  return *this;
}

}  // namespace standpipe::tools
