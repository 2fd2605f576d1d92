#include "tests/support/wire_runs.h"

namespace standpipe::test {

storage::WireRunPtr make_run(std::span<const FrameSpec> specs) {
  auto run = std::make_shared<storage::WireRun>();
  for (const FrameSpec& spec : specs) {
    const auto offset = static_cast<std::uint32_t>(run->wire.size());
    storage::append_wire_frame(run->wire, make_frame(spec));
    const auto length = static_cast<std::uint32_t>(run->wire.size()) - offset;
    run->frames.push_back({Seq{spec.seq}, offset, length, 0});
  }
  return run;
}

storage::WireRunPtr make_run(std::int64_t first, std::int64_t last) {
  std::vector<FrameSpec> specs;
  for (std::int64_t seq = first; seq <= last; ++seq) {
    FrameSpec spec;
    spec.seq = seq;
    specs.push_back(spec);
  }
  return make_run(specs);
}

}  // namespace standpipe::test
