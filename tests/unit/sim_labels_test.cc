// The simulated labeler: signed labels, the same for the same seed, of accounts that the network
// has.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "schema/cbor.h"
#include "schema/did_document.h"
#include "schema/event.h"
#include "schema/frame.h"
#include "schema/hash.h"
#include "schema/label_signature.h"
#include "tools/sim/labels.h"
#include "tools/sim/network.h"

namespace standpipe::tools::sim {
namespace {

NetworkOptions of_frames(std::uint64_t frames) {
  NetworkOptions options;
  options.frames = frames;
  options.accounts = 200;
  options.labels_per_mille = 100;
  return options;
}

std::vector<Bytes> frames_of(const NetworkOptions& options) {
  Labeler labeler(options);
  std::vector<Bytes> frames;
  while (const auto slot = labeler.next()) frames.push_back(labeler.make_frame(*slot));
  return frames;
}

TEST(SimLabels, EachIsSignedWithTheKeyOfTheLabelersDocument) {
  const NetworkOptions options = of_frames(3'000);
  const Labeler labeler(options);
  const DidDocument document = parse_did_document(labeler.did_document()).value();
  EXPECT_EQ(document.did, labeler.did());
  EXPECT_NE(document.signing_key.value(), document.label_key.value());
  std::size_t count = 0;
  for (const Bytes& frame : frames_of(options)) {
    const auto header = check_cbor(frame, CborOptions{});
    ASSERT_TRUE(header.has_value());
    ASSERT_TRUE(check_cbor(ByteView(frame).subspan(*header), CborOptions{}).has_value());
    const Event event = decode_event(frame).value();
    for (const Label& label : std::get<Labels>(event).labels) {
      EXPECT_EQ(label.src, labeler.did());
      EXPECT_EQ(verify_label(label, document.label_key.value()), LabelCheck::valid);
      ++count;
    }
  }
  EXPECT_GT(count, 200U);
}

TEST(SimLabels, SeqsRiseAndSkipAndNegationsTakeBackWhatStands) {
  std::set<std::string> standing;
  std::int64_t newest = 0;
  std::size_t negations = 0;
  std::size_t frames = 0;
  for (const Bytes& frame : frames_of(of_frames(6'000))) {
    const Event event = decode_event(frame).value();
    const Labels& labels = std::get<Labels>(event);
    EXPECT_GT(to_int(labels.seq), newest);
    newest = to_int(labels.seq);
    ++frames;
    for (const Label& label : labels.labels) {
      const std::string named = std::string(label.uri) + ' ' + std::string(label.val);
      if (label.is_negation) {
        EXPECT_TRUE(standing.contains(named)) << named;
        ++negations;
      } else {
        standing.insert(named);
      }
    }
  }
  EXPECT_GT(negations, 10U);
  EXPECT_GT(newest, static_cast<std::int64_t>(frames) * 3 / 2);
  EXPECT_LT(newest, static_cast<std::int64_t>(frames) * 5 / 2);
}

TEST(SimLabels, LabelledAccountsAreThoseOfTheNetwork) {
  const NetworkOptions options = of_frames(2'000);
  auto network = Network::create(options).value();
  std::set<std::string> dids;
  while (const auto frame = network->next()) dids.insert(network->did(frame->account));
  for (const Bytes& frame : frames_of(options)) {
    const Event event = decode_event(frame).value();
    for (const Label& label : std::get<Labels>(event).labels) {
      if (label.uri.starts_with("did:")) {
        EXPECT_TRUE(dids.contains(std::string(label.uri))) << label.uri;
      }
      EXPECT_EQ(label.cid.has_value(), label.uri.find("/app.bsky.feed.post/") != label.uri.npos);
    }
  }
}

TEST(SimLabels, LabelsOfASeedAreTheseBytes) {
  Sha256 hash;
  for (const Bytes& frame : frames_of(of_frames(5'000))) hash.update(frame);
  EXPECT_EQ(to_hex(hash.finish()),
            "8021fb3849d445e4eeef8a0a9a65434e3c58ee1cdf6183a082f9d0929be3cc21");
}

}  // namespace
}  // namespace standpipe::tools::sim
