// What is made of the table of verbs beside --help: a manual page, and completion for shells.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/cli.h"

namespace standpipe::tools {

// For man(1), section 1, in the macros of man(7).
std::string manual_page(std::string_view version, const std::vector<const Verb*>& verbs);

// To be sourced by the shell, or put where it looks for such.
std::string bash_completion(const std::vector<const Verb*>& verbs);
std::string zsh_completion(const std::vector<const Verb*>& verbs);

}  // namespace standpipe::tools
