// What simulated frames say: commits that prove themselves and follow from one another, and odd
// ones that are odd in the way that was asked for.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "schema/cbor.h"
#include "schema/commit_proof.h"
#include "schema/crypto.h"
#include "schema/datetime.h"
#include "schema/event.h"
#include "schema/frame.h"
#include "schema/ids.h"
#include "tests/support/scale.h"
#include "tools/sim/network.h"

namespace standpipe::tools::sim {
namespace {

using nlohmann::json;

struct Frame {
  SimulatedFrame made;
  Event event = Info{};  // views of made.bytes
};

std::vector<Frame> make(Network& network) {
  std::vector<Frame> frames;
  while (auto made = network.next()) {
    Frame frame;
    frame.made = std::move(*made);
    auto event = decode_event(frame.made.bytes);
    EXPECT_TRUE(event.has_value()) << event.error().detail;
    if (!event) continue;
    frame.event = std::move(*event);
    frames.push_back(std::move(frame));
  }
  return frames;
}

NetworkOptions of_frames(std::uint64_t frames) {
  NetworkOptions options;
  options.frames = frames;
  options.accounts = 300;  // few, so that each has many commits
  return options;
}

std::unique_ptr<Network> odd_network(Odd odd, std::uint32_t per_mille, std::uint64_t frames) {
  NetworkOptions options = of_frames(frames);
  options.odd_per_mille[static_cast<std::size_t>(odd)] = per_mille;
  return Network::create(options).value();
}

PublicKey key_of(const Network& network, std::uint64_t account) {
  const json document = json::parse(network.did_document(account));
  const std::string key = document["verificationMethod"][0]["publicKeyMultibase"];
  return PublicKey::parse_multikey(key).value();
}

// "prev_data_absent op_prev_absent"; empty where nothing is wrong.
std::string faults(CommitProof& proof, const PublicKey& key) {
  CommitFindings findings = proof.check_all();
  proof.check_signature(key, findings);
  std::string names;
  for (const CommitFinding& finding : findings) {
    if (!names.empty()) names += ' ';
    names += to_string(finding.fault);
  }
  return names;
}
std::string faults(const Network& network, const Frame& frame) {
  const PublicKey key = key_of(network, frame.made.account);
  if (const auto* sync = std::get_if<Sync>(&frame.event)) {
    CommitProof proof(*sync);
    return faults(proof, key);
  }
  CommitProof proof(std::get<Commit>(frame.event));
  return faults(proof, key);
}

// The state of a repository as its frames tell it.
struct Known {
  std::string rev;
  Bytes data;
};

// Follows all frames and says, of the first that does not follow from what came before, why.
std::string broken_link(const std::vector<Frame>& frames, const Network& network) {
  std::map<std::string, Known> repos;
  for (const Frame& frame : frames) {
    const auto* commit = std::get_if<Commit>(&frame.event);
    const auto* sync = std::get_if<Sync>(&frame.event);
    if (commit == nullptr && sync == nullptr) continue;
    const std::string at = "seq " + std::to_string(to_int(commit ? commit->seq : sync->seq)) + ": ";
    if (const std::string names = faults(network, frame); !names.empty()) return at + names;
    const CommitProof proof = commit ? CommitProof(*commit) : CommitProof(*sync);
    const std::string did(commit ? commit->repo : sync->did);
    const std::string rev(commit ? *commit->rev : sync->rev);
    const auto known = repos.find(did);
    if (known != repos.end() && commit != nullptr) {
      if (commit->since.value != known->second.rev) return at + "since";
      if (!equal(commit->prev_data->bytes(), known->second.data)) return at + "prevData";
      if (rev <= known->second.rev) return at + "rev";
    }
    if (known != repos.end() && sync != nullptr && rev != known->second.rev) return at + "sync";
    repos[did] = {rev, to_bytes(proof.repo_commit()->data)};
  }
  return "";
}

TEST(SimCommit, EveryCommitProvesItselfAndFollowsFromTheOneBefore) {
  NetworkOptions options = of_frames(test::scaled(4'000));
  options.mix.sync = 20;
  auto network = Network::create(options).value();
  const std::vector<Frame> frames = make(*network);
  ASSERT_EQ(frames.size(), options.frames);
  EXPECT_EQ(broken_link(frames, *network), "");
}

// Hundreds of commits by each, so that trees are cut back to their paths again and again.
TEST(SimCommit, RepositoriesOfFewAccountsStayWholeForLong) {
  NetworkOptions options = of_frames(test::scaled(1'200));
  options.accounts = 6;
  auto network = Network::create(options).value();
  EXPECT_EQ(broken_link(make(*network), *network), "");
}

// This account twice says in one millisecond, of this network, that it is live, for as many
// minutes.
TEST(SimCommit, AnUpdateIsNeverToWhatWasThere) {
  if (test::scaled(10) < 10) GTEST_SKIP() << "80,000 frames come before it: in full or not at all";
  NetworkOptions options;
  options.seed = 1;
  options.start_ms = 1795919554'000;  // 2026-11-29T02:32:34Z
  options.rate = 1'000;
  options.accounts = 2'000;
  options.frames = 180'000;
  options.after = Seq{79'259};
  const auto frame = Network::create(options).value()->next();
  ASSERT_TRUE(frame.has_value());
  const Event event = decode_event(frame->bytes).value();
  const RepoOp& op = std::get<Commit>(event).ops.front();
  EXPECT_EQ(op.action, "update");
  EXPECT_EQ(op.path, "app.bsky.actor.status/self");
  EXPECT_TRUE(op.prev.has_value());
  EXPECT_NE(op.cid, op.prev);
}

// Spec: atproto repository and sync; protocol.md 3.1 and 5.
TEST(SimCommit, FieldsAreAsTheSpecWantsThem) {
  auto network = Network::create(of_frames(2'000)).value();
  std::set<std::string> actions;
  for (const Frame& frame : make(*network)) {
    const auto* commit = std::get_if<Commit>(&frame.event);
    if (commit == nullptr) continue;
    EXPECT_TRUE(Did::parse(commit->repo).has_value());
    EXPECT_EQ(commit->repo.size(), 32U);
    EXPECT_TRUE(Tid::parse(*commit->rev).has_value());
    const auto time = Datetime::parse(commit->time);
    ASSERT_TRUE(time.has_value());
    const auto rev_ms =
        static_cast<std::int64_t>(Tid::parse(*commit->rev).value().parts().micros / 1000);
    EXPECT_GE(time->ms(), rev_ms);
    EXPECT_LE(time->ms(), rev_ms + 570);
    EXPECT_FALSE(commit->is_too_big || commit->is_rebase || commit->prev.is_present);
    EXPECT_TRUE(commit->blobs.empty());
    EXPECT_TRUE(commit->since.is_present);
    EXPECT_TRUE(commit->prev_data.has_value());
    EXPECT_GE(commit->ops.size(), 1U);
    for (const RepoOp& op : commit->ops) {
      actions.emplace(op.action);
      EXPECT_TRUE(RepoPath::parse(op.path).has_value()) << op.path;
      EXPECT_EQ(op.cid.has_value(), op.action != "delete");
      EXPECT_EQ(op.prev.has_value(), op.action != "create");
    }
  }
  EXPECT_EQ(actions, (std::set<std::string>{"create", "update", "delete"}));
}

TEST(SimCommit, AccountsThatAreDeactivatedSayNothingUntilTheyAreBack) {
  NetworkOptions options = of_frames(4'000);
  options.mix.account = 100;
  auto network = Network::create(options).value();
  std::map<std::uint64_t, bool> is_active;
  std::size_t came_back = 0;
  for (const Frame& frame : make(*network)) {
    const std::uint64_t account = frame.made.account;
    const bool was_active = is_active.emplace(account, true).first->second;
    if (const auto* said = std::get_if<Account>(&frame.event)) {
      EXPECT_EQ(said->is_active, !said->status.has_value());
      if (!said->is_active) {
        EXPECT_EQ(said->status, "deactivated");
        EXPECT_TRUE(was_active);
      }
      if (said->is_active && !was_active) ++came_back;
      is_active[account] = said->is_active;
    } else {
      EXPECT_TRUE(was_active);
    }
  }
  EXPECT_GT(came_back, 5U);
}

// Spec: PDS sequencer: identity, account, commit, sync.
TEST(SimCommit, NewRepositoryIntroducesItself) {
  NetworkOptions options = of_frames(6'000);
  options.accounts = 6'000;
  auto network = Network::create(options).value();
  std::map<std::uint64_t, std::vector<SlotKind>> first_kinds;
  std::size_t introduced = 0;
  for (const Frame& frame : make(*network)) {
    auto& kinds = first_kinds[frame.made.account];
    kinds.push_back(frame.made.kind);
    const auto* commit = std::get_if<Commit>(&frame.event);
    if (commit == nullptr || commit->since.value) continue;
    ++introduced;
    EXPECT_EQ(kinds, (std::vector<SlotKind>{SlotKind::identity, SlotKind::account_active,
                                            SlotKind::commit}));
    EXPECT_EQ(commit->prev_data->to_string(),
              "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");
  }
  EXPECT_GT(introduced, 3U);
}

// Makes 400 frames with a hundred odd ones in a thousand, and holds each against `expected`, which
// returns whether a frame is odd in this way.
template <typename IsOdd>
void expect_odd(Odd odd, const IsOdd& is_odd) {
  auto network = odd_network(odd, 100, 400);
  std::size_t found = 0;
  for (const Frame& frame : make(*network)) {
    EXPECT_EQ(is_odd(*network, frame), frame.made.odd == odd)
        << "seq " << (frame.made.seq ? to_int(*frame.made.seq) : 0);
    if (frame.made.odd == odd) ++found;
    const FrameScan scan = scan_frame(frame.made.bytes);
    EXPECT_EQ(scan.why, odd == Odd::info && frame.made.odd ? Unarchivable::info_frame
                                                           : Unarchivable::archivable);
  }
  EXPECT_GT(found, 15U);
  EXPECT_LT(found, 80U);
}

const Commit* commit_of(const Frame& frame) { return std::get_if<Commit>(&frame.event); }

TEST(SimOdd, LegacyCommitsLackWhatCameIn2025) {
  expect_odd(Odd::legacy, [](const Network& network, const Frame& frame) {
    const Commit* commit = commit_of(frame);
    if (commit == nullptr || commit->prev_data) return false;
    const std::string names = faults(network, frame);
    for (const RepoOp& op : commit->ops) EXPECT_FALSE(op.prev.has_value());
    return names.find("prev_data_absent") != std::string::npos &&
           names.find("signature") == std::string::npos;
  });
}

TEST(SimOdd, EmptyCommitsLeaveTheTreeAlone) {
  expect_odd(Odd::empty, [](const Network& network, const Frame& frame) {
    const Commit* commit = commit_of(frame);
    if (commit == nullptr || !commit->ops.empty()) return false;
    CommitProof proof(*commit);
    EXPECT_EQ(proof.blocks().blocks().size(), 1U);
    EXPECT_TRUE(equal(proof.repo_commit()->data, commit->prev_data->bytes()));
    return faults(network, frame).empty();
  });
}

TEST(SimOdd, TooBigCommitsCarryTheirCommitBlockAlone) {
  expect_odd(Odd::too_big, [](const Network&, const Frame& frame) {
    const Commit* commit = commit_of(frame);
    if (commit == nullptr || !commit->is_too_big) return false;
    EXPECT_TRUE(commit->ops.empty());
    EXPECT_FALSE(commit->prev_data.has_value());
    return CommitProof(*commit).blocks().blocks().size() == 1;
  });
}

TEST(SimOdd, LongKeysHaveAThousandBytes) {
  expect_odd(Odd::long_key, [](const Network& network, const Frame& frame) {
    const Commit* commit = commit_of(frame);
    if (commit == nullptr || commit->ops.empty()) return false;
    // A tree can have such a key; it is none that a collection and a record key make.
    const bool is_long = commit->ops.front().path.size() == 1'000;
    EXPECT_EQ(faults(network, frame), is_long ? "op_path_invalid" : "");
    return is_long;
  });
}

TEST(SimOdd, NonCanonicalEnvelopesSayTheSameInOtherBytes) {
  expect_odd(Odd::non_canonical, [](const Network& network, const Frame& frame) {
    const ByteView bytes = frame.made.bytes;
    const auto header = check_cbor(bytes, {});
    if (!header) return false;
    if (check_cbor(bytes.subspan(*header), {}).has_value()) return false;
    EXPECT_EQ(faults(network, frame), "");
    return true;
  });
}

TEST(SimOdd, BigRecordsAreOfAHundredKilobytesAndMore) {
  auto network = odd_network(Odd::big_record, 60, 150);
  std::size_t found = 0;
  for (const Frame& frame : make(*network)) {
    const std::size_t bytes = frame.made.bytes.size();
    EXPECT_EQ(bytes > 100'000, frame.made.odd == Odd::big_record);
    if (!frame.made.odd) continue;
    ++found;
    EXPECT_LT(bytes, 1'000'000U);
    EXPECT_EQ(faults(*network, frame), "");
  }
  EXPECT_GT(found, 2U);
}

TEST(SimOdd, ManyOperationsAreTwoHundred) {
  expect_odd(Odd::many_ops, [](const Network& network, const Frame& frame) {
    const Commit* commit = commit_of(frame);
    if (commit == nullptr || commit->ops.size() != 200) return false;
    EXPECT_EQ(faults(network, frame), "");
    return true;
  });
}

TEST(SimOdd, AccountsThatAreGoneSayNothingMore) {
  for (const auto& [odd, status] :
       {std::pair{Odd::takedown, "takendown"}, std::pair{Odd::deletion, "deleted"}}) {
    auto network = odd_network(odd, 30, 1'000);
    std::set<std::uint64_t> gone;
    for (const Frame& frame : make(*network)) {
      EXPECT_FALSE(gone.contains(frame.made.account));
      const auto* account = std::get_if<Account>(&frame.event);
      const bool is_gone = account != nullptr && account->status == status;
      EXPECT_EQ(is_gone, frame.made.odd == odd);
      if (is_gone) gone.insert(frame.made.account);
    }
    EXPECT_GT(gone.size(), 5U);
  }
}

TEST(SimOdd, RevsThatGoBackAreBelowTheOnesTheySucceed) {
  expect_odd(Odd::rev_back, [](const Network& network, const Frame& frame) {
    const Commit* commit = commit_of(frame);
    if (commit == nullptr) return false;
    EXPECT_EQ(faults(network, frame), "");
    return commit->since.value && *commit->rev < *commit->since.value;
  });
}

TEST(SimOdd, InfoHasNoSeqAndTakesNone) {
  expect_odd(Odd::info, [](const Network&, const Frame& frame) {
    const auto* info = std::get_if<Info>(&frame.event);
    EXPECT_EQ(frame.made.seq.has_value(), info == nullptr);
    return info != nullptr && info->name == "OutdatedCursor" && !info->seq;
  });
}

TEST(SimOdd, DidsOfTheWebAreOfWholeAccounts) {
  auto network = odd_network(Odd::did_web, 200, 500);
  std::map<std::uint64_t, bool> is_web;
  for (const Frame& frame : make(*network)) {
    const Commit* commit = commit_of(frame);
    if (commit == nullptr) continue;
    EXPECT_EQ(commit->repo, network->did(frame.made.account));
    EXPECT_EQ(faults(*network, frame), "");
    is_web[frame.made.account] = commit->repo.starts_with("did:web:");
  }
  const auto web =
      std::count_if(is_web.begin(), is_web.end(), [](const auto& e) { return e.second; });
  const double share = static_cast<double>(web) / static_cast<double>(is_web.size());
  EXPECT_NEAR(share, 0.2, 0.08);
}

TEST(SimNetworkDocs, DocumentHasTheFormOfPlcDirectory) {
  auto network = Network::create(of_frames(1)).value();
  const json document = json::parse(network->did_document(0));
  EXPECT_EQ(document["id"], network->did(0));
  EXPECT_EQ(document["verificationMethod"][0]["id"], network->did(0) + "#atproto");
  EXPECT_EQ(document["verificationMethod"][0]["type"], "Multikey");
  EXPECT_EQ(document["verificationMethod"][0]["controller"], network->did(0));
  EXPECT_EQ(document["service"][0]["id"], "#atproto_pds");
  EXPECT_EQ(document["service"][0]["type"], "AtprotoPersonalDataServer");
  const std::string handle = document["alsoKnownAs"][0];
  ASSERT_TRUE(handle.starts_with("at://"));
  EXPECT_TRUE(Handle::parse(handle.substr(5)).has_value());
}

}  // namespace
}  // namespace standpipe::tools::sim
