// Simulations with something odd in them: archived, served again byte for byte, and judged by
// `verify`, which names each planted fault and nothing else. What was planted is the simulator's
// word; what is to be found of it is written down here.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "schema/event.h"
#include "tests/support/network_process.h"
#include "tests/support/shared_data.h"
#include "tests/support/subscriber.h"
#include "tests/support/verify_fixture.h"
#include "tools/sim/network.h"

namespace standpipe::test {
namespace {

using tools::sim::kOddKinds;
using tools::sim::kOddNames;
using tools::sim::Network;
using tools::sim::NetworkOptions;
using tools::sim::Odd;
using tools::sim::SimulatedFrame;

constexpr std::uint64_t kSeed = 21;
constexpr std::uint64_t kFrames = 1'500;
constexpr std::uint64_t kAccounts = 150;
constexpr std::uint64_t kRate = 5;  // five minutes, in which most accounts come back

// The findings in a frame of which the simulator says that it is odd in this way. Of the kinds that
// are not here nothing is wrong: they are rare, and allowed.
std::vector<std::string> findings_of(Odd odd, ByteView frame) {
  switch (odd) {
    case Odd::legacy: {  // of 2026, and as before Sync v1.1
      std::vector<std::string> findings = {"prev_data_absent"};
      const Event event = decode_event(frame).value();
      for (const RepoOp& op : std::get<Commit>(event).ops) {
        if (op.action != "create") findings.emplace_back("op_prev_absent");
      }
      return findings;
    }
    case Odd::too_big:  // likewise, and with neither operations nor what they changed
      return {"too_big", "prev_data_absent"};
    case Odd::long_key:  // of a thousand bytes, which a tree can have, but no collection
      return {"op_path_invalid"};
    case Odd::non_canonical:
      return {"not_canonical"};
    case Odd::rev_back:
      return {"rev_not_rising"};
    default:
      return {};
  }
}

class VerifyOdd : public VerifyFixture {
 protected:
  void given_simulated(const NetworkOptions& options, const std::vector<std::string>& odd) {
    auto network = Network::create(options).value();
    while (auto frame = network->next()) planned_.push_back(*std::move(frame));
    std::vector<std::string> arguments = {"simulate",
                                          "--seed",
                                          std::to_string(kSeed),
                                          "--frames",
                                          std::to_string(kFrames),
                                          "--accounts",
                                          std::to_string(kAccounts),
                                          "--rate",
                                          std::to_string(kRate),
                                          "--data",
                                          archive.string(),
                                          "--min-free",
                                          "0",
                                          "--did-docs",
                                          documents(),
                                          "--quiet"};
    for (const std::string& each : odd) arguments.insert(arguments.end(), {"--odd", each});
    const Outcome outcome = run_standpipe(arguments);
    ASSERT_EQ(outcome.status, 0) << outcome.err;
  }

  // Every frame that has a seq; an #info is a note, and not kept as a frame.
  void expect_served_byte_for_byte() {
    NetworkProcess server({"serve", "--data", archive.string()});
    Subscriber subscriber =
        Subscriber::connect(server.port(), "/xrpc/com.atproto.sync.subscribeRepos?cursor=0");
    ASSERT_TRUE(subscriber.is_upgraded());
    for (const SimulatedFrame& frame : planned_) {
      if (!frame.seq) continue;
      ASSERT_EQ(subscriber.next_frame(), frame.bytes) << to_int(*frame.seq);
    }
    EXPECT_THAT(subscriber.read_until_pong(), ::testing::IsEmpty());
    EXPECT_EQ(server.stop().status, 0);
  }

  void expect_planted_faults_alone() {
    std::vector<std::string> expected;
    std::size_t signatures = 0;
    for (const SimulatedFrame& frame : planned_) {
      if (is_signed(frame)) ++signatures;
      if (!frame.odd || !frame.seq) continue;
      for (const std::string& what : findings_of(*frame.odd, frame.bytes)) {
        expected.push_back(std::to_string(to_int(*frame.seq)) + " " + what);
      }
    }
    const VerifyReport report = verify(
        {"--data", archive.string(), "--did-docs", documents(), "--findings-max", "1000000"});
    EXPECT_THAT(report.rows, ::testing::UnorderedElementsAreArray(expected));
    EXPECT_EQ(report.status, expected.empty() ? 0 : 1) << report.err;
    EXPECT_EQ(report.summary["result"], expected.empty() ? "clean" : "findings");
    EXPECT_EQ(report.summary["signatures"]["valid"], signatures);
    EXPECT_EQ(report.summary["signatures"]["unchecked"], 0);
    EXPECT_GT(report.summary["checked"]["chain"], kFrames / 2);
  }

  std::size_t planted(Odd odd) const {
    return static_cast<std::size_t>(
        std::count_if(planned_.begin(), planned_.end(),
                      [odd](const SimulatedFrame& frame) { return frame.odd == odd; }));
  }

  std::string documents() const { return dir / "docs.json"; }

 private:
  static bool is_signed(const SimulatedFrame& frame) {
    return frame.kind == tools::sim::SlotKind::commit || frame.kind == tools::sim::SlotKind::sync;
  }

  std::vector<SimulatedFrame> planned_;
};

NetworkOptions options_of_all() {
  NetworkOptions options;
  options.seed = kSeed;
  options.frames = kFrames;
  options.accounts = kAccounts;
  options.rate = kRate;
  return options;
}

class OneOddKind : public VerifyOdd, public ::testing::WithParamInterface<Odd> {};

TEST_P(OneOddKind, IsServedAgainAndNamedAndNothingElseIs) {
  const auto kind = static_cast<std::size_t>(GetParam());
  NetworkOptions options = options_of_all();
  options.odd_per_mille[kind] = 20;
  given_simulated(options, {std::string(kOddNames[kind]) + "=20"});
  // Accounts have a did:web, frames do not.
  if (GetParam() == Odd::did_web) {
    EXPECT_THAT(read_text_file(documents()), ::testing::HasSubstr("\"did:web:"));
  } else {
    EXPECT_GT(planted(GetParam()), 10U);
  }
  expect_served_byte_for_byte();
  expect_planted_faults_alone();
}

std::vector<Odd> all_kinds() {
  std::vector<Odd> kinds;
  for (std::size_t i = 0; i < kOddKinds; ++i) kinds.push_back(static_cast<Odd>(i));
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Verify, OneOddKind, ::testing::ValuesIn(all_kinds()),
                         [](const ::testing::TestParamInfo<Odd>& param) {
                           std::string name(kOddNames[static_cast<std::size_t>(param.param)]);
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST_F(VerifyOdd, AllKindsTogetherAreToldApart) {
  NetworkOptions options = options_of_all();
  options.odd_per_mille.fill(8);
  std::vector<std::string> odd;
  for (const std::string_view name : kOddNames) odd.push_back(std::string(name) + "=8");
  given_simulated(options, odd);
  expect_served_byte_for_byte();
  expect_planted_faults_alone();
}

TEST_F(VerifyOdd, ASimulationWithNothingOddIsClean) {
  given_simulated(options_of_all(), {});
  expect_served_byte_for_byte();
  expect_planted_faults_alone();
}

}  // namespace
}  // namespace standpipe::test
