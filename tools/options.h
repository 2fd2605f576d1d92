// What a verb accepts: its options, where their values go, and how they are judged.
//
// A verb declares its options once; the command line, the environment (STANDPIPE_<OPTION>) and the
// TOML file of --config all come through the same table, so all three judge a value alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"
#include "schema/seq.h"

namespace standpipe::tools {

struct OptionSpec {
  std::string name;        // without dashes: "min-free"
  std::string value_name;  // "SIZE"; empty: a flag, whose value is "true" or "false"
  std::string help;
  bool is_repeatable = false;
  bool is_positional = false;
  std::size_t values_min = 0;  // required that often, from whatever source
  // Called once per value, in order. An error says what is allowed; the caller adds the place.
  std::function<Result<void>(std::string_view)> take;
};

// Targets must outlive the table's use; each keeps its value where the option is not given.
class OptionTable {
 public:
  void flag(std::string name, bool* target, std::string help);
  void text(std::string name, std::string value_name, std::string* target, std::string help);
  void list(std::string name, std::string value_name, std::vector<std::string>* target,
            std::string help);
  void size(std::string name, std::uint64_t* target, std::string help);
  void size(std::string name, std::optional<std::uint64_t>* target, std::string help);
  void duration_ms(std::string name, std::int64_t* target, std::string help);
  void duration_ms(std::string name, std::optional<std::int64_t>* target, std::string help);
  void time_ms(std::string name, std::optional<std::int64_t>* target, std::string help);
  void seq(std::string name, std::optional<Seq>* target, std::string help);
  void count(std::string name, std::uint64_t* target, std::uint64_t min, std::uint64_t max,
             std::string help);
  void count(std::string name, std::optional<std::uint64_t>* target, std::uint64_t min,
             std::uint64_t max, std::string help);
  // One of `allowed`; the index of the chosen one is stored.
  void choice(std::string name, std::vector<std::string> allowed, std::size_t* target,
              std::string help);
  // Whatever `take` makes of a value: as OptionSpec has it.
  enum class Times : std::uint8_t { once, any };
  void judged(std::string name, std::string value_name, Times times,
              std::function<Result<void>(std::string_view)> take, std::string help);
  // What stands without a name. At most one per verb.
  void positional(std::string value_name, std::size_t values_min, std::vector<std::string>* target,
                  std::string help);

  // The option declared last must be given.
  OptionTable& required();

  const std::vector<OptionSpec>& specs() const { return specs_; }

 private:
  void add(OptionSpec spec) { specs_.push_back(std::move(spec)); }

  std::vector<OptionSpec> specs_;
};

}  // namespace standpipe::tools
