// The TOML file of --config: option names as keys, one table per verb.
//
//   data = "/srv/standpipe"      # for every verb that has the option
//   [import]
//   min-free = "4GiB"
//   [epoch.new]
//   reason = "upstream began anew"
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "schema/base/result.h"

namespace standpipe::tools {

struct ConfigEntry {
  std::string verb;  // "import", "epoch new"; empty: above all tables
  std::string key;
  std::vector<std::string> values;  // an array has several
  int line = 0;
};

// In file order. invalid, with file and line, where it is not TOML, or holds a value that no option
// can take (a float, an array of arrays); io where it cannot be read; limit above 1 MiB.
Result<std::vector<ConfigEntry>> read_config_file(const std::filesystem::path& path);

}  // namespace standpipe::tools
