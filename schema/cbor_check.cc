// check_cbor: one pass over an item and everything inside it, with an explicit stack.
#include <algorithm>
#include <array>
#include <limits>
#include <string>
#include <vector>

#include "schema/cbor.h"
#include "schema/cid.h"
#include "schema/utf8.h"

namespace standpipe {
namespace {

enum Major : std::uint8_t {
  kUnsigned,
  kNegative,
  kByteString,
  kTextString,
  kArray,
  kMap,
  kTag,
  kSimple,
};

constexpr std::uint64_t kTagLink = 42;
constexpr std::uint64_t kInt64Max = std::numeric_limits<std::int64_t>::max();

// A container that has been entered and not yet left. Trivial, so that the stack costs nothing
// until it is used.
struct Level {
  std::uint64_t seen;      // items inside, keys and values counted apart
  std::uint64_t total;     // how many there will be; of no meaning if indefinite
  const std::byte* key;    // the latest key
  std::size_t key_bytes;   // and its length
  std::size_t keys_begin;  // where its keys begin in Checker::keys_
  bool is_map;
  bool is_indefinite;
  bool is_sorted;  // so far
};

class Checker {
 public:
  // The levels stay uninitialized: each is written when it is entered.
  Checker(ByteView bytes,  // NOLINT(cppcoreguidelines-pro-type-member-init)
          const CborOptions& options)
      : bytes_(bytes), options_(options), depth_max_(static_cast<std::size_t>(options.depth_max)) {}

  Result<std::size_t> run() {
    do {
      if (!check_item()) {
        return Error{code_, "CBOR at byte " + std::to_string(position_) + ": " + why_};
      }
    } while (depth_ > 0);
    return position_;
  }

 private:
  bool is_well_formed_only() const { return options_.profile == CborProfile::well_formed; }
  std::size_t left() const { return bytes_.size() - position_; }

  bool fail(const char* why, Errc code = Errc::malformed) {
    why_ = why;
    code_ = code;
    return false;
  }

  bool check_item();
  bool check_string(const CborHead& head, bool is_key);
  bool check_chunks(std::uint8_t major, bool is_key);
  bool check_key(ByteView key);
  bool check_container(const CborHead& head);
  bool check_tag(const CborHead& head);
  bool check_simple(const CborHead& head);
  bool enter(std::uint64_t total, bool is_map, bool is_indefinite);
  bool complete_item();
  bool leave();

