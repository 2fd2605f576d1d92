// The gap ledger of one epoch in memory: why seqs are absent, as disjoint rows.
//
// A gap (after, before) explains the seqs strictly between its ends: after+1 .. before-1. Two gaps
// touch when no seq lies between what they explain: the left one's `before` is next(the right one's
// `after`). Rows never overlap: the first explanation of a seq stays.
#pragma once

#include <cstddef>
#include <vector>

#include "schema/base/result.h"
#include "storage/types.h"

namespace standpipe::storage {

// What add() did to the rows, for whoever keeps them on disk: first remove, then put.
struct GapChanges {
  std::vector<Seq> removed;  // `after` of rows that are gone
  std::vector<Gap> put;      // new rows, and new values of old ones
  bool empty() const { return removed.empty() && put.empty(); }
};

// A value. Not thread-safe. Costs: lookup O(log rows), add O(rows).
class GapSet {
 public:
  GapSet() = default;
  // corrupt if a row explains nothing, or two rows explain one seq. Any order.
  static Result<GapSet> from_rows(std::vector<Gap> rows);

  // Explains the seqs of `gap` that no row explains yet: it is cut around the rows that are there.
  // A piece merges with a row that it touches if reason and detail are the same (a detail may name
  // who was erased, so rows with different ones stay apart); the merged row was recorded when its
  // newest part was. Requires at least one seq between the ends; aborts otherwise.
  GapChanges add(const Gap& gap);

  // Rows that explain a seq strictly between `after` and `before`, oldest first, whole, at most
  // `max`.
  std::vector<Gap> query(Seq after, Seq before, std::size_t max) const;
  bool covers(Seq seq) const { return find(seq) != nullptr; }
  const Gap* find(Seq seq) const;  // the row that explains it; null if none. Until the next add().

  const std::vector<Gap>& rows() const { return rows_; }  // by `after`, disjoint
  const GapTotals& totals() const { return totals_; }

 private:
  // Index of the first row that explains a seq at or above `seq`; rows_.size() if none does.
  std::size_t index_from(Seq seq) const;
  void add_piece(Gap piece, GapChanges& changes);

  std::vector<Gap> rows_;
  GapTotals totals_;  // of rows_
};

}  // namespace standpipe::storage
