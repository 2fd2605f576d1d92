// The repository layer: a tree of a million keys, and what checking a real commit costs beyond the
// arithmetic of its signature.
//
// Usage: repo_bench [--scale X] [--json]
// Commits are those of the public corpus (STANDPIPE_SHARED), each with its key already parsed.

#include <fmt/format.h>
#include <malloc.h>
#include <openssl/sha.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "schema/commit_proof.h"
#include "schema/event.h"
#include "schema/hash.h"
#include "schema/ids.h"
#include "schema/mst.h"
#include "tests/support/bench_report.h"
#include "tests/support/bulk_frames.h"
#include "tests/support/mst_trees.h"
#include "tests/support/real_commits.h"
#include "tests/support/shared_data.h"

namespace standpipe::test {
namespace {

constexpr int kRounds = 25;

// Of the processor: other jobs on the machine do not count.
double cpu_seconds(const std::function<void()>& work) {
  const Stopwatch stopwatch;
  work();
  return stopwatch.elapsed().cpu_seconds;
}

// ---- the tree ----

std::size_t heap_bytes() {
  const struct mallinfo2 heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

// Keys as accounts have them: records of a few collections, named by time.
std::vector<std::string> make_keys(std::size_t count) {
  const char* const collections[] = {"app.bsky.feed.like/", "app.bsky.feed.like/",
                                     "app.bsky.feed.post/", "app.bsky.graph.follow/"};
  Random random(1);
  std::vector<std::string> keys;
  keys.reserve(count);
  std::uint64_t micros = 1'700'000'000'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    micros += 1 + random.below(20'000'000);
    const Tid rkey = Tid::from_parts({micros, static_cast<unsigned>(random.below(1024))});
    keys.push_back(collections[random.below(4)] + rkey.text());
  }
  return keys;
}

void insert_all(Mst& mst, const std::vector<std::string>& keys, const std::vector<Bytes>& values) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto before = mst.put(keys[i], values[i % values.size()]);
    STANDPIPE_ASSERT(before, before.error().detail);
  }
}

void bench_tree(std::size_t count, std::vector<BenchRow>& rows) {
  std::vector<std::string> keys = make_keys(count);
  std::vector<Bytes> values;
  for (std::uint64_t i = 0; i < 1000; ++i) values.push_back(record_cid(i));
  const auto per_key_us = [&](double seconds) {
    return seconds * 1e6 / static_cast<double>(count);
  };

  const std::size_t heap_before = heap_bytes();
  Mst mst;
  const double rising = cpu_seconds([&] { insert_all(mst, keys, values); });
  const double hashing = cpu_seconds([&] { mst.root(); });
  const double bytes = static_cast<double>(heap_bytes() - heap_before) / static_cast<double>(count);
  rows.push_back(bench_row("MST insert, keys by time", "-", per_key_us(rising), "us/key",
                           fmt::format("{} keys; all nodes hashed afterwards: {:.3f} us/key", count,
                                       per_key_us(hashing)),
                           20));
  rows.push_back(bench_row(
      "MST memory", "-", bytes, "bytes/key",
      fmt::format("on the heap; {} of them are key and CID", keys[0].size() + kBlessedCidBytes)));

  std::size_t at = 0;
  constexpr std::size_t kCommits = 20'000;
  const double commits = cpu_seconds([&] {
    for (std::size_t i = 0; i < kCommits; ++i) {
      at = (at + 7919) % count;
      STANDPIPE_ASSERT(mst.put(keys[at], values[(i + at + 1) % values.size()]), "a key of ours");
      mst.root();
    }
  });
  rows.push_back(bench_row("MST update and new root", "-", commits * 1e6 / kCommits, "us",
                           fmt::format("random keys of {}", count)));

  Random random(2);
  for (std::size_t i = keys.size(); i > 1; --i) std::swap(keys[i - 1], keys[random.below(i)]);
  Mst shuffled;
  const double random_order = cpu_seconds([&] { insert_all(shuffled, keys, values); });
  rows.push_back(bench_row("MST insert, random order", "-", per_key_us(random_order), "us/key",
                           fmt::format("{} keys", count), 20));
}

// ---- commits ----

struct Signed {
  Bytes frame;
  Event event;
  const PublicKey* key;
  Sha256Digest digest{};
  Bytes signature;

  const Commit& commit() const { return std::get<Commit>(event); }
};