  const ByteView bytes_;
  const CborOptions options_;
  const std::size_t depth_max_;
  std::size_t position_ = 0;
  std::size_t depth_ = 0;
  std::array<Level, kCborDepthLimit> levels_;  // the first depth_ are in use
  std::vector<std::string_view> keys_;         // lenient: of all maps on the stack
  const char* why_ = "";
  Errc code_ = Errc::malformed;
};

bool Checker::check_item() {
  if (left() == 0) return fail("cut off");
  bool is_key = false;
  if (depth_ > 0) {
    const Level& level = levels_[depth_ - 1];
    const bool is_between_entries = !level.is_map || level.seen % 2 == 0;
    if (level.is_indefinite && bytes_[position_] == kCborBreak) {
      if (!is_between_entries) return fail("break between a key and its value");
      ++position_;
      return leave();
    }
    is_key = level.is_map && is_between_entries;
  }
  const CborHead head = read_cbor_head(bytes_, position_);
  if (head.length == 0) return fail(head.is_reserved() ? "reserved head" : "cut off");
  if (!is_well_formed_only()) {
    if (is_key && head.major != kTextString) return fail("map key that is not text");
    if (head.is_indefinite()) return fail("indefinite length or stray break");
    if (options_.profile == CborProfile::strict && head.major != kSimple && !head.is_shortest()) {
      return fail("head is not in its shortest form");
    }
  }
  switch (head.major) {
    case kUnsigned:
    case kNegative:
      if (head.is_indefinite()) return fail("integer of indefinite length");
      if (!is_well_formed_only() && head.argument > kInt64Max) {
        return fail("integer outside of 64 bits with sign");
      }
      position_ += head.length;
      return complete_item();
    case kByteString:
    case kTextString:
      return check_string(head, is_key) && complete_item();
    case kArray:
    case kMap:
      return check_container(head);
    case kTag:
      return check_tag(head);
    default:
      return check_simple(head) && complete_item();
  }
}

bool Checker::check_string(const CborHead& head, bool is_key) {
  if (head.is_indefinite()) {
    ++position_;
    return check_chunks(head.major, is_key);
  }
  if (head.argument > left() - head.length) return fail("string is longer than what is left");
  const ByteView content =
      bytes_.subspan(position_ + head.length, static_cast<std::size_t>(head.argument));
  if (head.major == kTextString && !is_well_formed_only() && !is_valid_utf8(as_text(content))) {
    return fail("text is not UTF-8");
  }
  if (is_key && !check_key(content)) return false;
  position_ += head.length + content.size();
  return true;
}

bool Checker::check_chunks(std::uint8_t major, bool is_key) {
  std::size_t content_bytes = 0;
  while (true) {
    if (left() == 0) return fail("cut off");
    if (bytes_[position_] == kCborBreak) {
      ++position_;
      return true;
    }
    const CborHead head = read_cbor_head(bytes_, position_);
    if (head.length == 0) return fail(head.is_reserved() ? "reserved head" : "cut off");
    if (head.major != major || head.is_indefinite()) {
      return fail("chunk that is not a string of the same type and of definite length");
    }
    if (head.argument > left() - head.length) return fail("string is longer than what is left");
    content_bytes += static_cast<std::size_t>(head.argument);
    if (is_key && content_bytes > options_.key_bytes_max) {
      return fail("map key is longer than is allowed", Errc::limit);
    }
    position_ += head.length + static_cast<std::size_t>(head.argument);
  }
}

bool Checker::check_key(ByteView key) {
  if (key.size() > options_.key_bytes_max) {
    return fail("map key is longer than is allowed", Errc::limit);
  }
  if (is_well_formed_only()) return true;
  Level& level = levels_[depth_ - 1];
  const std::string_view text = as_text(key);
  const bool is_next =
      level.seen == 0 || cbor_key_less(as_text({level.key, level.key_bytes}), text);
  if (options_.profile == CborProfile::strict) {
    if (!is_next) return fail("map key that is repeated or not in canonical order");
  } else {
    level.is_sorted = level.is_sorted && is_next;
    keys_.push_back(text);
  }
  level.key = key.data();
  level.key_bytes = key.size();
  return true;
}

bool Checker::check_container(const CborHead& head) {
  const bool is_map = head.major == kMap;
  const std::size_t content_bytes_max = left() - head.length;
  // Every item takes a byte at least, so that a count can be refused before it is believed.
  if (head.argument > content_bytes_max / (is_map ? 2 : 1)) {
    return fail("count is greater than the bytes left allow");
  }
  if (head.argument > options_.container_entries_max) {
    return fail("more entries in a container than are allowed", Errc::limit);
  }
  if (!enter(is_map ? head.argument * 2 : head.argument, is_map, head.is_indefinite())) {
    return false;
  }
  position_ += head.length;
  return head.argument == 0 && !head.is_indefinite() ? leave() : true;
}

bool Checker::check_tag(const CborHead& head) {
  if (head.is_indefinite()) return fail("tag of indefinite length");
  if (is_well_formed_only()) {
    if (!enter(1, false, false)) return false;
    position_ += head.length;
    return true;
  }
  if (head.argument != kTagLink) return fail("tag that is not 42");
  if (depth_ >= depth_max_) return fail("nested too deep", Errc::limit);
  position_ += head.length;
  const CborHead string = read_cbor_head(bytes_, position_);
  if (string.length == 0) return fail(string.is_reserved() ? "reserved head" : "cut off");
  if (string.major != kByteString || string.is_indefinite()) {
    return fail("link that is not a byte string");
  }
  if (options_.profile == CborProfile::strict && !string.is_shortest()) {
    return fail("head is not in its shortest form");
  }
  if (string.argument > left() - string.length) return fail("string is longer than what is left");
  const ByteView content =
      bytes_.subspan(position_ + string.length, static_cast<std::size_t>(string.argument));
  if (content.empty() || content[0] != std::byte{0}) {
    return fail("link that does not start with a zero byte");
  }
  const ByteView cid = content.subspan(1);
  if (cid.empty() || measure_cid(cid) != cid.size()) return fail("link that holds no CID");
  position_ += string.length + content.size();
  return complete_item();
}

bool Checker::check_simple(const CborHead& head) {
  if (head.is_indefinite()) return fail("break outside of an indefinite container");
  if (head.additional == 24 && head.argument < 32)
    return fail("simple value in two bytes below 32");
  if (!is_well_formed_only()) {
    const bool is_plain = head.additional >= 20 && head.additional <= 22;
    const bool is_float = head.additional >= 25;
    if (is_float && options_.profile == CborProfile::strict) return fail("float");
    if (!is_plain && !is_float) return fail("simple value that is not false, true or null");
  }
  position_ += head.length;
  return true;
}

bool Checker::enter(std::uint64_t total, bool is_map, bool is_indefinite) {
  if (depth_ >= depth_max_) return fail("nested too deep", Errc::limit);
  levels_[depth_++] = {0, total, nullptr, 0, keys_.size(), is_map, is_indefinite, true};
  return true;
}

// An item has ended: count it, and leave every container that ends with it.
bool Checker::complete_item() {
  if (depth_ == 0) return true;
  Level& level = levels_[depth_ - 1];
  ++level.seen;
  if (level.is_indefinite) {
    const std::uint64_t entries = level.is_map ? (level.seen + 1) / 2 : level.seen;
    if (entries > options_.container_entries_max) {
      return fail("more entries in a container than are allowed", Errc::limit);
    }
    return true;
  }
  return level.seen < level.total ? true : leave();
}

bool Checker::leave() {
  const Level& level = levels_[depth_ - 1];
  if (!level.is_sorted) {
    const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(level.keys_begin);
    std::sort(begin, keys_.end());
    if (std::adjacent_find(begin, keys_.end()) != keys_.end()) return fail("map repeats a key");
  }
  keys_.resize(level.keys_begin);
  --depth_;
  return complete_item();
}

}  // namespace

Result<std::size_t> check_cbor(ByteView bytes, const CborOptions& options) {
  STANDPIPE_ASSERT(options.depth_max >= 0 && options.depth_max <= kCborDepthLimit,
                   "depth_max outside of 0 .. 128");
  return Checker(bytes, options).run();
}

}  // namespace standpipe
