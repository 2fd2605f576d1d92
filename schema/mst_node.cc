#include "schema/mst_node.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "schema/ascii.h"
#include "schema/base/assert.h"
#include "schema/cbor_head.h"
#include "schema/cbor_writer.h"

namespace standpipe {
namespace {

constexpr std::array<std::byte, 4> kBlessedPrefix = {std::byte{0x01}, std::byte{0x71},
                                                     std::byte{0x12}, std::byte{0x20}};
// Tag 42 around a byte string of 37 bytes, whose first is zero.
constexpr std::array<std::byte, 5> kLinkPrefix = {std::byte{0xD8}, std::byte{0x2A}, std::byte{0x58},
                                                  std::byte{0x25}, std::byte{0x00}};
constexpr std::byte kNull{0xF6};
constexpr std::uint8_t kUnsigned = 0;
constexpr std::uint8_t kByteString = 2;
constexpr std::uint8_t kArray = 4;
constexpr std::uint8_t kMap = 5;
constexpr std::uint8_t kTag = 6;

constexpr std::array<bool, 256> make_key_chars() {
  std::array<bool, 256> is_allowed{};
  for (unsigned c = 0; c < is_allowed.size(); ++c) {
    is_allowed[c] = is_ascii_alphanumeric(static_cast<char>(c));
  }
  for (const char c : {'_', '~', '.', ':', '-'}) is_allowed[static_cast<unsigned char>(c)] = true;
  return is_allowed;
}
constexpr std::array<bool, 256> kKeyChars = make_key_chars();

bool is_key_part(std::string_view part) {
  return !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
    return kKeyChars[static_cast<unsigned char>(c)];
  });
}

// Reads the one encoding: whatever is not the byte that would be written is an error.
class NodeReader {
 public:
  explicit NodeReader(ByteView block) : block_(block) {}

  Result<void> read(MstNode& node, const MstNodeLimits& limits) {
    node.entries.clear();
    node.keys.clear();
    if (!take("\xA2\x61\x65")) return error("not a map of e and l");
    std::uint64_t entries = 0;
    if (!take_head(kArray, entries)) return error("e is not an array");
    if (entries > limits.entries_max) {
      return Error{Errc::limit, "MST node has " + std::to_string(entries) + " entries, allowed " +
                                    std::to_string(limits.entries_max)};
    }
    if (entries > left()) return error("e has more entries than bytes are left");
    for (std::uint64_t i = 0; i < entries; ++i) {
      STANDPIPE_CHECK(read_entry(node));
    }
    if (!take("\x61\x6C")) return error("no l after e");
    if (!take_child(node.left)) return error("l is neither null nor a link to a node");
    if (at_ != block_.size()) return error("trailing bytes");
    return {};
  }

 private:
  Result<void> read_entry(MstNode& node) {
    MstNodeEntry entry;
    std::uint64_t suffix_bytes = 0;
    std::uint64_t prefix_bytes = 0;
    if (!take("\xA4\x61\x6B")) return error("entry is not a map of k, p, t and v");
    if (!take_head(kByteString, suffix_bytes) || suffix_bytes > left()) {
      return error("k is not a byte string");
    }
    const std::string_view suffix =
        as_text(block_.subspan(at_, static_cast<std::size_t>(suffix_bytes)));
    at_ += suffix.size();
    if (!take("\x61\x70") || !take_head(kUnsigned, prefix_bytes)) {
      return error("p is not a number");
    }
    STANDPIPE_CHECK(append_key(node, prefix_bytes, suffix, entry));
    if (!take("\x61\x74") || !take_child(entry.right)) {
      return error("t is neither null nor a link to a node");
    }
    if (!take("\x61\x76") || !take_link(entry.value)) return error("v is not a link");
    node.entries.push_back(entry);
    return {};
  }

  Result<void> append_key(MstNode& node, std::uint64_t prefix_bytes, std::string_view suffix,
                          MstNodeEntry& entry) {
    const bool is_first = node.entries.empty();
    const std::size_t previous_at = is_first ? 0 : node.entries.back().key_at;
    const std::size_t previous_bytes = is_first ? 0 : node.entries.back().key_bytes;
    if (prefix_bytes > previous_bytes) return error("p is greater than the key before it");
    const auto shared = static_cast<std::size_t>(prefix_bytes);
    if (shared + suffix.size() > kMstKeyBytesMax) return error("key is too long");
    entry.key_at = node.keys.size();
    entry.key_bytes = shared + suffix.size();
    node.keys.append(node.keys, previous_at, shared);
    node.keys.append(suffix);
    // With the longest prefix taken off, order is told by the first byte that is left.
    if (!is_first) {
      if (suffix.empty()) return error("keys do not rise");
      if (shared < previous_bytes) {
        const auto before = static_cast<unsigned char>(node.keys[previous_at + shared]);
        const auto after = static_cast<unsigned char>(suffix.front());
        if (before == after) return error("p is smaller than it could be");
        if (before > after) return error("keys do not rise");
      }
    }
    if (!check_key(std::string_view(node.keys).substr(entry.key_at), shared)) {
      return error("key is not collection/rkey");
    }
    return {};
  }

