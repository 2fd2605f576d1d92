#include "schema/mst_inversion.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "schema/ids.h"

namespace standpipe {
namespace {

InversionFinding finding(InversionFault fault, std::size_t op, std::string detail) {
  return {fault, op, std::move(detail)};
}

InversionFinding from_error(const Error& error, std::size_t op) {
  const InversionFault fault = error.code == Errc::not_found ? InversionFault::node_missing
                               : error.code == Errc::limit   ? InversionFault::limit
                                                             : InversionFault::bad_op;
  return finding(fault, op, error.detail);
}

std::optional<InversionFinding> undo(Mst& tree, const MstOp& op, std::size_t at) {
  const bool is_create = op.action == MstAction::create;
  const auto result = is_create ? tree.erase(op.key) : tree.put(op.key, op.before);
  if (!result) return from_error(result.error(), at);
  const std::optional<Cid>& held = *result;
  if (op.action == MstAction::erase) {
    if (!held) return std::nullopt;
    return finding(InversionFault::key_present, at,
                   quoted_for_error(op.key) + " is in the tree, as " + held->to_string());
  }
  if (!held) {
    return finding(InversionFault::key_absent, at,
                   quoted_for_error(op.key) + " is not in the tree");
  }
  if (equal(held->bytes(), op.after)) return std::nullopt;
  return finding(InversionFault::value_differs, at,
                 quoted_for_error(op.key) + " is " + held->to_string() + " in the tree");
}

}  // namespace

std::optional<InversionFinding> invert_ops(Mst& tree, std::span<const MstOp> ops) {
  std::vector<std::size_t> order(ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) order[i] = i;
  // What was erased comes back first: with the tree at its fullest, least is missing.
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const bool is_a_late = ops[a].action != MstAction::erase;
    const bool is_b_late = ops[b].action != MstAction::erase;
    return std::tie(is_a_late, ops[a].key, a) < std::tie(is_b_late, ops[b].key, b);
  });
  // Two operations on one key could be made to cancel out.
  std::vector<std::string_view> keys;
  for (const MstOp& op : ops) keys.push_back(op.key);
  std::sort(keys.begin(), keys.end());
  const auto repeated = std::adjacent_find(keys.begin(), keys.end());
  if (repeated != keys.end()) {
    const auto op = std::find_if(ops.begin(), ops.end(),
                                 [&](const MstOp& each) { return each.key == *repeated; });
    return finding(InversionFault::bad_op, static_cast<std::size_t>(op - ops.begin()),
                   "two operations on " + quoted_for_error(*repeated));
  }
  for (const std::size_t at : order) {
    if (auto found = undo(tree, ops[at], at)) return found;
  }
  return std::nullopt;
}

}  // namespace standpipe
