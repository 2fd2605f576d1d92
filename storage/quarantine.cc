#include "storage/quarantine.h"

#include <algorithm>
#include <utility>

#include "storage/rows.h"

namespace standpipe::storage {
namespace {

constexpr double kBurstSeconds = 10;

}  // namespace

Quarantine::Quarantine(const ArchiveOptions& options)
    : bytes_max_(options.quarantine_bytes_max),
      rate_bytes_(static_cast<double>(options.quarantine_rate_bytes)),
      rate_entries_(static_cast<double>(options.quarantine_rate_entries)),
      credit_bytes_(rate_bytes_ * kBurstSeconds),
      credit_entries_(rate_entries_ * kBurstSeconds) {}

Result<void> Quarantine::load(const Store& store) {
  STANDPIPE_TRY(const auto scan, store.scan(kQuarantineContainer, /*bulk=*/true));
  for (scan->seek({}); scan->valid(); scan->next()) {
    STANDPIPE_TRY(const QuarantineEntry entry, parse_quarantine_row(scan->value()));
    kept_.push_back({entry.number, scan->value().size()});
    bytes_ += scan->value().size();
    next_number_ = entry.number + 1;
  }
  return scan->status();
}

void Quarantine::refill(std::int64_t now_ms) {
  const double seconds =
      static_cast<double>(std::max<std::int64_t>(0, now_ms - refilled_ms_)) / 1e3;
  refilled_ms_ = std::max(refilled_ms_, now_ms);
  credit_bytes_ = std::min(credit_bytes_ + seconds * rate_bytes_, rate_bytes_ * kBurstSeconds);
  credit_entries_ =
      std::min(credit_entries_ + seconds * rate_entries_, rate_entries_ * kBurstSeconds);
}

bool Quarantine::admit(std::size_t bytes, std::int64_t now_ms) {
  refill(now_ms);
  if (credit_entries_ < 1 || credit_bytes_ < static_cast<double>(bytes)) return false;
  credit_entries_ -= 1;
  credit_bytes_ -= static_cast<double>(bytes);
  return true;
}

void Quarantine::add(StoreBatch& batch, QuarantineEntry entry) {
  entry.number = next_number_++;
  std::string row = encode_quarantine_row(entry);
  kept_.push_back({entry.number, row.size()});
  bytes_ += row.size();
  batch.put(kQuarantineContainer, quarantine_key(entry.number), std::move(row));
  while (bytes_ > bytes_max_ && !kept_.empty()) {
    batch.remove(kQuarantineContainer, quarantine_key(kept_.front().number));
    bytes_ -= kept_.front().bytes;
    kept_.pop_front();
  }
}

std::vector<std::uint64_t> Quarantine::numbers() const {
  std::vector<std::uint64_t> numbers;
  for (const Kept& kept : kept_) numbers.push_back(kept.number);
  return numbers;
}

}  // namespace standpipe::storage
