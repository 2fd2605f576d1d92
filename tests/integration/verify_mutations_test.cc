// `standpipe verify` finds any single changed byte of what a commit proves: over real commits and
// simulated ones, in a sample of positions. The tables that these tests print are those of
// docs/verify.md.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "schema/event.h"
#include "schema/hash.h"
#include "schema/mst_node.h"
#include "tests/support/frame_regions.h"
#include "tests/support/real_commits.h"
#include "tests/support/scale.h"
#include "tests/support/shared_data.h"
#include "tests/support/verify_fixture.h"

namespace standpipe::test {
namespace {

using nlohmann::json;

constexpr std::int64_t kFirstSeq = 40'000'000'000;

struct Mutant {
  Bytes frame;
  std::string did;
  std::string region;
  std::string change;  // "byte 812 of 5120, xor 0x04": for people
};

const Commit& commit_of(const Event& event) { return std::get<Commit>(event); }

Mutant mutate(const Bytes& frame, const FrameRegion& region, std::size_t at, unsigned flip) {
  Mutant mutant;
  const Event event = decode_event(frame).value();
  mutant.did = commit_of(event).repo;
  mutant.region = region.name;
  mutant.change = fmt::format("byte {} of {}, xor 0x{:02x}", at, frame.size(), flip);
  mutant.frame = frame;
  mutant.frame[at] ^= static_cast<std::byte>(flip);
  return mutant;
}

// In each region that must be found as many as `per_region`, in each other one one.
void sample(const Bytes& frame, std::size_t per_region, std::mt19937_64& random,
            std::vector<Mutant>& mutants) {
  for (const FrameRegion& region : regions_of_commit(frame)) {
    if (region.name == "seq") continue;  // by it they are told apart
    const std::size_t count = is_proved(region.name) ? per_region : 1;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t at = region.begin + random() % (region.end - region.begin);
      mutants.push_back(mutate(frame, region, at, 1 + static_cast<unsigned>(random() % 255)));
    }
  }
}

// Every byte, in one way.
void sweep(const Bytes& frame, std::mt19937_64& random, std::vector<Mutant>& mutants) {
  for (const FrameRegion& region : regions_of_commit(frame)) {
    if (region.name == "seq") continue;
    for (std::size_t at = region.begin; at < region.end; ++at) {
      mutants.push_back(mutate(frame, region, at, 1 + static_cast<unsigned>(random() % 255)));
    }
  }
}

struct Row {
  std::size_t mutants = 0;
  std::size_t found = 0;
  std::map<std::string, std::size_t> by;  // of how many mutants a check found something
};
using Table = std::map<std::string, Row>;

void print(const std::string& title, const Table& table) {
  std::string text =
      fmt::format("\n{}\n\n| changed byte in | changed | found | by |\n|---|---|---|---|\n", title);
  for (const auto& [region, row] : table) {
    std::vector<std::pair<std::size_t, std::string>> by;
    for (const auto& [check, count] : row.by) by.emplace_back(count, check);
    std::sort(by.rbegin(), by.rend());
    std::string names;
    for (const auto& [count, check] : by) {
      names += fmt::format("{}`{}` {}", names.empty() ? "" : ", ", check, count);
    }
    text += fmt::format("| {} | {} | {} | {} |\n", region, row.mutants, row.found, names);
  }
  fmt::print("{}\n", text);
}

class VerifyMutations : public VerifyFixture {
 protected:
  // Judges the mutants, each as a frame of its own: an #account before and behind it, so that no
  // chain connects them.
  Table judge(const std::vector<Mutant>& mutants, const std::vector<std::string>& more) {
    std::vector<Bytes> frames;
    std::int64_t seq = kFirstSeq;
    for (const Mutant& mutant : mutants) {
      frames.push_back(with_seq(mutant.frame, seq++));
      frames.push_back(account_frame(mutant.did, seq++));
    }
    std::vector<std::string> arguments = {"--findings-max", "100000000"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const VerifyReport report = verify_frames(frames, std::move(arguments));
    EXPECT_EQ(report.status, 1) << report.err;
    EXPECT_EQ(report.summary["frames"], frames.size());
    return tabulate(mutants, report);
  }

  static Table tabulate(const std::vector<Mutant>& mutants, const VerifyReport& report) {
    std::vector<std::set<std::string>> found(mutants.size());
    for (const json& finding : report.findings) {
      const std::size_t frame = finding["seq"].is_null()
                                    ? finding["frame"].get<std::size_t>() - 1
                                    : finding["seq"].get<std::size_t>() - kFirstSeq;
      EXPECT_EQ(frame % 2, 0U) << "of an #account: " << finding;
      if (frame / 2 < found.size()) found[frame / 2].insert(finding["what"].get<std::string>());
    }
    Table table;
    for (std::size_t i = 0; i < mutants.size(); ++i) {
      Row& row = table[mutants[i].region];
      ++row.mutants;
      row.found += found[i].empty() ? 0U : 1U;
      for (const std::string& check : found[i]) ++row.by[check];
      if (found[i].empty() && is_proved(mutants[i].region)) {
        ADD_FAILURE() << mutants[i].region << " of " << mutants[i].did << ": " << mutants[i].change
                      << " was not found";
      }
    }
    return table;
  }

  // The same frames without a change: what is found of mutants is found of the change.
  void expect_clean_originals(const std::vector<Bytes>& originals,
                              const std::vector<std::string>& more) {
    std::vector<Bytes> frames;
    std::int64_t seq = kFirstSeq;
    for (const Bytes& frame : originals) {
      const Event event = decode_event(frame).value();
      frames.push_back(with_seq(frame, seq++));
      frames.push_back(account_frame(commit_of(event).repo, seq++));
    }
    expect_clean(verify_frames(frames, more));
  }

  // The commits among the frames of a simulation, whose documents are then in "sim.docs".
  std::vector<Bytes> simulated_commits(std::size_t count) {
    const std::string file = dir / "sim.bin.zst";
    const Outcome outcome =
        run_standpipe({"simulate", "--seed", "11", "--frames", std::to_string(2 * count),
                       "--accounts", "200", "--first-seq", "30000000000", "--output", file,
                       "--did-docs", dir / "sim.docs", "--quiet"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::vector<Bytes> commits;
    for (Bytes& frame : read_frame_corpus(file)) {
      const Event event = decode_event(frame).value();
      if (std::holds_alternative<Commit>(event)) commits.push_back(std::move(frame));
      if (commits.size() == count) break;
    }
    EXPECT_EQ(commits.size(), count);
    return commits;
  }
};

// The smallest of the commits whose first operation is of that action.
const Bytes& smallest(const std::vector<Bytes>& commits, std::string_view action) {
  const Bytes* found = nullptr;
  for (const Bytes& frame : commits) {
    const Event event = decode_event(frame).value();
    const auto& ops = commit_of(event).ops;
    if (ops.empty() || ops[0].action != action) continue;
    if (found == nullptr || frame.size() < found->size()) found = &frame;
  }
  STANDPIPE_ASSERT(found != nullptr, "no commit with such an operation");
  return *found;
}

TEST_F(VerifyMutations, AnyChangedByteOfARealCommitIsFound) {
  STANDPIPE_REQUIRE_SHARED();
  const std::vector<Bytes> commits = read_real_commits();
  std::mt19937_64 random(401);
  std::vector<Mutant> mutants;
  const std::size_t per_region = scaled(2);
  for (const Bytes& frame : commits) sample(frame, per_region, random, mutants);
  expect_clean_originals(commits, {});
  print("real commits, without DID documents", judge(mutants, {}));
}

TEST_F(VerifyMutations, AnyChangedByteOfASimulatedCommitIsFound) {
  const std::vector<Bytes> commits = simulated_commits(scaled(600));
  std::mt19937_64 random(402);
  std::vector<Mutant> mutants;
  for (const Bytes& frame : commits) sample(frame, 1, random, mutants);
  const std::vector<std::string> docs = {"--did-docs", dir / "sim.docs"};
  expect_clean_originals(commits, docs);
  print("simulated commits, with DID documents", judge(mutants, docs));
}

TEST_F(VerifyMutations, EveryByteOfACreateAnUpdateAndADeleteIsFound) {
  const std::vector<Bytes> commits = simulated_commits(600);
  std::mt19937_64 random(403);
  std::vector<Mutant> mutants;
  for (const char* action : {"create", "update", "delete"}) {
    sweep(smallest(commits, action), random, mutants);
  }
  print("every byte of three simulated commits", judge(mutants, {}));
}

// Who changes the signature and gives every hash above it its due is found by the key alone.
TEST_F(VerifyMutations, ASignatureUnderRepairedHashesIsFoundWhereThereIsADocument) {
  STANDPIPE_REQUIRE_SHARED();
  std::mt19937_64 random(404);
  std::vector<Mutant> mutants;
  for (const Bytes& frame : read_signed_commits()) {
    const auto regions = regions_of_commit(frame);
    const auto signature =
        std::find_if(regions.begin(), regions.end(),
                     [](const FrameRegion& each) { return each.name == "signature"; });
    ASSERT_NE(signature, regions.end());
    // Behind the head of the byte string, which no hash helps.
    const std::size_t at =
        signature->begin + 2 + random() % (signature->end - signature->begin - 2);
    Mutant mutant = mutate(frame, *signature, at, 1 + static_cast<unsigned>(random() % 255));
    const Event event = decode_event(mutant.frame).value();
    const Commit& commit = commit_of(event);
    const Bytes old_cid = to_bytes(commit.commit.bytes());
    const CarBlocks blocks = CarBlocks::read(commit.blocks).value();
    const BlessedCid new_cid = blessed_cid(sha256(*blocks.find(old_cid)));
    for (auto found = mutant.frame.begin();;) {
      found = std::search(found, mutant.frame.end(), old_cid.begin(), old_cid.end());
      if (found == mutant.frame.end()) break;
      found = std::copy(new_cid.begin(), new_cid.end(), found);
    }
    mutant.region = "signature, hashes repaired";
    mutants.push_back(std::move(mutant));
  }
  const Table table = judge(mutants, {"--did-docs", real_documents()});
  print("real commits, with DID documents", table);
  ASSERT_EQ(table.size(), 1U);
  const Row& row = table.begin()->second;
  EXPECT_EQ(row.by, (std::map<std::string, std::size_t>{{"signature_wrong", mutants.size()}}));

  std::vector<Bytes> frames;
  std::int64_t seq = kFirstSeq;
  for (const Mutant& mutant : mutants) frames.push_back(with_seq(mutant.frame, seq++));
  const VerifyReport blind = verify_frames(frames);
  expect_clean(blind);
  EXPECT_EQ(blind.summary["signatures"]["no_document"], mutants.size());
}

}  // namespace
}  // namespace standpipe::test
