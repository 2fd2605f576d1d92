// All of it for a long time: a simulated network behind an upstream that goes wrong, a mirror that
// is killed and restarted, retention, backups, and subscribers of every kind. In the end the
// archive has to be the simulation, but for what retention took, and nobody may have got anything
// else.
//
// `./go soak HOURS`; in continuous integration some minutes. Traffic stays on 127.0.0.1.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "tests/soak/soak_run.h"

int main(int argc, char** argv) {
  using namespace standpipe::test;
  CLI::App app("A mirror under load, faults and kills, held against the simulation in the end");
  SoakOptions options;
  double hours = 0.17;
  app.add_option("--hours", hours, "how long (default 0.17)")->check(CLI::Range(0.03, 24.0 * 31));
  app.add_option("--rate", options.rate, "frames a second (default 1000)")
      ->check(CLI::Range(100, 5'000));
  app.add_option("--seed", options.seed, "of the network, and of what goes wrong (default 1)");
  app.add_option("--retain-bytes", options.retain_bytes, "of the mirror (default 512MiB)");
  CLI11_PARSE(app, argc, argv);
  options.minutes = hours * 60;
  try {
    SoakRun run(options);
    run.go();
    run.judge();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "soak: FAILED: %s\n", error.what());
    return 1;
  }
  std::printf("soak: passed\n");
  return 0;
}
