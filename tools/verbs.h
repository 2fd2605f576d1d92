// The verbs of the program, one file each: tools/verb_<name>.cc.
#pragma once

#include "tools/cli.h"

namespace standpipe::tools {

Verb import_verb();
Verb export_verb();
Verb inspect_verb();
Verb tail_verb();
Verb epoch_new_verb();

}  // namespace standpipe::tools
