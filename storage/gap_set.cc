#include "storage/gap_set.h"

#include <algorithm>
#include <string>
#include <utility>

#include "schema/base/assert.h"

namespace standpipe::storage {
namespace {

bool explains_something(const Gap& gap) {
  return gap.after >= kSeqNone && gap.before <= next(kSeqMax) &&
         distance(gap.after, gap.before) >= 2;
}

// No seq lies between what `left` and `right` explain, and they say the same of it.
bool merges(const Gap& left, const Gap& right) {
  return left.before == next(right.after) && left.reason == right.reason &&
         left.detail == right.detail;
}

std::uint64_t seqs_of(const Gap& gap) {
  return static_cast<std::uint64_t>(distance(gap.after, gap.before)) - 1;
}

std::string words(const Gap& gap) {
  return "(" + std::to_string(to_int(gap.after)) + ", " + std::to_string(to_int(gap.before)) + ")";
}

// Keeps one entry a key: a row that changes twice is put once, as it is in the end.
void put_row(GapChanges& changes, const Gap& row) {
  if (!changes.put.empty() && changes.put.back().after == row.after) changes.put.pop_back();
  changes.put.push_back(row);
}

}  // namespace

Result<GapSet> GapSet::from_rows(std::vector<Gap> rows) {
  std::sort(rows.begin(), rows.end(), [](const Gap& a, const Gap& b) { return a.after < b.after; });
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!explains_something(rows[i])) {
      return Error{Errc::corrupt, "gap " + words(rows[i]) + " holds no seq"};
    }
    if (i != 0 && rows[i - 1].before > next(rows[i].after)) {
      return Error{Errc::corrupt,
                   "gaps " + words(rows[i - 1]) + " and " + words(rows[i]) + " overlap"};
    }
  }
  GapSet set;
  for (const Gap& row : rows) {
    ++set.totals_.of(row.reason).gaps;
    set.totals_.of(row.reason).seqs += seqs_of(row);
  }
  set.rows_ = std::move(rows);
  return set;
}

std::size_t GapSet::index_from(Seq seq) const {
  const auto found = std::partition_point(rows_.begin(), rows_.end(),
                                          [seq](const Gap& row) { return row.before <= seq; });
  return static_cast<std::size_t>(found - rows_.begin());
}

GapChanges GapSet::add(const Gap& gap) {
  STANDPIPE_ASSERT(explains_something(gap), "gap " + words(gap) + " holds no seq");
  // What is left of it: the spaces between the rows that are there.
  std::vector<Gap> pieces;
  Seq done = gap.after;  // judged up to here
  for (std::size_t i = index_from(next(gap.after)); i < rows_.size(); ++i) {
    const Gap& row = rows_[i];
    if (next(row.after) >= gap.before) break;
    if (row.after > done) {
      pieces.push_back({done, next(row.after), gap.reason, gap.recorded_ms, gap.detail});
    }
    done = std::max(done, previous(row.before));
  }
  if (next(done) < gap.before) {
    pieces.push_back({done, gap.before, gap.reason, gap.recorded_ms, gap.detail});
  }
  GapChanges changes;
  for (Gap& piece : pieces) add_piece(std::move(piece), changes);
  return changes;
}

void GapSet::add_piece(Gap piece, GapChanges& changes) {
  GapTotals::Total& total = totals_.of(piece.reason);
  total.seqs += seqs_of(piece);
  ++total.gaps;
  std::size_t at = index_from(next(piece.after));  // the row on its right
  if (at != rows_.size() && merges(piece, rows_[at])) {
    Gap& right = rows_[at];
    changes.removed.push_back(right.after);
    piece.before = right.before;
    piece.recorded_ms = std::max(piece.recorded_ms, right.recorded_ms);
    --total.gaps;
    rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (at != 0 && merges(rows_[at - 1], piece)) {
    Gap& left = rows_[at - 1];
    left.before = piece.before;
    left.recorded_ms = std::max(left.recorded_ms, piece.recorded_ms);
    put_row(changes, left);
    --total.gaps;
    return;
  }
  put_row(changes, piece);
  rows_.insert(rows_.begin() + static_cast<std::ptrdiff_t>(at), std::move(piece));
}

std::vector<Gap> GapSet::query(Seq after, Seq before, std::size_t max) const {
  std::vector<Gap> found;
  if (distance(after, before) < 2) return found;
  for (std::size_t i = index_from(next(after)); i < rows_.size() && found.size() < max; ++i) {
    if (next(rows_[i].after) >= before) break;
    found.push_back(rows_[i]);
  }
  return found;
}

const Gap* GapSet::find(Seq seq) const {
  const std::size_t at = index_from(seq);
  return at != rows_.size() && rows_[at].after < seq ? &rows_[at] : nullptr;
}

}  // namespace standpipe::storage
