#include "tools/cli_pages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace standpipe::tools {
namespace {

// Text as man(7) takes it: a line that begins with a dot or a quote would be a request, and a
// hyphen may become one that cannot be copied.
std::string roff(std::string_view text) {
  std::string safe;
  bool is_at_line_start = true;
  for (const char c : text) {
    if (is_at_line_start && (c == '.' || c == '\'')) safe += "\\&";
    if (c == '\\') {
      safe += "\\e";
    } else if (c == '-') {
      safe += "\\-";
    } else {
      safe += c;
    }
    is_at_line_start = c == '\n';
  }
  return safe;
}

void add_option(std::string& page, const OptionSpec& spec) {
  page += ".TP\n";
  if (spec.is_positional) {
    page += fmt::format("\\fI{}\\fR{}\n", roff(spec.name), spec.is_repeatable ? " ..." : "");
  } else if (spec.value_name.empty()) {
    page += fmt::format("\\fB\\-\\-{}\\fR\n", roff(spec.name));
  } else {
    page += fmt::format("\\fB\\-\\-{}\\fR \\fI{}\\fR\n", roff(spec.name), roff(spec.value_name));
  }
  page += roff(spec.help);
  if (spec.values_min > 0) page += " (required)";
  page += ".\n";
}

// Verbs of two words share their first: the second is completed behind it.
std::vector<std::string> first_words(const std::vector<const Verb*>& verbs) {
  std::vector<std::string> words;
  for (const Verb* verb : verbs) {
    std::string word = verb->name.substr(0, verb->name.find(' '));
    if (std::find(words.begin(), words.end(), word) == words.end()) {
      words.push_back(std::move(word));
    }
  }
  return words;
}

std::string options_of(const Verb& verb) {
  std::string words;
  for (const OptionSpec& spec : verb.options.specs()) {
    if (!spec.is_positional) words += fmt::format("--{} ", spec.name);
  }
  return words + "--help";
}

// "off|structure|full": the values that there are; else empty.
std::string choices_of(const OptionSpec& spec) {
  if (spec.value_name.find('|') == std::string::npos) return "";
  std::string words = spec.value_name;
  std::replace(words.begin(), words.end(), '|', ' ');
  return words;
}

bool wants_directory(const OptionSpec& spec) { return spec.value_name == "DIR"; }

// In single quotes.
std::string quoted(std::string_view text) {
  std::string safe;
  for (const char c : text) safe += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return safe;
}

std::string zsh_option(const OptionSpec& spec) {
  // A colon or a bracket would end the description.
  std::string help;
  for (const char c : quoted(spec.help)) {
    if (c == '[' || c == ']' || c == ':') help += '\\';
    help += c;
  }
  const std::string name =
      fmt::format("{}--{}[{}]", spec.is_repeatable ? "*" : "", spec.name, help);
  if (spec.value_name.empty()) return fmt::format("'{}'", name);
  std::string values = " ";
  if (const std::string choices = choices_of(spec); !choices.empty()) {
    values = fmt::format("({})", choices);
  } else if (wants_directory(spec)) {
    values = "_files -/";
  } else if (spec.value_name == "FILE") {
    values = "_files";
  }
  return fmt::format("'{}:{}:{}'", name, "value", values);
}

}  // namespace

