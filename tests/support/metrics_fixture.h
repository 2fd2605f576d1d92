// A mirror whose metrics are read as Prometheus reads them.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/mirror_fixture.h"

namespace standpipe::test {

// By name and labels as they are written: "standpipe_gaps{stream=\"repos\",reason=\"lost\"}".
using Metrics = std::map<std::string, double>;

// A name and labels as in Metrics: with("standpipe_gaps", {{"stream", "repos"}}).
std::string with(const std::string& name,
                 const std::vector<std::pair<std::string, std::string>>& labels);

class MetricsFixture : public MirrorFixture {
 protected:
  // given_mirror(), with an admin listener.
  void given_measured_mirror(std::vector<std::string> arguments = {});
  void given_measured_server(std::vector<std::string> arguments = {});

  std::string metrics_text() const;
  Metrics metrics() const;
  // Until `holds`; `what` completes "waited in vain for ...".
  Metrics wait_for_metrics(const std::string& what,
                           const std::function<bool(const Metrics&)>& holds) const;
  Metrics wait_for_metric(const std::string& name, double value) const;
};

}  // namespace standpipe::test
