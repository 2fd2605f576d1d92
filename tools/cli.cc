#include "tools/cli.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "tools/cli_pages.h"
#include "tools/config_file.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

constexpr std::string_view kConfigOption = "config";

// A verb, and the strings that the command line gave to each of its options.
struct BoundVerb {
  Verb verb;
  CLI::App* app = nullptr;                      // of CLI11's tree
  std::vector<std::vector<std::string>> given;  // by option, in the order of the table
  std::vector<CLI::Option*> bound;              // likewise
};

std::string environment_name(std::string_view option) {
  std::string name = "STANDPIPE_";
  for (const char c : option) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

std::vector<std::string> option_names(const Verb& verb, std::string_view prefix) {
  std::vector<std::string> names;
  for (const OptionSpec& spec : verb.options.specs()) {
    if (!spec.is_positional) names.push_back(std::string(prefix) + spec.name);
  }
  return names;
}

// The parent of verbs of two words ("epoch" of "epoch new"), made when it is first asked for.
CLI::App* parent_verb(CLI::App& root, const std::string& name) {
  for (CLI::App* app : root.get_subcommands(nullptr)) {
    if (app->get_name() == name) return app;
  }
  CLI::App* parent = root.add_subcommand(name, fmt::format("see 'standpipe {} --help'", name));
  parent->allow_extras();
  return parent;
}

// Makes `verb` known to CLI11, below a parent for the first of two words.
void bind(CLI::App& root, BoundVerb& bound) {
  CLI::App* parent = &root;
  std::string name = bound.verb.name;
  if (const std::size_t space = name.find(' '); space != std::string::npos) {
    parent = parent_verb(root, name.substr(0, space));
    name = name.substr(space + 1);
  }
  bound.app = parent->add_subcommand(name, bound.verb.summary);
  bound.app->allow_extras();
  bound.app->footer(fmt::format(
      "Every option may also be given as STANDPIPE_<OPTION> in the environment, as in {},\n"
      "or as a key of the TOML file of --config. The command line counts first, then the "
      "environment.\n\nExamples:\n{}",
      environment_name(bound.verb.options.specs().front().name), bound.verb.examples));
  const auto& specs = bound.verb.options.specs();
  bound.given.resize(specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const OptionSpec& spec = specs[i];
    CLI::Option* option = nullptr;
    if (spec.value_name.empty()) {
      option = bound.app->add_flag("--" + spec.name, spec.help);
    } else if (spec.is_positional) {
      option = bound.app->add_option(spec.name, bound.given[i], spec.help);
    } else {
      option = bound.app->add_option("--" + spec.name, bound.given[i], spec.help);
      option->allow_extra_args(false)->type_name(spec.value_name);
    }
    bound.bound.push_back(option);
  }
}

Error in_place(std::string_view place, const Error& error) {
  return Error{error.code, fmt::format("{}: {}", place, error.detail)};
}

Result<void> take_all(const OptionSpec& spec, const std::vector<std::string>& values,
                      std::string_view place) {
  if (values.size() > 1 && !spec.is_repeatable) {
    return Error{Errc::invalid,
                 fmt::format("{}: given {} times, allowed once", place, values.size())};
  }
  for (const std::string& value : values) {
    if (auto taken = spec.take(value); !taken) return in_place(place, taken.error());
  }
  return {};
}

// Unknown verbs and keys anywhere in the file are errors, also for verbs that are not run: a typo
// must not wait for the day on which it matters.
Result<void> check_config(const std::vector<ConfigEntry>& entries,
                          const std::vector<BoundVerb>& verbs, std::string_view path) {
  for (const ConfigEntry& entry : entries) {
    std::vector<std::string> allowed;
    bool is_known_verb = entry.verb.empty();
    for (const BoundVerb& bound : verbs) {
      if (!entry.verb.empty() && bound.verb.name != entry.verb) continue;
      is_known_verb = true;
      for (std::string& name : option_names(bound.verb, "")) allowed.push_back(std::move(name));
    }
    std::erase(allowed, kConfigOption);
    std::sort(allowed.begin(), allowed.end());
    allowed.erase(std::unique(allowed.begin(), allowed.end()), allowed.end());
    if (!is_known_verb) {
      std::vector<std::string> names;
      for (const BoundVerb& bound : verbs) names.push_back(bound.verb.name);
      return Error{Errc::invalid, fmt::format("{}:{}: unknown table [{}]; allowed: {}", path,
                                              entry.line, entry.verb, fmt::join(names, ", "))};
    }
    if (std::find(allowed.begin(), allowed.end(), entry.key) == allowed.end()) {
      return Error{Errc::invalid,
                   fmt::format("{}:{}: unknown key '{}'{}; allowed: {}", path, entry.line,
                               entry.key, entry.verb.empty() ? "" : " in [" + entry.verb + "]",
                               fmt::join(allowed, ", "))};
    }
  }
  return {};
}

// The nearest table wins: [import] before what stands above all tables.
const ConfigEntry* find_entry(const std::vector<ConfigEntry>& entries, const std::string& verb,
                              const std::string& key) {
  const ConfigEntry* found = nullptr;
  for (const ConfigEntry& entry : entries) {
    if (entry.key != key) continue;
    if (entry.verb == verb) return &entry;
    if (entry.verb.empty()) found = &entry;
  }
  return found;
}

std::vector<std::string> given_values(const BoundVerb& bound, std::size_t option) {
  if (bound.bound[option]->count() == 0) return {};
  if (bound.verb.options.specs()[option].value_name.empty()) return {"true"};
  return bound.given[option];
}

Result<std::vector<ConfigEntry>> load_config(const BoundVerb& chosen,
                                             const std::vector<BoundVerb>& verbs,
                                             std::string& path) {
  const auto& specs = chosen.verb.options.specs();
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name != kConfigOption) continue;
    const std::vector<std::string> values = given_values(chosen, i);
    if (!values.empty()) path = values.back();
  }
  if (path.empty()) {
    if (const char* value = std::getenv("STANDPIPE_CONFIG")) path = value;
  }
  if (path.empty()) return std::vector<ConfigEntry>{};
  STANDPIPE_TRY(auto entries, read_config_file(path));
  STANDPIPE_CHECK(check_config(entries, verbs, path));
  return entries;
}

