// The command line: verbs, their options from three sources, help, exit status.
//
// Where an option is given twice the nearer one counts: command line, then environment, then the
// file of --config, then the default. Errors are one line on stderr that says what to do.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "schema/base/result.h"
#include "tools/options.h"

namespace standpipe::tools {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // what was asked for did not happen, or not wholly
inline constexpr int kExitUsage = 2;   // what was asked for makes no sense

struct Verb {
  std::string name;  // "import", "epoch new"
  std::string summary;
  std::string examples;  // whole lines, shown below the options
  OptionTable options;
  std::function<int()> run;  // called once, after the options have been taken
};

// Parses, runs at most one verb, returns the exit status.
int run_cli(int argc, const char* const* argv, std::string_view version, std::vector<Verb> verbs);

// "standpipe import: detail" on stderr, in one line, with its end in "; see ..." where the error is
// one of usage. Both return the exit status that belongs to it.
int fail(std::string_view verb, const Error& error);
int fail_usage(std::string_view verb, std::string_view detail);

// Writes to stdout. False once it could not: nobody reads any more, or the disk is full.
bool write_stdout(std::string_view text);
// Flushes stdout; a failure, here or earlier, is reported and turned into kExitFailed.
int finish_stdout(std::string_view verb, int status);

}  // namespace standpipe::tools
