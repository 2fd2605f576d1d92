// The options of mirror, archive and serve: one table, of which each takes its half.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"
#include "storage/types.h"
#include "tools/cli.h"
#include "tools/mirror.h"

namespace standpipe::tools {

// A verb that runs a mirror, or a half of one.
struct MirrorVerb {
  std::string name, summary, examples, version;
  bool archives = true;
  bool serves = true;
};
Verb make_mirror_verb(MirrorVerb verb);

// "[NAME=]URL" as a stream of that kind, with the URL in its normal form. Without a name: `repos`,
// or the labeler's host. invalid: names what is allowed.
Result<storage::StreamSpec> parse_stream_option(std::string_view text, storage::StreamKind kind);

}  // namespace standpipe::tools