std::vector<Signed> load_commits(const std::map<std::string, PublicKey>& keys) {
  std::vector<Signed> commits;
  for (Bytes& frame : read_signed_commits()) {
    Event event = decode_event(frame).value();
    const Commit& commit = std::get<Commit>(event);
    const PublicKey* key = &keys.at(std::string(commit.repo));
    const CommitProof proof(commit);
    const RepoCommit& object = *proof.repo_commit();
    const Sha256Digest digest = object.unsigned_digest;
    Bytes signature = to_bytes(*object.sig);
    commits.push_back({std::move(frame), std::move(event), key, digest, std::move(signature)});
  }
  return commits;
}

void bench_commits(std::vector<BenchRow>& rows) {
  const std::map<std::string, PublicKey> keys = read_signing_keys();
  const std::vector<Signed> commits = load_commits(keys);
  std::size_t wrong = 0;
  const auto for_each = [&](const std::function<bool(const Signed&)>& is_good) {
    return [&commits, &wrong, is_good] {
      for (const Signed& each : commits) {
        if (!is_good(each)) ++wrong;
      }
    };
  };
  const auto bare = for_each([](const Signed& each) {
    return each.key->verify(each.digest, each.signature) == SignatureCheck::valid;
  });
  const auto structure = for_each([](const Signed& each) {
    CommitFindings findings;
    const CommitProof proof(each.commit());
    proof.check_blocks(findings);
    proof.check_commit(findings);
    proof.check_signature(*each.key, findings);
    return findings.empty();
  });
  const auto whole = for_each([](const Signed& each) {
    CommitProof proof(each.commit());
    CommitFindings findings = proof.check_all();
    proof.check_signature(*each.key, findings);
    return findings.empty();
  });
  const auto decoding =
      for_each([](const Signed& each) { return decode_event(each.frame).has_value(); });
  const auto one_shot = for_each([](const Signed& each) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const CarBlocks blocks = CarBlocks::read(each.commit().blocks).value();
    for (const CarBlock& block : blocks.blocks()) {
      SHA256(reinterpret_cast<const unsigned char*>(block.bytes.data()), block.bytes.size(),
             digest);
    }
    return true;
  });
  const auto hashing = for_each([](const Signed& each) {
    const CarBlocks blocks = CarBlocks::read(each.commit().blocks).value();
    for (const CarBlock& block : blocks.blocks()) sha256(block.bytes);
    return true;
  });

  const std::function<void()> works[] = {bare, structure, whole, decoding, one_shot, hashing};
  double best[std::size(works)];
  std::fill(std::begin(best), std::end(best), std::numeric_limits<double>::max());
  for (int round = 0; round < kRounds; ++round) {  // in turn, so that all see the same machine
    for (std::size_t i = 0; i < std::size(works); ++i) {
      best[i] =
          std::min(best[i], cpu_seconds(works[i]) * 1e6 / static_cast<double>(commits.size()));
    }
  }
  STANDPIPE_ASSERT(wrong == 0, "a real commit does not verify");
  rows.push_back(bench_row("commit: blocks, object, signature", "its signature alone",
                           best[1] / best[0], "x",
                           fmt::format("{:.1f} us against {:.1f} us", best[1], best[0]), 1.25));
  rows.push_back(bench_row("the same with MST inversion", "its signature alone", best[2] / best[0],
                           "x", fmt::format("{:.1f} us against {:.1f} us", best[2], best[0]),
                           1.25));
  rows.push_back(bench_row("SHA-256 of its blocks", "one-shot SHA256()", best[5] / best[4], "x",
                           fmt::format("{:.2f} us against {:.2f} us", best[5], best[4]), 1));
  rows.push_back(bench_row("commits verified in full", "-", 1e6 / (best[2] + best[3]),
                           "/s per core",
                           fmt::format("{:.1f} us each, {:.1f} us of it decoding the frame",
                                       best[2] + best[3], best[3])));
}

int run(double scale, bool is_json) {
  if (!find_shared_dir()) {
    fmt::print(stderr, "repo_bench: no real commits here: set STANDPIPE_SHARED\n");
    return 1;
  }
  std::vector<BenchRow> rows;
  bench_tree(std::max<std::size_t>(1000, static_cast<std::size_t>(1e6 * scale)), rows);
  bench_commits(rows);
  fmt::print("{}", is_json ? format_rows_json("repo_bench", rows) : format_rows(rows));
  return 0;
}

}  // namespace
}  // namespace standpipe::test

int main(int argc, char** argv) {
  CLI::App app("The repository layer against the numbers it has to reach");
  double scale = 1;
  bool is_json = false;
  app.add_option("--scale", scale, "1: a tree of a million keys")->check(CLI::Range(0.001, 10.0));
  app.add_flag("--json", is_json, "one JSON object");
  CLI11_PARSE(app, argc, argv);
  return standpipe::test::run(scale, is_json);
}
