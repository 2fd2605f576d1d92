#include "schema/cbor_scan.h"

#include <array>

namespace standpipe {
namespace {

// A container or tag that has been entered and not yet left.
struct Level {
  std::uint64_t items;  // keys and values apart: still to come if definite, seen so far if not
  bool is_indefinite;
  bool is_map;
};

// The levels that skip_item is in. The array stays uninitialised: most items need none of it.
class Levels {
 public:
  explicit Levels(int depth_max) : depth_max_(depth_max) {}

  bool is_outside() const { return depth_ == 0; }

  bool enter(std::uint64_t items, bool is_indefinite, bool is_map) {
    if (depth_ >= depth_max_) return false;
    levels_[static_cast<std::size_t>(depth_++)] = {items, is_indefinite, is_map};
    return true;
  }

  void leave_empty() { --depth_; }

  // A break ends an indefinite container, but no map between a key and its value.
  bool leave_by_break() {
    if (is_outside()) return false;
    const Level& level = innermost();
    if (!level.is_indefinite || (level.is_map && level.items % 2 != 0)) return false;
    --depth_;
    return true;
  }

  // An item has ended, and with it every container that it was the last of.
  void complete_item() {
    while (!is_outside()) {
      Level& level = innermost();
      if (level.is_indefinite) {
        ++level.items;
        return;
      }
      if (--level.items > 0) return;
      --depth_;
    }
  }

 private:
  Level& innermost() { return levels_[static_cast<std::size_t>(depth_ - 1)]; }

  const int depth_max_;
  int depth_ = 0;
  std::array<Level, kScanDepthMax> levels_;  // the first depth_ are in use
};

}  // namespace

bool CborScanner::read_long_head(ScanHead& head) {
  if (head.is_indefinite()) {
    head.argument = 0;
    ++at_;
    return true;
  }
  if (head.additional > 27) return false;  // reserved
  const std::uint64_t argument_bytes = std::uint64_t{1} << (head.additional - 24U);
  if (left() <= argument_bytes) return false;
  const std::byte* argument = at_ + 1;
  switch (argument_bytes) {
    case 1:
      head.argument = std::to_integer<std::uint64_t>(*argument);
      break;
    case 2:
      head.argument = load_be<std::uint16_t>(argument);
      break;
    case 4:
      head.argument = load_be<std::uint32_t>(argument);
      break;
    default:
      head.argument = load_be<std::uint64_t>(argument);
      break;
  }
  at_ += 1 + argument_bytes;
  return true;
}

// What follows the head of a text or byte string.
bool CborScanner::skip_string(const ScanHead& head) {
  if (!head.is_indefinite()) return skip_bytes(head.argument);
  while (!take_break()) {
    const std::byte* begin = at_;
    ScanHead chunk;
    if (!read_head(chunk) || chunk.major != head.major || chunk.is_indefinite() ||
        !skip_bytes(chunk.argument)) {
      at_ = begin;
      return false;
    }
  }
  return true;
}

bool CborScanner::skip_item(int around) {
  Levels levels(kScanDepthMax - around);
  do {
    const std::byte* begin = at_;
    ScanHead head;
    if (!read_head(head)) return false;
    bool is_well_formed = true;
    bool is_entered = false;
    switch (head.major) {
      case CborMajor::unsigned_integer:
      case CborMajor::negative_integer:
        is_well_formed = !head.is_indefinite();
        break;
      case CborMajor::bytes:
      case CborMajor::text:
        if (head.is_indefinite()) {
          if (!skip_string(head)) return false;
        } else {
          is_well_formed = skip_bytes(head.argument);
        }
        break;
      case CborMajor::array:
      case CborMajor::map: {
        const bool is_map = head.major == CborMajor::map;
        const std::uint64_t items_each = is_map ? 2 : 1;
        // An item takes a byte at least, so no count is believed that the rest cannot hold. An
        // empty container is one level too.
        is_well_formed = head.argument <= left() / items_each &&
                         levels.enter(head.argument * items_each, head.is_indefinite(), is_map);
        is_entered = head.is_indefinite() || head.argument > 0;
        if (is_well_formed && !is_entered) levels.leave_empty();
        break;
      }
      case CborMajor::tag:
        is_well_formed = !head.is_indefinite() && levels.enter(1, false, false);
        is_entered = true;
        break;
      case CborMajor::simple:
        // RFC 8949, 3.3: simple values below 32 have only the short form.
        is_well_formed = head.is_indefinite() ? levels.leave_by_break()
                                              : head.additional != 24 || head.argument >= 32;
        break;
    }
    if (!is_well_formed) {
      at_ = begin;
      return false;
    }
    if (!is_entered) levels.complete_item();
  } while (!levels.is_outside());
  return true;
}

}  // namespace standpipe
