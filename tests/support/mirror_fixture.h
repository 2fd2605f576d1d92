// A mirror as it is used: the real program between a scripted upstream and subscribers.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/frames.h"
#include "tests/support/network_process.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/subscriber.h"
#include "tests/support/temp_dir.h"
#include "tests/support/upstream_fixture.h"

namespace standpipe::test {

class MirrorFixture : public ::testing::Test {
 protected:
  // -- Setting up -------------------------------------------------------------------------------
  void given_upstream(UpstreamOptions options = {});
  // Starts `standpipe mirror` on the archive and the upstream, with what follows and, where that
  // does not say otherwise, with quick redials and no demand for free space; returns when it
  // listens.
  void given_mirror(std::vector<std::string> arguments = {});
  void given_server(std::vector<std::string> arguments = {});  // `standpipe serve` on the archive
  void given_imported(const std::vector<Bytes>& frames,
                      const std::vector<std::string>& arguments = {});

  // -- What happens -------------------------------------------------------------------------------
  Outcome stop();  // SIGTERM; expects exit status 0
  Outcome kill();  // SIGKILL

  Subscriber subscribe(std::string_view query = "", SubscriberOptions options = {}) const;
  // Until _health says that this seq, or a later one, is durable.
  void wait_until_durable(std::int64_t seq, const std::string& stream = "repos") const;
  nlohmann::json health() const;
  void wait_for_health(const std::string& status) const;  // until _health says this

  std::vector<std::string> arguments_of(const std::string& verb,
                                        std::vector<std::string> more) const;
  std::uint16_t port() const { return process().port(); }
  NetworkProcess& process() const;
  ScriptedUpstream& upstream() const { return *upstream_; }
  std::filesystem::path archive() const { return dir / "archive"; }

  TempDir dir{TempDir::Where::memory};

 private:
  void wait_for_health(const std::string& what,
                       const std::function<bool(const nlohmann::json&)>& holds) const;

  std::unique_ptr<ScriptedUpstream> upstream_;
  std::unique_ptr<NetworkProcess> process_;
};

}  // namespace standpipe::test