std::string manual_page(std::string_view version, const std::vector<const Verb*>& verbs) {
  std::string page = fmt::format(
      ".TH STANDPIPE 1 \"\" \"standpipe {}\" \"User Commands\"\n"
      ".SH NAME\nstandpipe \\- archive and replay server for the atproto firehose\n"
      ".SH SYNOPSIS\n\\fBstandpipe\\fR \\fIVERB\\fR [\\fIOPTION\\fR ...]\n"
      ".SH DESCRIPTION\n"
      "Keeps every frame of a relay, PDS or labeler stream byte for byte, and gives the stream "
      "back\n"
      "from any cursor.\n.PP\n"
      "Every option may also be given as \\fBSTANDPIPE_<OPTION>\\fR in the environment, or as a "
      "key\n"
      "of the TOML file of \\fB\\-\\-config\\fR. The command line counts first, then the "
      "environment.\n",
      version);
  page += ".SH VERBS\n";
  for (const Verb* verb : verbs) {
    page += fmt::format(".SS \"standpipe {}\"\n{}.\n", roff(verb->name), roff(verb->summary));
    for (const OptionSpec& spec : verb->options.specs()) add_option(page, spec);
    page += fmt::format(".PP\nExamples:\n.PP\n.nf\n.RS\n{}\n.RE\n.fi\n", roff(verb->examples));
  }
  page +=
      ".SH EXIT STATUS\n0: done; 1: it failed, or not all of it was done; 2: what was asked for "
      "makes no sense.\n"
      ".SH FILES\n.TP\n\\fI/etc/standpipe/standpipe.toml\\fR\nOptions of the service.\n"
      ".TP\n\\fI/var/lib/standpipe/archive\\fR\nThe archive of the service.\n";
  return page;
}

std::string bash_completion(const std::vector<const Verb*>& verbs) {
  std::string script =
      "# Completion for standpipe in bash.\n"
      "_standpipe() {\n"
      "  local word=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local verb=\"${COMP_WORDS[1]}\"\n"
      "  COMPREPLY=()\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n";
  script += fmt::format(
      "    mapfile -t COMPREPLY < <(compgen -W \"{} --help --version\" -- \"$word\")\n"
      "    return\n  fi\n  case \"$verb\" in\n",
      fmt::join(first_words(verbs), " "));
  for (const Verb* verb : verbs) {
    const std::size_t space = verb->name.find(' ');
    const std::string first = verb->name.substr(0, space);
    script += fmt::format("    {})\n", first);
    if (space != std::string::npos) {
      script +=
          fmt::format("      if [ \"$COMP_CWORD\" -eq 2 ]; then COMPREPLY=(\"{}\"); return; fi\n",
                      verb->name.substr(space + 1));
    }
    script += "      case \"$before\" in\n";
    for (const OptionSpec& spec : verb->options.specs()) {
      if (spec.is_positional || spec.value_name.empty()) continue;
      const std::string choices = choices_of(spec);
      if (!choices.empty()) {
        script += fmt::format(
            "        --{}) mapfile -t COMPREPLY < <(compgen -W \"{}\" -- \"$word\"); return ;;\n",
            spec.name, choices);
      } else {
        script += fmt::format("        --{}) compopt -o default; return ;;\n", spec.name);
      }
    }
    script += fmt::format(
        "      esac\n"
        "      if [[ $word == -* ]]; then\n"
        "        mapfile -t COMPREPLY < <(compgen -W \"{}\" -- \"$word\")\n"
        "      else\n        compopt -o default\n      fi ;;\n",
        options_of(*verb));
  }
  return script + "  esac\n}\ncomplete -F _standpipe standpipe\n";
}

std::string zsh_completion(const std::vector<const Verb*>& verbs) {
  std::string script = "#compdef standpipe\n_standpipe() {\n  local -a verbs\n  verbs=(\n";
  for (const Verb* verb : verbs) {
    std::string summary;
    for (const char c : quoted(verb->summary)) {
      if (c == ':') summary += '\\';
      summary += c;
    }
    script += fmt::format("    '{}:{}'\n", verb->name.substr(0, verb->name.find(' ')), summary);
  }
  script +=
      "  )\n  if (( CURRENT == 2 )); then _describe verb verbs; return; fi\n"
      "  local verb=\"$words[2]\"\n  shift words\n  (( CURRENT-- ))\n  case \"$verb\" in\n";
  for (const Verb* verb : verbs) {
    const std::size_t space = verb->name.find(' ');
    script += fmt::format("    {})\n      _arguments", verb->name.substr(0, space));
    if (space != std::string::npos) {
      script += fmt::format(" '1:verb:({})'", verb->name.substr(space + 1));
    }
    for (const OptionSpec& spec : verb->options.specs()) {
      if (!spec.is_positional) script += " \\\n        " + zsh_option(spec);
    }
    script += " \\\n        '*:file:_files' ;;\n";
  }
  return script + "  esac\n}\n_standpipe \"$@\"\n";
}

}  // namespace standpipe::tools
