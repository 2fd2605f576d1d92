#include <cstdio>
#include <exception>

#include "tools/cli.h"
#include "tools/verbs.h"

int main(int argc, char** argv) {
  using namespace standpipe::tools;
  try {
    return run_cli(argc, argv, STANDPIPE_VERSION,
                   {mirror_verb(STANDPIPE_VERSION), archive_verb(STANDPIPE_VERSION),
                    serve_verb(STANDPIPE_VERSION), import_verb(), export_verb(),
                    verify_verb(STANDPIPE_VERSION), inspect_verb(), tail_verb(STANDPIPE_VERSION),
                    epoch_new_verb(), backup_verb(), restore_verb(), repair_verb(),
                    simulate_verb(STANDPIPE_VERSION), play_verb()});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "standpipe: %s\n", error.what());
    return kExitFailed;
  }
}
