#include "tools/tree_json.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "schema/cid.h"
#include "schema/mst_node.h"
#include "tools/values.h"

namespace standpipe::tools {
namespace {

// Fields stay in the order in which they are written here: a tree is read by people, too.
using json = nlohmann::ordered_json;
using OpNumbers = std::vector<std::size_t>;

constexpr std::size_t kNodesMax = 1'000;
constexpr std::size_t kEntriesMax = 10'000;
constexpr std::size_t kCidShown = 8;

class TreeWriter {
 public:
  TreeWriter(const Commit& commit, const CarBlocks& blocks) : ops_(commit.ops), blocks_(blocks) {}

  // The node with this CID, through which lead the paths of `ops`. Blocks are foreign: one may even
  // name itself as its child, so the depth is held to what a tree can have.
  json node(ByteView cid, std::optional<int> layer, const OpNumbers& ops, int depth) {
    json out = {{"cid", cid_to_string(cid)}, {"held", false}};
    const auto block = blocks_.find(cid);
    if (!block) return out;
    out["held"] = true;
    if (nodes_ >= kNodesMax || entries_ >= kEntriesMax || depth > kMstLayerMax) {
      out["more"] = true;
      return out;
    }
    ++nodes_;
    MstNode read;
    if (const auto is_node = read_mst_node(*block, read); !is_node) {
      out["error"] = is_node.error().detail;
      return out;
    }
    if (!read.entries.empty()) layer = mst_layer(read.key(0));
    out["layer"] = layer ? json(*layer) : json();
    out["ops"] = ops;
    out["entries"] = entries(read, layer, ops, depth);
    return out;
  }

 private:
  json entries(const MstNode& read, std::optional<int> layer, OpNumbers ops, int depth) {
    json out = json::array();
    const auto add_child = [&](const std::optional<Sha256Digest>& child, const OpNumbers& through) {
      if (!child) return;
      std::optional<int> below;
      if (layer && *layer > 0) below = *layer - 1;
      out.push_back({{"child", node(blessed_cid(*child), below, through, depth + 1)}});
    };
    // The operations whose keys lie before `key` are taken out of `ops`.
    const auto take_before = [&](std::string_view key) {
      OpNumbers before;
      std::erase_if(ops, [&](std::size_t op) {
        const bool is_before = ops_[op].path < key;
        if (is_before) before.push_back(op);
        return is_before;
      });
      return before;
    };
    std::optional<Sha256Digest> child = read.left;
    for (std::size_t i = 0; i < read.entries.size(); ++i) {
      const std::string_view key = read.key(i);
      add_child(child, take_before(key));
      OpNumbers on_key;
      std::erase_if(ops, [&](std::size_t op) {
        if (ops_[op].path != key) return false;
        on_key.push_back(op);
        return true;
      });
      ++entries_;
      out.push_back(
          {{"key", key}, {"value", cid_to_string(read.entries[i].value)}, {"ops", on_key}});
      child = read.entries[i].right;
    }
    add_child(child, ops);
    return out;
  }

  const std::vector<RepoOp>& ops_;
  const CarBlocks& blocks_;
  std::size_t nodes_ = 0;
  std::size_t entries_ = 0;
};

std::string short_cid(const json& cid) {
  const std::string& text = cid.get_ref<const std::string&>();
  return ".." + text.substr(text.size() - std::min(text.size(), kCidShown));
}

std::string marks_of(const json& ops) {
  return ops.empty() ? "" : fmt::format("  <- op {}", fmt::join(ops.get<OpNumbers>(), ", "));
}

void add_lines(std::string& out, const json& node, std::size_t depth) {
  const std::string indent(depth * 2, ' ');
  out += indent + short_cid(node["cid"]);
  if (!node["held"].get<bool>()) {
    out += "  not in the CAR\n";
    return;
  }
  if (node.contains("more")) {
    out += "  and more\n";
    return;
  }
  if (node.contains("error")) {
    out += "  no MST node: " + one_line(node["error"].get<std::string>()) + "\n";
    return;
  }
  out += fmt::format("  layer {}{}\n", node["layer"].is_null() ? "?" : node["layer"].dump(),
                     marks_of(node["ops"]));
  for (const json& entry : node["entries"]) {
    if (entry.contains("child")) {
      add_lines(out, entry["child"], depth + 1);
      continue;
    }
    out += fmt::format("{}  {} -> {}{}\n", indent, entry["key"].get<std::string>(),
                       short_cid(entry["value"]), marks_of(entry["ops"]));
  }
}

}  // namespace

json tree_as_json(const Commit& commit, const CarBlocks& blocks, ByteView root) {
  OpNumbers all(commit.ops.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  return TreeWriter(commit, blocks).node(root, std::nullopt, all, 0);
}

std::string tree_as_text(const json& tree) {
  std::string out;
  add_lines(out, tree, 1);
  return out;
}

}  // namespace standpipe::tools
