#include "schema/mst_node.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/hex.h"
#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

using test::hex;
using test::operator+;

constexpr std::string_view kValue =
    "017112209d156bc3f3a520066252c708a9361fd3d089223842500e3713d404fdccb33cef";
// The node with one entry of the protocol reference, in its parts.
constexpr std::string_view kOneEntry =
    "a2 61'e' 81 a4 61'k' 5820'com.example.record/3jqfcqzm3fo2j' 61'p' 00 61't' f6"
    "61'v' d82a5825 00 017112209d156bc3f3a520066252c708a9361fd3d089223842500e3713d404fdccb33cef"
    "61'l' f6";

// "ok", or the error.
std::string read(const Bytes& block, const MstNodeLimits& limits = {}) {
  MstNode node;
  const auto result = read_mst_node(block, node, limits);
  return result ? "ok" : to_string(result.error());
}

TEST(MstNode, TheEmptyNodeAndOneEntryAreThoseOfTheSpecification) {
  Bytes empty;
  MstNodeWriter(empty, 0).finish(nullptr);
  EXPECT_EQ(to_hex(empty), "a2616580616cf6");
  EXPECT_EQ(Cid::of_dag_cbor(empty).to_string(),
            "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm");

  Bytes one;
  MstNodeWriter writer(one, 1);
  writer.write_entry("com.example.record/3jqfcqzm3fo2j", hex(kValue), nullptr);
  writer.finish(nullptr);
  EXPECT_EQ(to_hex(one), to_hex(hex(kOneEntry)));
  EXPECT_EQ(Cid::of_dag_cbor(one).to_string(),
            "bafyreibj4lsc3aqnrvphp5xmrnfoorvru4wynt6lwidqbm2623a6tatzdu");
}

// Three entries and two children; `second` is the value of the entry in the middle.
Bytes three_entries(std::string_view second) {
  const Sha256Digest left{std::byte{1}};
  const Sha256Digest right{std::byte{2}};
  Bytes block;
  MstNodeWriter writer(block, 3);
  writer.write_entry("a.b/12", hex(kValue), nullptr);
  writer.write_entry("a.b/123", hex(second), &right);
  writer.write_entry("a.b/2", hex(kValue), nullptr);
  writer.finish(&left);
  return block;
}

TEST(MstNode, AValueMustBeACidOfAnyKind) {
  EXPECT_EQ(read(three_entries("01550000")), "ok");
  EXPECT_EQ(read(three_entries("01550002")), "malformed: MST node at byte 124: v is not a link");
}

TEST(MstNode, ReadsWhatItWrites) {
  const Bytes block = three_entries("01550000");
  MstNode node;
  ASSERT_TRUE(read_mst_node(block, node));
  ASSERT_EQ(node.entries.size(), 3U);
  EXPECT_EQ(node.key(0), "a.b/12");
  EXPECT_EQ(node.key(1), "a.b/123");
  EXPECT_EQ(node.key(2), "a.b/2");
  EXPECT_EQ(to_hex(node.entries[1].value), "01550000");
  EXPECT_EQ(node.entries[0].right, std::nullopt);
  EXPECT_EQ(node.entries[1].right, Sha256Digest{std::byte{2}});
  EXPECT_EQ(node.left, Sha256Digest{std::byte{1}});
}

// Two entries, with the second's prefix and suffix as given.
Bytes two_entries(std::string_view second) {
  const Bytes first = hex("a2 61'e' 82 a4 61'k' 46'a.b/12' 61'p' 00 61't' f6 61'v' d82a582500");
  return first + hex(kValue) + hex("a4 61'k'") + hex(second) + hex("61't' f6 61'v' d82a582500") +
         hex(kValue) + hex("61'l' f6");
}

TEST(MstNode, ThereIsOneEncodingAndNoOther) {
  EXPECT_EQ(read(hex(kOneEntry)), "ok");
  EXPECT_EQ(read(two_entries("41'3' 61'p' 05")), "ok");  // a.b/13
  EXPECT_EQ(read(two_entries("42'13' 61'p' 04")),
            "malformed: MST node at byte 72: p is smaller than it could be");
  EXPECT_EQ(read(two_entries("41'3' 61'p' 1805")),
            "malformed: MST node at byte 70: p is not a number");
  EXPECT_EQ(read(two_entries("5801'3' 61'p' 05")),
            "malformed: MST node at byte 66: k is not a byte string");
  EXPECT_EQ(read(two_entries("61'3' 61'p' 05")),
            "malformed: MST node at byte 66: k is not a byte string");
  EXPECT_EQ(read(two_entries("41'1' 61'p' 05")),
            "malformed: MST node at byte 71: keys do not rise");
  EXPECT_EQ(read(two_entries("40 61'p' 06")), "malformed: MST node at byte 70: keys do not rise");
  EXPECT_EQ(read(two_entries("41'3' 61'p' 07")),
            "malformed: MST node at byte 71: p is greater than the key before it");
  EXPECT_EQ(read(two_entries("41'3' 61'p' 20")),
            "malformed: MST node at byte 70: p is not a number");
  EXPECT_EQ(read(two_entries("42'3/' 61'p' 05")),
            "malformed: MST node at byte 72: key is not collection/rkey");

  EXPECT_EQ(read(hex("a2 61'e' 80 61'l' f6 00")), "malformed: MST node at byte 7: trailing bytes");
  EXPECT_EQ(read(hex("a2 61'l' f6 61'e' 80")),
            "malformed: MST node at byte 0: not a map of e and l");
  EXPECT_EQ(read(hex("a1 61'e' 80")), "malformed: MST node at byte 0: not a map of e and l");
  EXPECT_EQ(read(hex("a2 61'e' 9f ff 61'l' f6")),
            "malformed: MST node at byte 3: e is not an array");
  EXPECT_EQ(read(hex("a2 61'e' f6 61'l' f6")), "malformed: MST node at byte 3: e is not an array");
  EXPECT_EQ(read(hex("a2 61'e' 80 61'l' f7")),
            "malformed: MST node at byte 6: l is neither null nor a link to a node");
  // Links between nodes have one form; here it is a raw block.
  EXPECT_EQ(read(hex("a2 61'e' 80 61'l' d82a582500 01551220") + Bytes(32)),
            "malformed: MST node at byte 47: l is neither null nor a link to a node");
  EXPECT_EQ(read({}), "malformed: MST node at byte 0: not a map of e and l");
  EXPECT_EQ(read(hex("a2 61'e' 9a ffffffff")),
            "limit reached: MST node has 4294967295 entries, allowed 10000");
}

