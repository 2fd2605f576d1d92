#include <utility>

#include "tools/mirror_options.h"
#include "tools/verbs.h"

namespace standpipe::tools {

Verb mirror_verb(std::string_view version) {
  MirrorVerb verb;
  verb.name = "mirror";
  verb.summary = "Archive upstreams and serve them again, from any cursor, in one process";
  verb.examples =
      "  standpipe mirror --data /srv/standpipe --upstream bsky.network --from newest\n"
      "  standpipe mirror --data ./data --upstream ws://127.0.0.1:2583 --listen 127.0.0.1:2480\n"
      "  standpipe mirror --data ./data --upstream west=relay1.us-west.bsky.network \\\n"
      "      --labeler mod.bsky.app --listen '[::1]:2480' --max-egress 100MB\n"
      "  standpipe mirror --data ./data --upstream bsky.network --labeler mod.bsky.app \\\n"
      "      --retain-age 14d --retain-bytes 2TiB --retain mod.bsky.app=all\n"
      "  standpipe mirror --data ./data-simulated --upstream sim:rate=50 --labeler sim:rate=50\n"
      "  standpipe mirror --data ./data    (goes on with the upstreams of the archive)\n";
  verb.version = version;
  return make_mirror_verb(std::move(verb));
}

Verb archive_verb(std::string_view version) {
  MirrorVerb verb;
  verb.name = "archive";
  verb.summary = "Archive upstreams, and serve nobody";
  verb.examples =
      "  standpipe archive --data /srv/standpipe --upstream bsky.network --from newest\n"
      "  standpipe archive --data ./data --upstream ws://127.0.0.1:2583 --from 31527015322\n";
  verb.version = version;
  verb.serves = false;
  return make_mirror_verb(std::move(verb));
}

Verb serve_verb(std::string_view version) {
  MirrorVerb verb;
  verb.name = "serve";
  verb.summary = "Serve an archive that nobody writes to: the same bytes to everybody, each time";
  verb.examples =
      "  standpipe serve --data /srv/standpipe\n"
      "  standpipe serve --data ./data --listen 127.0.0.1:0 --ready-file ready.json\n";
  verb.version = version;
  verb.archives = false;
  return make_mirror_verb(std::move(verb));
}

}  // namespace standpipe::tools
