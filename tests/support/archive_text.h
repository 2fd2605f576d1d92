// A whole archive as text, to be compared with another.
#pragma once

#include <string>
#include <vector>

#include "schema/base/result.h"
#include "storage/archive.h"

namespace standpipe::test {

// One line per thing worth knowing: epochs, partitions, gaps, quarantine, and every frame with its
// size and hash. Leaves out what may differ between two equal lives: partition and unique ids.
// Fails with the first error of the archive's.
Result<std::vector<std::string>> describe_archive(const storage::Archive& archive);

// The first line in which two descriptions differ, in words; empty if they are equal.
std::string difference(const std::vector<std::string>& expected,
                       const std::vector<std::string>& actual);

}  // namespace standpipe::test
