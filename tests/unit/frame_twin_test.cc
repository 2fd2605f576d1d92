// The fast scanner against its slow twin, under a seed.
#include <gtest/gtest.h>

#include <random>

#include "tests/support/hex.h"
#include "tests/support/shared_data.h"
#include "tests/support/slow_scan.h"
#include "tests/support/worked_frames.h"

namespace standpipe::test {
namespace {

// Frames with something of everything: indefinite lengths, tags, nesting, repeats, other types.
std::vector<Bytes> seeds() {
  std::vector<Bytes> frames;
  for (const std::string_view worked :
       {kWorkedCommit, kWorkedSync, kWorkedIdentity, kWorkedAccount, kWorkedLabels,
        kWorkedFutureCursor, kWorkedTooSlowGo, kWorkedTooSlow, kWorkedOutdatedCursor}) {
    frames.push_back(hex(worked));
  }
  frames.push_back(
      hex("bf 62'op' 1801 61't' 67'#commit' ff"
          "bf 63'seq' 1b0000000000000007 7f 62'se' 61'q' ff 01 63'ops' 9f bf 64'path' 63'a/b'"
          "66'action' 66'delete' ff 80 a1 64'path' 7f 61'x' ff ff 66'blocks' 5f 41 00 41 01 ff"
          "64'repo' 67'did:x:y' 64'time' 60 63'rev' f6 c1 01 82 fb 3ff0000000000000 f820 ff"));
  frames.push_back(
      hex("a2 62'op' 01 61't' 65'#info' a3 64'name' 61'n' 63'seq' 05 67'message' 61'm'"));
  return frames;
}

class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return random_() % limit; }

  void mutate(Bytes& frame, const std::vector<Bytes>& others) {
    static constexpr std::array<std::uint8_t, 16> kHeads{0xFF, 0x9F, 0xBF, 0x5F, 0x7F, 0xC1,
                                                         0xD8, 0x1B, 0x3B, 0xA1, 0x80, 0xF8,
                                                         0x18, 0x1C, 0x63, 0xF6};
    const auto at = [&] {
      return frame.begin() + static_cast<std::ptrdiff_t>(below(frame.size() + 1));
    };
    if (frame.empty()) return;
    const std::size_t position = below(frame.size());
    switch (below(8)) {
      case 0:
        frame[position] ^= static_cast<std::byte>(1U << below(8));
        break;
      case 1:
        frame[position] = static_cast<std::byte>(kHeads[below(kHeads.size())]);
        break;
      case 2:
        frame.insert(at(), static_cast<std::byte>(kHeads[below(kHeads.size())]));
        break;
      case 3:
        frame.erase(frame.begin() + static_cast<std::ptrdiff_t>(position));
        break;
      case 4:
        frame.resize(position);
        break;
      case 5: {  // a piece of another frame
        const Bytes& other = others[below(others.size())];
        const std::size_t begin = below(other.size());
        const Bytes piece = to_bytes(
            ByteView(other).subspan(begin, below(std::min<std::size_t>(other.size() - begin, 40))));
        frame.insert(at(), piece.begin(), piece.end());
        break;
      }
      case 6:
        frame[position] = static_cast<std::byte>(std::to_integer<unsigned>(frame[position]) + 1U);
        break;
      default: {  // a text key and a value, where with some luck a pair may stand
        static const std::array<Bytes, 4> kPairs{hex("63'seq' 09"), hex("63'seq' 20"),
                                                 hex("61't' 65'#sync'"), hex("64'repo' 61'd'")};
        const Bytes& pair = kPairs[below(kPairs.size())];
        frame.insert(at(), pair.begin(), pair.end());
        break;
      }
    }
  }

 private:
  std::mt19937 random_;
};

void compare_under_mutation(const std::vector<Bytes>& frames, int rounds, std::uint32_t seed) {
  Mutator mutator(seed);
  std::map<std::string, int> verdicts;
  for (int i = 0; i < rounds; ++i) {
    Bytes frame = frames[mutator.below(frames.size())];
    const std::size_t times = 1 + mutator.below(4);
    for (std::size_t j = 0; j < times; ++j) mutator.mutate(frame, frames);
    const SlowScan slow = slow_scan(frame);
    const SlowScan fast = fast_scan(frame);
    ++verdicts[std::string(to_string(slow.why))];
    ASSERT_EQ(fast, slow) << "seed " << seed << " round " << i << "\nfast " << to_string(fast)
                          << "\nslow " << to_string(slow) << "\n"
                          << to_hex(
                                 ByteView(frame).first(std::min<std::size_t>(frame.size(), 999)));
  }
  // The mutations are worth nothing if they all end in one way.
  EXPECT_GE(verdicts.size(), 10U);
  EXPECT_GT(verdicts["archivable"], rounds / 50);
}

TEST(FrameTwin, FastAndSlowScanAgreeOnFramesAsTheyAre) {
  for (const Bytes& frame : seeds()) {
    EXPECT_EQ(fast_scan(frame), slow_scan(frame)) << to_hex(frame);
  }
}

TEST(FrameTwin, FastAndSlowScanAgreeOnMutatedFrames) {
  compare_under_mutation(seeds(), 40'000, 20'261'123);
}

TEST(FrameTwin, FastAndSlowScanAgreeOnEveryPrefix) {
  for (const Bytes& frame : seeds()) {
    for (std::size_t length = 0; length <= frame.size(); ++length) {
      const ByteView prefix = ByteView(frame).first(length);
      ASSERT_EQ(fast_scan(prefix), slow_scan(prefix)) << to_hex(prefix);
    }
  }
}

TEST(FrameTwin, FastAndSlowScanAgreeOnMutatedRealFrames) {
  STANDPIPE_REQUIRE_SHARED();
  const auto data = shared_dir() / "data";
  compare_under_mutation(read_frame_corpus(data / "proto-rune" / "frames.bin.zst"), 5'000, 7);
}

}  // namespace
}  // namespace standpipe::test
