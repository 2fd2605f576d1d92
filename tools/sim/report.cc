#include "tools/sim/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "schema/car_blocks.h"
#include "schema/event.h"
#include "schema/ids.h"
#include "schema/mst_node.h"

namespace standpipe::tools::sim {
namespace {

constexpr std::size_t kSizes = 1 << 16;
constexpr std::array<std::uint64_t, 4> kWithinMicros = {10'000'000, 60'000'000, 600'000'000,
                                                        3'600'000'000};

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}
double percent(std::uint64_t part, std::uint64_t whole) { return 100 * ratio(part, whole); }

std::uint64_t micros_of(std::string_view rev) {
  const auto tid = Tid::parse(rev);
  return tid ? tid->parts().micros : 0;
}

}  // namespace

Result<void> Report::take(ByteView frame) {
  const FrameScan scan = scan_frame(frame);
  ++frames_;
  bytes_ += frame.size();
  const FrameKind kind = scan.envelope.kind;
  ++kinds_[kind];
  if (kind != FrameKind::commit) return {};
  if (sizes_.empty()) sizes_.resize(kSizes);
  ++sizes_[std::min(frame.size(), kSizes - 1)];
  commit_bytes_ += frame.size();
  if ((kinds_[kind] - 1) % kDetailEvery != 0) return {};
  return look_into(frame);
}

Result<void> Report::look_into(ByteView frame) {
  STANDPIPE_TRY(const Event event, decode_event(frame));
  const Commit& commit = std::get<Commit>(event);
  STANDPIPE_TRY(const CarBlocks blocks, CarBlocks::read(commit.blocks));
  ++details_.commits;
  details_.ops += commit.ops.size();
  if (commit.ops.size() == 1) ++details_.single_op;
  for (const RepoOp& op : commit.ops) {
    if (op.cid) ++details_.records;
    std::string name(op.action);
    name += ' ';
    name += op.path.substr(0, std::min<std::size_t>(op.path.find('/'), 64));
    ++operations_[name];
  }
  MstNode node;
  bool is_behind_commit = false;
  bool has_proof_nodes = false;
  const auto count_foreign = [&](ByteView cid) {
    if (!blocks.find(cid)) ++details_.foreign_cids;
  };
  for (const CarBlock& block : blocks.blocks()) {
    if (equal(block.cid, commit.commit.bytes())) is_behind_commit = true;
    if (!read_mst_node(block.bytes, node)) continue;
    ++details_.nodes;
    details_.entries += node.entries.size();
    has_proof_nodes = has_proof_nodes || is_behind_commit;
    if (node.left) count_foreign(blessed_cid(*node.left));
    for (const MstNodeEntry& entry : node.entries) {
      count_foreign(entry.value);
      if (entry.right) count_foreign(blessed_cid(*entry.right));
    }
  }
  if (has_proof_nodes) ++details_.with_proof_nodes;
  if (commit.since.value && commit.rev) {
    ++details_.chained;
    const std::uint64_t gap = micros_of(*commit.rev) - micros_of(*commit.since.value);
    for (std::size_t i = 0; i < kWithinMicros.size(); ++i) {
      if (gap <= kWithinMicros[i]) ++details_.within[i];
    }
  }
  return {};
}

std::uint64_t Report::size_at(std::uint64_t per_mille) const {
  std::uint64_t total = 0;
  for (const std::uint32_t count : sizes_) total += count;
  std::uint64_t below = 0;
  for (std::size_t size = 0; size < sizes_.size(); ++size) {
    below += sizes_[size];
    if (below * 1000 >= total * per_mille) return size;
  }
  return 0;
}

double Report::share_of_ops(const std::string& operation) const {
  const auto found = operations_.find(operation);
  return found == operations_.end() ? 0 : percent(found->second, details_.ops);
}

std::vector<Figure> Report::figures() const {
  const auto kind = [this](FrameKind wanted) {
    const auto found = kinds_.find(wanted);
    return found == kinds_.end() ? std::uint64_t{0} : found->second;
  };
  const std::uint64_t commits = kind(FrameKind::commit);
  const Details& of = details_;
  std::uint64_t deletes = 0;
  std::uint64_t updates = 0;
  for (const auto& [name, count] : operations_) {
    if (name.starts_with("delete ")) deletes += count;
    if (name.starts_with("update ")) updates += count;
  }
  return {
      {"commits of all frames", "%", percent(commits, frames_), 98.4},
      {"identities of all frames", "%", percent(kind(FrameKind::identity), frames_), 1.1},
      {"accounts of all frames", "%", percent(kind(FrameKind::account), frames_), 0.5},
      {"commit, mean", "B", ratio(commit_bytes_, commits), 5525},
      {"commit, p10", "B", static_cast<double>(size_at(100)), 3634},
      {"commit, median", "B", static_cast<double>(size_at(500)), 5430},
      {"commit, p90", "B", static_cast<double>(size_at(900)), 7412},
      {"commit, p99", "B", static_cast<double>(size_at(990)), 9000},
      {"MST nodes per commit", "", ratio(of.nodes, of.commits), 8.44},
      {"entries per MST node", "", ratio(of.entries, of.nodes), 4.64},
      {"CIDs per commit of what is not in it", "", ratio(of.foreign_cids, of.commits), 68.0},
      {"records per commit", "", ratio(of.records, of.commits), 0.99},
      {"commits with one operation", "%", percent(of.single_op, of.commits), 98.9},
      {"commits with nodes for their proof alone", "%", percent(of.with_proof_nodes, of.commits),
       21.7},
      {"operations that create a like", "%", share_of_ops("create app.bsky.feed.like"), 69.6},
      {"operations that create a post", "%", share_of_ops("create app.bsky.feed.post"), 10.3},
      {"operations that create a repost", "%", share_of_ops("create app.bsky.feed.repost"), 10.3},
      {"operations that create a follow", "%", share_of_ops("create app.bsky.graph.follow"), 4.3},
      {"operations that delete", "%", percent(deletes, of.ops), 2.7},
      {"operations that update", "%", percent(updates, of.ops), 1.1},
      {"commits within 10 s of the one before", "%", percent(of.within[0], of.chained), 37},
      {"commits within 1 min of the one before", "%", percent(of.within[1], of.chained), 69},
      {"commits within 10 min of the one before", "%", percent(of.within[2], of.chained), 83},
      {"commits within 1 h of the one before", "%", percent(of.within[3], of.chained), 88},
  };
}

std::string to_text(const std::vector<Figure>& figures) {
  std::string out = fmt::format("  {:<42}{:>12}{:>12}\n", "", "simulated", "real");
  for (const Figure& figure : figures) {
    const int places = figure.unit == "B" ? 0 : figure.unit == "%" ? 1 : 2;
    out += fmt::format("  {:<42}{:>12.{}f}{:>12.{}f} {}\n", figure.name, figure.simulated, places,
                       figure.real, places, figure.unit);
  }
  return out;
}

}  // namespace standpipe::tools::sim
