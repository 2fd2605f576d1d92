// The verbs of the program: tools/verb_<name>.cc; the two halves of `mirror` stand beside it.
#pragma once

#include <string_view>

#include "tools/cli.h"

namespace standpipe::tools {

// `version` is told to upstreams and subscribers, here and below.
Verb mirror_verb(std::string_view version);
Verb archive_verb(std::string_view version);
Verb serve_verb(std::string_view version);
Verb import_verb();
Verb export_verb();
Verb inspect_verb();
Verb verify_verb(std::string_view version);
Verb tail_verb(std::string_view version);
Verb epoch_new_verb();
Verb backup_verb();
Verb restore_verb();
Verb repair_verb();
Verb simulate_verb(std::string_view version);
Verb play_verb();

}  // namespace standpipe::tools
