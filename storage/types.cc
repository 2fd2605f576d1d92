#include "storage/types.h"

#include "storage/appender.h"
#include "storage/archive.h"

namespace standpipe::storage {

std::string_view to_string(StreamKind kind) {
  switch (kind) {
    case StreamKind::repos:
      return "repos";
    case StreamKind::labels:
      return "labels";
  }
  return "unknown";
}

std::string_view to_string(Density density) {
  switch (density) {
    case Density::automatic:
      return "auto";
    case Density::dense:
      return "dense";
    case Density::sparse:
      return "sparse";
  }
  return "unknown";
}

std::string_view to_string(PartitionState state) {
  switch (state) {
    case PartitionState::creating:
      return "creating";
    case PartitionState::open:
      return "open";
    case PartitionState::sealing:
      return "sealing";
    case PartitionState::sealed:
      return "sealed";
    case PartitionState::building:
      return "building";
    case PartitionState::dropping:
      return "dropping";
  }
  return "unknown";
}

std::string_view to_string(GapReason reason) {
  switch (reason) {
    case GapReason::upstream:
      return "upstream";
    case GapReason::outage:
      return "outage";
    case GapReason::quarantined:
      return "quarantined";
    case GapReason::retention:
      return "retention";
    case GapReason::erased:
      return "erased";
    case GapReason::lost:
      return "lost";
  }
  return "unknown";
}

std::string_view to_string(Judgement judgement) {
  switch (judgement) {
    case Judgement::accepted:
      return "accepted";
    case Judgement::duplicate:
      return "duplicate";
    case Judgement::conflict:
      return "conflict";
    case Judgement::late:
      return "late";
    case Judgement::quarantined:
      return "quarantined";
    case Judgement::noted:
      return "noted";
    case Judgement::refused:
      return "refused";
  }
  return "unknown";
}

std::string_view to_string(Health health) {
  switch (health) {
    case Health::ok:
      return "ok";
    case Health::read_only:
      return "read_only";
    case Health::disk_full:
      return "disk_full";
    case Health::storage_failed:
      return "storage_failed";
    case Health::corrupt:
      return "corrupt";
    case Health::closed:
      return "closed";
  }
  return "unknown";
}

}  // namespace standpipe::storage