std::string missing(const OptionSpec& spec) {
  if (spec.is_positional) return fmt::format("{} is required", spec.name);
  return fmt::format(
      "--{} {} is required (or {} in the environment, or {} in the file of --config)", spec.name,
      spec.value_name, environment_name(spec.name), spec.name);
}

// Gives every option of the chosen verb the value of the nearest source.
Result<void> take_options(const BoundVerb& chosen, const std::vector<BoundVerb>& verbs) {
  std::string config_path;
  STANDPIPE_TRY(const auto config, load_config(chosen, verbs, config_path));
  const auto& specs = chosen.verb.options.specs();
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const OptionSpec& spec = specs[i];
    std::vector<std::string> values = given_values(chosen, i);
    std::string place = spec.is_positional ? spec.name : "--" + spec.name;
    if (values.empty() && !spec.is_positional) {
      const std::string variable = environment_name(spec.name);
      if (const char* value = std::getenv(variable.c_str()); value != nullptr && *value != '\0') {
        values.emplace_back(value);
        place = variable;
      } else if (const ConfigEntry* entry = find_entry(config, chosen.verb.name, spec.name)) {
        values = entry->values;
        place = fmt::format("{}:{}: {}", config_path, entry->line, entry->key);
      }
    }
    STANDPIPE_CHECK(take_all(spec, values, place));
    if (values.size() < spec.values_min) return Error{Errc::invalid, missing(spec)};
  }
  return {};
}

// What CLI11 could not place, as a sentence; empty if nothing is left.
std::string describe_extras(const BoundVerb& chosen) {
  const std::vector<std::string> extras = chosen.app->remaining();
  if (extras.empty()) return "";
  if (extras.front().rfind('-', 0) == 0) {
    return fmt::format("unknown option {}; allowed: {}", extras.front(),
                       fmt::join(option_names(chosen.verb, "--"), ", "));
  }
  return fmt::format("'{}' is one argument too many", extras.front());
}

