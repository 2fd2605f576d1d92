// How much of a long test to run.
#pragma once

#include <cstddef>

namespace standpipe::test {

// `rounds` times STANDPIPE_TEST_SCALE (a number above 0 and up to 1; 1 where it is unset), and at
// least one. Continuous integration runs long tests in full once, and in part under sanitizers,
// where a round costs ten times as much. Aborts where the variable holds anything else.
std::size_t scaled(std::size_t rounds);

}  // namespace standpipe::test
