#include "replay/filter_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/mixed_frames.h"
#include "tests/support/scale.h"

namespace standpipe::replay {
namespace {

using test::MixedFilter;
using test::MixedFrame;
using test::MixedFrames;
using test::Random;
using test::scaled;
using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

std::shared_ptr<const FrameFilter> compiled(const MixedFilter& wanted) {
  auto filter = FrameFilter::compile({wanted.dids, wanted.collections});
  EXPECT_TRUE(filter.has_value());
  return std::make_shared<const FrameFilter>(std::move(filter).value());
}

// Frames as the live log holds them.
struct Spanned {
  storage::WireRun run;
  std::vector<FrameKeys> keys;

  explicit Spanned(const std::vector<MixedFrame>& frames) {
    for (const MixedFrame& frame : frames) {
      const auto offset = static_cast<std::uint32_t>(run.wire.size());
      storage::append_wire_frame(run.wire, frame.bytes);
      const auto length = static_cast<std::uint32_t>(run.wire.size()) - offset;
      run.frames.push_back({Seq{frame.seq}, offset, length, 0});
    }
    const FrameSpan bare{run.wire.data(), run.frames, nullptr};
    for (std::size_t i = 0; i < run.frames.size(); ++i) {
      keys.push_back(frame_keys(bare.frame_of(i)));
    }
  }
  FrameSpan span(bool has_keys = true) const {
    return {run.wire.data(), run.frames, has_keys ? keys.data() : nullptr};
  }
};

// Filters come and go; for each frame the index names exactly those of which the plain words of
// MixedFilter say that they let it through.
TEST(FilterIndex, NamesExactlyTheFiltersThatLetAFrameThrough) {
  for (std::uint64_t seed = 1; seed <= scaled(4); ++seed) {
    SCOPED_TRACE(seed);
    MixedFrames mixed(seed);
    const std::vector<MixedFrame> frames = mixed.take(scaled(800));
    const Spanned spanned(frames);
    Random random(seed);
    FilterIndex index;
    std::map<FilterIndex::Id, MixedFilter> model;
    std::vector<FilterIndex::Id> found;
    std::size_t found_total = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      for (auto left = random.below(3); left > 0; --left) {
        const MixedFilter filter = mixed.filter();
        if (filter.dids.empty() && filter.collections.empty()) continue;  // nobody is asked
        const auto id = index.add(compiled(filter));
        ASSERT_TRUE(model.emplace(id, filter).second) << "an id was given twice";
      }
      // Now and then all leave.
      for (auto left = random.chance(200) ? model.size() : random.below(2);
           left > 0 && !model.empty(); --left) {
        const auto gone =
            std::next(model.begin(), static_cast<std::ptrdiff_t>(random.below(model.size())));
        index.remove(gone->first);
        model.erase(gone);
      }
      ASSERT_EQ(index.size(), model.size());
      std::vector<FilterIndex::Id> expected;
      for (const auto& [id, filter] : model) {
        if (filter.passes(frames[i])) expected.push_back(id);
      }
      index.match(spanned.span(/*has_keys=*/!random.chance(4)), i, found);
      ASSERT_THAT(found, UnorderedElementsAreArray(expected)) << "frame " << i;
      found_total += found.size();
    }
    EXPECT_GT(found_total, frames.size());
  }
}

TEST(FilterIndex, HoldsThousandsOfDidsOfEach) {
  const auto did = [](std::size_t n) { return "did:web:host" + std::to_string(n) + ".example"; };
  FilterIndex index;
  std::vector<FilterIndex::Id> ids;
  for (std::size_t first = 0; first < 10; ++first) {
    MixedFilter filter;
    for (std::size_t i = 0; i < 10'000; ++i) filter.dids.push_back(did(first * 1'000 + i));
    ids.push_back(index.add(compiled(filter)));
  }
  std::vector<MixedFrame> frames;
  for (const std::size_t n : {0U, 9'999U, 10'000U, 18'999U, 19'000U}) {
    MixedFrame frame;
    frame.seq = static_cast<std::int64_t>(n) + 1;
    frame.bytes = test::frame_from_json("#identity", {{"seq", frame.seq}, {"did", did(n)}});
    frames.push_back(std::move(frame));
  }
  const Spanned spanned(frames);
  std::vector<FilterIndex::Id> found;
  const auto found_by = [&](std::size_t i) {
    index.match(spanned.span(), i, found);
    return found;
  };
  EXPECT_THAT(found_by(0), UnorderedElementsAre(ids[0]));
  EXPECT_THAT(found_by(1), UnorderedElementsAreArray(ids));
  EXPECT_THAT(found_by(2), UnorderedElementsAreArray(std::vector(ids.begin() + 1, ids.end())));
  EXPECT_THAT(found_by(3), UnorderedElementsAre(ids[9]));
  EXPECT_THAT(found_by(4), UnorderedElementsAre());
  index.remove(ids[9]);
  EXPECT_THAT(found_by(3), UnorderedElementsAre());
  for (std::size_t i = 0; i < 9; ++i) index.remove(ids[i]);
  EXPECT_TRUE(index.empty());
  EXPECT_THAT(found_by(1), UnorderedElementsAre());
}

TEST(FilterIndex, AnErasedFrameIsWantedByNobody) {
  const std::string did = "did:web:host.example";
  MixedFrame frame;
  frame.seq = 1;
  frame.bytes = test::frame_from_json("#identity", {{"seq", 1}, {"did", did}});
  Spanned spanned({frame});
  FilterIndex index;
  const auto by_did = index.add(compiled({{did}, {}}));
  const auto by_collection = index.add(compiled({{}, {"app.bsky.*"}}));
  std::vector<FilterIndex::Id> found;
  index.match(spanned.span(), 0, found);
  EXPECT_THAT(found, UnorderedElementsAre(by_did, by_collection));
  spanned.run.frames[0].length = 0;
  index.match(spanned.span(), 0, found);
  EXPECT_THAT(found, UnorderedElementsAre());
}

}  // namespace
}  // namespace standpipe::replay
