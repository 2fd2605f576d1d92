// The bytes of a simulated network, for good: archives and fixtures that others have made of a seed
// are compared with each other. The sums are the same in every build and by every compiler.
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string_view>

#include "schema/hash.h"
#include "tests/support/hex.h"
#include "tests/support/scale.h"
#include "tools/sim/network.h"

namespace standpipe::test {
namespace {

using tools::sim::Network;
using tools::sim::NetworkOptions;

struct Pinned {
  std::uint64_t frames;  // from the first on
  std::string_view sum;  // of all of them: SHA-256 over the sum before a frame, and the frame
};

// Always of the network of that many frames; how many of them are made follows the scale.
void expect_sums(NetworkOptions options, const std::array<Pinned, 3>& pinned) {
  const std::uint64_t most = scaled(pinned.back().frames);
  options.frames = pinned.back().frames;
  auto network = Network::create(options).value();
  Sha256Digest sum{};  // a chain: of the sum so far, and the frame
  std::uint64_t count = 0;
  std::size_t checked = 0;
  for (const Pinned& one : pinned) {
    if (one.frames > most && checked > 0) break;
    for (; count < one.frames; ++count) {
      const auto frame = network->next();
      ASSERT_TRUE(frame.has_value());
      const std::array<ByteView, 2> parts = {sum, frame->bytes};
      sum = sha256(parts);
    }
    EXPECT_EQ(to_hex(sum), one.sum) << one.frames << " frames";
    ++checked;
  }
}

TEST(SimulationChecksum, HundredThousandFramesOfTheUsualNetwork) {
  expect_sums(NetworkOptions(),
              {{{5'000, "54f554bf0e298907bc75728dc36b2fbb85c95a1b13874da4436b0cd3509ea92c"},
                {20'000, "ed62fb5e6c1f8c88bc06d8fd1a979134bbf8ab9bc6baa15942f663426520c71c"},
                {100'000, "ba5658eb4f7446e57bd45ed4128e5bad7ea716981b6a08d1a0002ae8dcb63add"}}});
}

// Few accounts, so that each has long chains of commits, its trees are pruned, and records deleted.
TEST(SimulationChecksum, HundredThousandFramesOfFewAccountsWithEverythingOdd) {
  NetworkOptions options;
  options.seed = 20'260'701;
  options.accounts = 400;
  options.burst_rate = 2'000;
  options.mix.sync = 10;
  for (std::uint32_t& odd : options.odd_per_mille) odd = 2;
  expect_sums(options,
              {{{5'000, "645e1082c897b08cd91142287f8f0b1b596ac98e4e9a8d3d952e163a087efc38"},
                {20'000, "94511a3e877de76e042a0b9e1bee352fafe2214972f8a62dc8b4f5efb32fc8a9"},
                {100'000, "7d92f12077af73d6956be7a0e813306d6da16b91f9e05480096142e337ff2e12"}}});
}

}  // namespace
}  // namespace standpipe::test