TEST(MstNode, EveryCutAndEveryFlippedBitOfTheStructureIsRefusedOrReadsBackAsItself) {
  const Bytes block = two_entries("41'3' 61'p' 05");
  for (std::size_t size = 0; size < block.size(); ++size) {
    EXPECT_NE(read(Bytes(block.begin(), block.begin() + static_cast<std::ptrdiff_t>(size))), "ok");
  }
  MstNode node;
  for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
    Bytes flipped = block;
    flipped[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    if (!read_mst_node(flipped, node)) continue;
    Bytes written;
    MstNodeWriter writer(written, node.entries.size());
    for (std::size_t i = 0; i < node.entries.size(); ++i) {
      const auto& right = node.entries[i].right;
      writer.write_entry(node.key(i), node.entries[i].value, right ? &*right : nullptr);
    }
    writer.finish(node.left ? &*node.left : nullptr);
    EXPECT_EQ(to_hex(written), to_hex(flipped));
  }
}

TEST(MstNode, LimitsHoldForEntriesAndKeys) {
  EXPECT_EQ(read(hex(kOneEntry), {.entries_max = 1}), "ok");
  EXPECT_EQ(read(hex(kOneEntry), {.entries_max = 0}),
            "limit reached: MST node has 1 entries, allowed 0");
  const auto with_key = [](const std::string& key) {
    Bytes block;
    MstNodeWriter writer(block, 1);
    writer.write_entry(key, hex(kValue), nullptr);
    writer.finish(nullptr);
    return block;
  };
  EXPECT_EQ(read(with_key("a/" + std::string(1022, 'k'))), "ok");
  EXPECT_EQ(read(with_key("a/" + std::string(1023, 'k'))),
            "malformed: MST node at byte 1038: key is too long");
}

TEST(MstKey, IsCollectionSlashRkey) {
  EXPECT_TRUE(is_mst_key("app.bsky.feed.post/3jqfcqzm3fo2j"));
  EXPECT_TRUE(is_mst_key("a/b"));
  EXPECT_TRUE(is_mst_key("A0/~_.:-"));
  EXPECT_TRUE(is_mst_key("a/" + std::string(1022, 'k')));
  EXPECT_FALSE(is_mst_key("a/" + std::string(1023, 'k')));
  EXPECT_FALSE(is_mst_key(""));
  EXPECT_FALSE(is_mst_key("a"));
  EXPECT_FALSE(is_mst_key("/"));
  EXPECT_FALSE(is_mst_key("a/"));
  EXPECT_FALSE(is_mst_key("/b"));
  EXPECT_FALSE(is_mst_key("a/b/c"));
  EXPECT_FALSE(is_mst_key("a/b c"));
  EXPECT_FALSE(is_mst_key("a/@"));
  EXPECT_FALSE(is_mst_key("a/\xc3\xb6"));
  EXPECT_FALSE(is_mst_key(std::string_view("a/\0b", 4)));
}

TEST(MstInterop, LayersOfKeysAreThoseOfTheVectors) {
  STANDPIPE_REQUIRE_SHARED();
  const auto folder = test::shared_dir() / "fixtures/interop/mst";
  const auto heights = nlohmann::json::parse(test::read_text_file(folder / "key_heights.json"));
  ASSERT_EQ(heights.size(), 9U);
  for (const auto& vector : heights) {
    EXPECT_EQ(mst_layer(vector["key"].get<std::string>()), vector["height"].get<int>())
        << vector["key"];
  }
  // "C3/460712": the digit before the slash is the layer.
  const auto keys = test::read_vector_lines(folder / "example_keys.txt");
  ASSERT_EQ(keys.size(), 156U);
  for (const std::string& key : keys) {
    EXPECT_TRUE(is_mst_key(key)) << key;
    EXPECT_EQ(mst_layer(key), key[1] - '0') << key;
  }
}

TEST(MstInterop, CommonPrefixesAreThoseOfTheVectors) {
  STANDPIPE_REQUIRE_SHARED();
  const auto path = test::shared_dir() / "fixtures/interop/mst/common_prefix.json";
  const auto vectors = nlohmann::json::parse(test::read_text_file(path));
  ASSERT_EQ(vectors.size(), 13U);
  for (const auto& vector : vectors) {
    EXPECT_EQ(common_prefix(vector["left"].get<std::string>(), vector["right"].get<std::string>()),
              vector["len"].get<std::size_t>())
        << vector;
  }
}

TEST(MstNode, CommonPrefixesOfEveryLengthAreFound) {
  const std::string a(100, 'x');
  for (std::size_t length = 0; length < a.size(); ++length) {
    std::string b = a;
    b[length] = 'y';
    EXPECT_EQ(common_prefix(a, b), length);
    EXPECT_EQ(common_prefix(a, a.substr(0, length)), length);
  }
}

}  // namespace
}  // namespace standpipe
