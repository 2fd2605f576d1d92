// Scenarios: what is read keeps to the ranges of the language, and what is refused is refused in
// one line that begins with the file's name. Input: JSON where it begins with '{', else TOML.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "schema/base/assert.h"
#include "tools/play/scenario.h"

namespace standpipe::tools::play {
namespace {

void check(const Fault& fault) {
  const std::int64_t at = fault.place.at;
  const bool is_whole = fault.place.by == FaultPlace::By::connection;
  STANDPIPE_ASSERT(is_whole ? at == 0 : at >= (fault.place.by == FaultPlace::By::after ? 0 : 1),
                   "a place out of range");
  for (const std::uint64_t number : fault.connections.numbers) {
    STANDPIPE_ASSERT(number >= 1 && number <= 100'000, "a connection out of range");
  }
  STANDPIPE_ASSERT(fault.connections.numbers.empty() ==
                       (fault.connections.which != FaultConnections::Which::listed),
                   "a list of no connections");
  STANDPIPE_ASSERT(fault.code == -1 || (fault.code >= 1000 && fault.code <= 4999), "a code");
  STANDPIPE_ASSERT(fault.reason.size() <= 123, "a reason that is too long");
  STANDPIPE_ASSERT(fault.mask >= 1 && fault.mask <= 255, "a mask that changes nothing");
  STANDPIPE_ASSERT(fault.op != 1 && fault.op != -1, "a known op");
  STANDPIPE_ASSERT(fault.bytes <= kOversizeMax, "too many bytes");
  STANDPIPE_ASSERT(fault.to.find_first_of("\r\n") == std::string::npos, "a header of its own");
  STANDPIPE_ASSERT(!describe(fault, 1).empty(), "no words for it");
}

void run(std::string_view text) {
  const ScenarioSyntax syntax = text.starts_with('{') ? ScenarioSyntax::json : ScenarioSyntax::toml;
  const auto scenario = parse_scenario(text, syntax, "the file");
  if (!scenario) {
    const std::string& said = scenario.error().detail;
    STANDPIPE_ASSERT(scenario.error().code == Errc::invalid, said);
    STANDPIPE_ASSERT(said.starts_with("the file:"), said);
    STANDPIPE_ASSERT(said.find('\n') == std::string::npos, "more than a line");
    return;
  }
  STANDPIPE_ASSERT(!scenario->faults.empty() && scenario->faults.size() <= kFaultsMax, "faults");
  for (const Fault& fault : scenario->faults) check(fault);
}

}  // namespace
}  // namespace standpipe::tools::play

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  standpipe::tools::play::run({reinterpret_cast<const char*>(data), size});
  return 0;
}