  // is_mst_key, of a key whose first `shared` bytes are those of the key before it, which is one.
  bool check_key(std::string_view key, std::size_t shared) {
    std::size_t slash = shared > slash_at_ ? slash_at_ : std::string_view::npos;
    for (std::size_t i = shared; i < key.size(); ++i) {
      if (kKeyChars[static_cast<unsigned char>(key[i])]) continue;
      if (key[i] != '/' || slash != std::string_view::npos) return false;
      slash = i;
    }
    slash_at_ = slash;
    return slash != std::string_view::npos && slash > 0 && slash + 1 < key.size();
  }

  std::size_t left() const { return block_.size() - at_; }

  template <std::size_t kSize>
  bool take(const char (&bytes)[kSize]) {
    constexpr std::size_t kBytes = kSize - 1;  // without the zero behind it
    if (left() < kBytes || std::memcmp(block_.data() + at_, bytes, kBytes) != 0) return false;
    at_ += kBytes;
    return true;
  }

  bool take_head(std::uint8_t major, std::uint64_t& argument) {
    // Nearly all heads are of one byte or two; the general way takes ten times as long.
    const auto first = static_cast<unsigned>(major) << 5;
    if (left() >= 2) {
      const unsigned byte = std::to_integer<unsigned>(block_[at_]) - first;
      const auto next = std::to_integer<std::uint8_t>(block_[at_ + 1]);
      if (byte < 24) {
        argument = byte;
        ++at_;
        return true;
      }
      if (byte == 24 && next >= 24) {
        argument = next;
        at_ += 2;
        return true;
      }
    }
    const CborHead head = read_cbor_head(block_, at_);
    if (head.length == 0 || head.major != major || head.is_indefinite() || !head.is_shortest()) {
      return false;
    }
    argument = head.argument;
    at_ += head.length;
    return true;
  }

  bool take_link(ByteView& cid) {
    constexpr std::size_t kLinkBytes = kLinkPrefix.size() + kBlessedCidBytes;
    if (left() >= kLinkBytes && starts_with_blessed_link(block_.data() + at_)) {
      cid = block_.subspan(at_ + kLinkPrefix.size(), kBlessedCidBytes);
      at_ += kLinkBytes;
      return true;
    }
    std::uint64_t tag = 0;
    std::uint64_t bytes = 0;
    if (!take_head(kTag, tag) || tag != 42) return false;
    if (!take_head(kByteString, bytes) || bytes > left() || bytes < 2) return false;
    if (block_[at_] != std::byte{0}) return false;
    cid = block_.subspan(at_ + 1, static_cast<std::size_t>(bytes) - 1);
    at_ += static_cast<std::size_t>(bytes);
    return is_blessed_form(cid) || measure_cid(cid) == cid.size();
  }

  static bool is_blessed_form(ByteView cid) {
    return cid.size() == kBlessedCidBytes && equal(cid.first(4), kBlessedPrefix);
  }

  bool take_child(std::optional<Sha256Digest>& child) {
    child.reset();
    if (left() > 0 && block_[at_] == kNull) {
      ++at_;
      return true;
    }
    ByteView cid;
    if (!take_link(cid)) return false;
    child = blessed_digest(cid);
    return child.has_value();
  }

  // The one form of a link that real nodes have, nine bytes before the digest.
  static bool starts_with_blessed_link(const std::byte* at) {
    return std::memcmp(at, kLinkPrefix.data(), kLinkPrefix.size()) == 0 &&
           std::memcmp(at + kLinkPrefix.size(), kBlessedPrefix.data(), kBlessedPrefix.size()) == 0;
  }

  Error error(const char* why) const {
    return {Errc::malformed, "MST node at byte " + std::to_string(at_) + ": " + why};
  }

  ByteView block_;
  std::size_t at_ = 0;
  std::size_t slash_at_ = std::string_view::npos;  // in the newest key
};

// The longest head, the two heads of a link and its zero byte, and the keys of an entry.
constexpr std::size_t kHeadBytesMax = 9;
constexpr std::size_t kEntryBytesMax = 9 + 5 * kHeadBytesMax + sizeof(Sha256Digest) + 10;

std::byte* put(std::byte* at, ByteView bytes) {
  return bytes.empty() ? at : std::copy(bytes.begin(), bytes.end(), at);
}

