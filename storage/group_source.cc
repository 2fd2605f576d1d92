// GroupSource over a scan of a container.
#include <utility>

#include "storage/codec.h"
#include "storage/rows.h"

namespace standpipe::storage {
namespace {

class ScanGroupSource final : public GroupSource {
 public:
  ScanGroupSource(std::unique_ptr<StoreScan> scan, PartitionId id)
      : scan_(std::move(scan)), id_(id) {}

  Result<bool> seek(Seq seq) override {
    scan_->seek_for_previous(group_key(id_, seq));
    STANDPIPE_TRY(const bool is_on_group, look());
    if (is_on_group) return true;
    // Before our first group: on another partition, on our self-description, or on nothing.
    scan_->seek(group_key(id_, kSeqMin));
    return look();
  }

  Result<bool> seek_exactly(Seq first) override {
    scan_->seek(group_key(id_, first));
    STANDPIPE_TRY(const bool is_on_group, look());
    return is_on_group && first_ == first;
  }

  Result<bool> next() override {
    scan_->next();
    return look();
  }

  Seq first() const override { return first_; }
  std::string_view value() const override { return scan_->value(); }

 private:
  // Whether the scan stands on a group of this partition.
  Result<bool> look() {
    STANDPIPE_CHECK(scan_->status());
    if (!scan_->valid()) return false;
    STANDPIPE_TRY(const GroupKey key, parse_group_key(scan_->key()));
    first_ = key.first;
    return key.partition == id_ && key.first != kSeqNone;
  }

  std::unique_ptr<StoreScan> scan_;
  PartitionId id_;
  Seq first_ = kSeqNone;
};

}  // namespace

std::unique_ptr<GroupSource> make_group_source(std::unique_ptr<StoreScan> scan, PartitionId id) {
  return std::make_unique<ScanGroupSource>(std::move(scan), id);
}

}  // namespace standpipe::storage
