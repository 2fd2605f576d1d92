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

// It would look for a commit to label for ever; where they are as rare as can be, it finds one.
TEST(SimLabels, NetworkWithoutAnEndEndsWhereNothingCanBeLabelled) {
  NetworkOptions usual = of_frames(0);
  usual.accounts = 20;
  usual.labels_per_mille = 1000;
  const auto set_odd = [](NetworkOptions& options, Odd odd, std::uint32_t per_mille) {
    options.odd_per_mille[static_cast<std::size_t>(odd)] = per_mille;
  };
  const auto has_labels = [](const NetworkOptions& options) {
    return Labeler(options).next().has_value();
  };
  EXPECT_TRUE(has_labels(usual));
  NetworkOptions none = usual;
  none.labels_per_mille = 0;
  EXPECT_FALSE(has_labels(none));
  NetworkOptions other_kinds = usual;
  other_kinds.mix = {900, 60, 40};
  EXPECT_FALSE(has_labels(other_kinds));
  set_odd(other_kinds, Odd::did_web, 1000);
  EXPECT_FALSE(has_labels(other_kinds));
  NetworkOptions infos = usual;
  set_odd(infos, Odd::info, 1000);
  EXPECT_FALSE(has_labels(infos));
  // Odd commits are commits, whatever the mix says, and who is gone is followed by somebody new.
  set_odd(infos, Odd::legacy, 1);
  EXPECT_TRUE(has_labels(infos));
  set_odd(other_kinds, Odd::deletion, 1000);
  EXPECT_TRUE(has_labels(other_kinds));
  NetworkOptions takedowns = usual;
  set_odd(takedowns, Odd::takedown, 1000);
  EXPECT_TRUE(has_labels(takedowns));
}

TEST(SimLabels, LabelsOfASeedAreTheseBytes) {
  Sha256 hash;
  for (const Bytes& frame : frames_of(of_frames(5'000))) hash.update(frame);
  EXPECT_EQ(to_hex(hash.finish()),
            "8021fb3849d445e4eeef8a0a9a65434e3c58ee1cdf6183a082f9d0929be3cc21");
}

}  // namespace
}  // namespace standpipe::tools::sim