// A key of one character: 61 and the character.
std::byte* put_key(std::byte* at, char key) {
  *at++ = std::byte{0x61};
  *at++ = static_cast<std::byte>(key);
  return at;
}

// The lengths here are all below 2^16.
std::byte* put_head(std::byte* at, std::uint8_t major, std::size_t argument) {
  const auto first = static_cast<unsigned>(major) << 5;
  if (argument < 24) {
    *at++ = static_cast<std::byte>(first | argument);
  } else if (argument <= 0xFF) {
    *at++ = static_cast<std::byte>(first | 24);
    *at++ = static_cast<std::byte>(argument);
  } else {
    *at++ = static_cast<std::byte>(first | 25);
    *at++ = static_cast<std::byte>(argument >> 8);
    *at++ = static_cast<std::byte>(argument & 0xFF);
  }
  return at;
}

std::byte* put_link(std::byte* at, ByteView cid) {
  at = put_head(at, kTag, 42);
  at = put_head(at, kByteString, cid.size() + 1);
  *at++ = std::byte{0};
  return put(at, cid);
}

std::byte* put_child(std::byte* at, const Sha256Digest* child) {
  if (child == nullptr) {
    *at++ = kNull;
    return at;
  }
  at = put(at, kLinkPrefix);
  at = put(at, kBlessedPrefix);
  return put(at, *child);
}

}  // namespace

bool is_mst_key(std::string_view key) {
  if (key.size() > kMstKeyBytesMax) return false;
  const std::size_t slash = key.find('/');
  return slash != std::string_view::npos && is_key_part(key.substr(0, slash)) &&
         is_key_part(key.substr(slash + 1));
}

int mst_layer(std::string_view key) { return mst_layer(sha256(as_bytes(key))); }

int mst_layer(const Sha256Digest& digest) {
  int zero_bits = 0;
  for (std::size_t at = 0; at < digest.size(); at += 8) {
    const int zeros = std::countl_zero(load_be<std::uint64_t>(digest.data() + at));
    zero_bits += zeros;
    if (zeros < 64) break;
  }
  return zero_bits / 2;
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  std::size_t at = 0;
  // Eight bytes a step; where they differ is then found byte by byte.
  for (; at + 8 <= shorter; at += 8) {
    if (std::memcmp(a.data() + at, b.data() + at, 8) != 0) break;
  }
  while (at < shorter && a[at] == b[at]) ++at;
  return at;
}

BlessedCid blessed_cid(const Sha256Digest& digest) {
  BlessedCid cid;
  const auto at = std::copy(kBlessedPrefix.begin(), kBlessedPrefix.end(), cid.begin());
  std::copy(digest.begin(), digest.end(), at);
  return cid;
}

std::optional<Sha256Digest> blessed_digest(ByteView cid) {
  if (cid.size() != kBlessedCidBytes || !equal(cid.first(4), kBlessedPrefix)) return std::nullopt;
  Sha256Digest digest;
  std::copy(cid.begin() + 4, cid.end(), digest.begin());
  return digest;
}

Result<void> read_mst_node(ByteView block, MstNode& node, const MstNodeLimits& limits) {
  return NodeReader(block).read(node, limits);
}

MstNodeWriter::MstNodeWriter(Bytes& out, std::size_t entries) : out_(out) {
  CborWriter writer(out_);
  writer.write_map(2);
  writer.write_text("e");
  writer.write_array(entries);
}

void MstNodeWriter::write_entry(std::string_view key, ByteView value, const Sha256Digest* right) {
  const std::size_t shared = common_prefix(previous_, key);
  const ByteView suffix = as_bytes(key.substr(shared));
  previous_ = key;
  STANDPIPE_ASSERT(key.size() <= 0xFFFF && value.size() < 0xFFFF,
                   "key or CID far above what a node can have");
  const std::size_t begin = out_.size();
  out_.resize(begin + suffix.size() + value.size() + kEntryBytesMax);
  std::byte* at = put_head(out_.data() + begin, kMap, 4);
  at = put(put_head(put_key(at, 'k'), kByteString, suffix.size()), suffix);
  at = put_head(put_key(at, 'p'), kUnsigned, shared);
  at = put_child(put_key(at, 't'), right);
  at = put_link(put_key(at, 'v'), value);
  out_.resize(static_cast<std::size_t>(at - out_.data()));
}

void MstNodeWriter::finish(const Sha256Digest* left) {
  const std::size_t begin = out_.size();
  out_.resize(begin + kEntryBytesMax);
  const std::byte* const end = put_child(put_key(out_.data() + begin, 'l'), left);
  out_.resize(static_cast<std::size_t>(end - out_.data()));
}

}  // namespace standpipe