int run_chosen(BoundVerb& chosen, const std::vector<BoundVerb>& verbs) {
  if (const std::string extras = describe_extras(chosen); !extras.empty()) {
    return fail_usage(chosen.verb.name, extras);
  }
  if (auto taken = take_options(chosen, verbs); !taken) {
    if (taken.error().code == Errc::io) return fail(chosen.verb.name, taken.error());
    return fail_usage(chosen.verb.name, taken.error().detail);
  }
  return chosen.verb.run();
}

int fail_without_verb(const CLI::App& root, const std::vector<BoundVerb>& verbs) {
  std::vector<std::string> names;
  for (const BoundVerb& bound : verbs) names.push_back(bound.verb.name);
  const std::vector<std::string> extras = root.remaining(true);
  return fail_usage("", extras.empty()
                            ? fmt::format("which verb? one of {}", fmt::join(names, ", "))
                            : fmt::format("unknown verb or option '{}'; verbs: {}", extras.front(),
                                          fmt::join(names, ", ")));
}

}  // namespace

int run_cli(int argc, const char* const* argv, std::string_view version, std::vector<Verb> verbs) {
  CLI::App root{"standpipe keeps every frame of an atproto firehose, byte for byte.", "standpipe"};
  root.set_version_flag("--version", fmt::format("standpipe {}", version));
  bool is_manual_wanted = false;
  root.add_flag("--manual", is_manual_wanted, "Print the manual page, for man -l");
  std::string shell;
  root.add_option("--completion", shell, "Print completion for this shell")
      ->type_name("bash|zsh")
      ->check(CLI::IsMember({"bash", "zsh"}));
  root.allow_extras();
  root.require_subcommand(0, 1);
  std::vector<BoundVerb> bound(verbs.size());
  std::string config_path;
  for (std::size_t i = 0; i < verbs.size(); ++i) {
    bound[i].verb = std::move(verbs[i]);
    bound[i].verb.options.text(std::string(kConfigOption), "FILE", &config_path,
                               "TOML file with options");
    bind(root, bound[i]);
  }
  try {
    root.parse(argc, argv);
  } catch (const CLI::Success& help) {  // --help, --version
    return finish_stdout("", root.exit(help) == 0 ? kExitOk : kExitUsage);
  } catch (const CLI::Error& error) {
    std::string verb;
    for (const BoundVerb& one : bound) {
      if (one.app->parsed()) verb = one.verb.name;
    }
    return fail_usage(verb, error.what());
  }
  for (BoundVerb& one : bound) {
    if (one.app->parsed()) return run_chosen(one, bound);
  }
  if (is_manual_wanted || !shell.empty()) {
    std::vector<const Verb*> all;
    for (const BoundVerb& one : bound) all.push_back(&one.verb);
    write_stdout(is_manual_wanted  ? manual_page(version, all)
                 : shell == "bash" ? bash_completion(all)
                                   : zsh_completion(all));
    return finish_stdout("", kExitOk);
  }
  return fail_without_verb(root, bound);
}

int fail(std::string_view verb, const Error& error) {
  // What the user did is said by the detail alone; what broke is worth its kind.
  const bool is_ours = error.code == Errc::corrupt || error.code == Errc::io;
  const std::string text = one_line(is_ours ? to_string(error) : error.detail);
  fmt::print(stderr, "standpipe{}{}: {}\n", verb.empty() ? "" : " ", verb, text);
  return kExitFailed;
}

int fail_usage(std::string_view verb, std::string_view detail) {
  const std::string name = verb.empty() ? "standpipe" : fmt::format("standpipe {}", verb);
  fmt::print(stderr, "{}: {}; see '{} --help'\n", name, one_line(detail), name);
  return kExitUsage;
}

bool write_stdout(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
}

int finish_stdout(std::string_view verb, int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  return fail(verb, Error{Errc::io, fmt::format("cannot write to standard output: {}",
                                                std::strerror(errno))});
}

}  // namespace standpipe::tools
