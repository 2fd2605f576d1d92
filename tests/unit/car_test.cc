#include "schema/car.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>

#include "schema/cbor.h"
#include "schema/cbor_json.h"
#include "tests/support/shared_data.h"

namespace standpipe {
namespace {

Bytes hex(std::string_view text) { return parse_hex(text).value(); }

// The `blocks` of the first commit of a repository with one record.
constexpr std::string_view kCar =
    "3aa265726f6f747381d82a582500017112207d327e9eeb8430c56a1f84fd87912d996a213e461abb62e5a3f5e9062d"
    "b853436776657273696f6e01e001017112207d327e9eeb8430c56a1f84fd87912d996a213e461abb62e5a3f5e9062d"
    "b85343a66364696478206469643a706c633a7374616e64706970653232323232323232323261626364656372657"
    "66d336c33716f3276756f6977327a6373"
    "69675840145f11b2e972c948644d7bcf2379a9eace908d47bf515625c1763af5c370f44b1a20892c52f59d36727a13"
    "a41e511bceddf610e5796c8704b76a3fba3ca6616d6464617461d82a582500017112201cfa2b22cebbe787cacc0e9d"
    "f32f87f368e2c10f0b39c5ef7f21f2dbb33d10eb6470726576f66776657273696f6e038101017112201cfa2b22cebb"
    "e787cacc0e9df32f87f368e2c10f0b39c5ef7f21f2dbb33d10eba2616581a4616b5820636f6d2e6578616d706c652e"
    "7265636f72642f336a716663717a6d33666f326a6170006174f66176d82a582500017112208a102f4f6288893fecaa"
    "e2fa31c34a9c06ec7676a48d233cec46b7cd455c8de7616cf649017112208a102f4f6288893fecaae2fa31c34a9c06"
    "ec7676a48d233cec46b7cd455c8de7a264746578746568656c6c6f65247479706572636f6d2e6578616d706c652e72"
    "65636f7264";
constexpr std::string_view kCommitCid =
    "017112207d327e9eeb8430c56a1f84fd87912d996a213e461abb62e5a3f5e9062db85343";
constexpr std::string_view kNodeCid =
    "017112201cfa2b22cebbe787cacc0e9df32f87f368e2c10f0b39c5ef7f21f2dbb33d10eb";
constexpr std::string_view kRecordCid =
    "017112208a102f4f6288893fecaae2fa31c34a9c06ec7676a48d233cec46b7cd455c8de7";
constexpr std::string_view kRecord =
    "a264746578746568656c6c6f65247479706572636f6d2e6578616d706c652e7265636f7264";

constexpr CarOptions kChecked{.checks_hashes = true};

// The number of blocks, or the error.
std::string read_all(ByteView car, const CarOptions& options = kChecked) {
  auto reader = CarReader::open(car, options);
  if (!reader) return to_string(reader.error());
  for (int blocks = 0;; ++blocks) {
    const auto block = reader->next();
    if (!block) return to_string(block.error());
    if (!block->has_value()) return std::to_string(blocks) + " blocks";
  }
}

TEST(CarReader, ReadsTheCommitOfTheSpecification) {
  const Bytes car = hex(kCar);
  CarReader reader = CarReader::open(car, kChecked).value();
  ASSERT_EQ(reader.roots().size(), 1U);
  EXPECT_EQ(to_hex(reader.roots()[0]), kCommitCid);
  EXPECT_EQ(reader.position(), 59U);
  const CarBlock commit = reader.next().value().value();
  EXPECT_EQ(to_hex(commit.cid), kCommitCid);
  EXPECT_EQ(commit.bytes.size(), 188U);
  EXPECT_EQ(commit.at, 59U);
  const CarBlock node = reader.next().value().value();
  EXPECT_EQ(to_hex(node.cid), kNodeCid);
  EXPECT_EQ(node.bytes.size(), 93U);
  const CarBlock record = reader.next().value().value();
  EXPECT_EQ(to_hex(record.cid), kRecordCid);
  EXPECT_EQ(to_hex(record.bytes), kRecord);
  EXPECT_FALSE(reader.next().value().has_value());
  EXPECT_EQ(reader.position(), 490U);
}

TEST(CarWriter, WritesTheCommitOfTheSpecification) {
  const Bytes car = hex(kCar);
  CarReader reader = CarReader::open(car).value();
  Bytes written;
  CarWriter writer(written, reader.roots());
  while (const auto block = reader.next().value()) writer.write_block(block->cid, block->bytes);
  EXPECT_EQ(to_hex(written), kCar);
}

TEST(CarReader, AFlippedByteIsFoundWhereHashesAreChecked) {
  Bytes car = hex(kCar);
  car.back() ^= std::byte{1};
  EXPECT_EQ(read_all(car),
            "malformed: CAR at byte 416: block does not have the hash of its CID "
            "bafyreiekcaxu6yuire76zkxc7iy4gsu4a3whm5verurtz3cgw7gukxen44");
  EXPECT_EQ(read_all(car, {}), "3 blocks");
}

TEST(CarReader, EveryCutIsAnErrorExceptBetweenBlocks) {
  const Bytes car = hex(kCar);
  for (std::size_t size = 0; size < car.size(); ++size) {
    const std::string read = read_all(ByteView(car).first(size));
    if (size == 59 || size == 285 || size == 416) {
      EXPECT_EQ(read.substr(1), " blocks") << size;
    } else {
      EXPECT_EQ(read.substr(0, 9), "malformed") << size;
    }
  }
}

// A CAR that is a header and nothing else.
std::string read_header(std::string_view header) {
  Bytes car = hex(header);
  car.insert(car.begin(), static_cast<std::byte>(car.size()));
  return read_all(car);
}

TEST(CarReader, AHeaderMustBeOfVersion1AndHaveRoots) {
  EXPECT_EQ(read_header("a265726f6f7473806776657273696f6e01"), "0 blocks");
  EXPECT_EQ(read_header("a36776657273696f6e0165726f6f747380617800"), "0 blocks");  // not canonical
  EXPECT_EQ(read_header("a16776657273696f6e01"), "malformed: CAR at byte 0: header has no roots");
  EXPECT_EQ(read_header("a165726f6f747380"), "malformed: CAR at byte 0: header has no version");
  EXPECT_EQ(read_header("a265726f6f7473806776657273696f6e02"),
            "unsupported: CAR at byte 0: version 2, not 1");
  EXPECT_EQ(read_header("a265726f6f7473806776657273696f6e0100"),
            "malformed: CAR at byte 0: header holds two items");
  EXPECT_EQ(read_header("80"), "malformed: CBOR at byte 0: expected a map");
  EXPECT_EQ(read_header(""), "malformed: CBOR at byte 0: cut off");
  EXPECT_EQ(read_all({}), "malformed: CAR at byte 0: no length of a header");
}

TEST(CarReader, LimitsAreCheckedBeforeUse) {
  const Bytes car = hex(kCar);
  EXPECT_EQ(read_all(car, {.header_bytes_max = 57}),
            "limit reached: CAR at byte 0: header too long (58, allowed 57)");
  EXPECT_EQ(read_all(car, {.roots_max = 0}),
            "limit reached: CAR at byte 0: too many roots (1, allowed 0)");
  EXPECT_EQ(read_all(car, {.block_bytes_max = 187}),
            "limit reached: CAR at byte 59: block too long (188, allowed 187)");
  EXPECT_EQ(read_all(car, {.block_bytes_max = 188}), "3 blocks");
  EXPECT_EQ(read_all(car, {.blocks_max = 2}), "limit reached: CAR at byte 416: more blocks than 2");
  EXPECT_EQ(read_all(car, {.blocks_max = 3}), "3 blocks");
}

TEST(CarReader, DuplicatesAndUnknownHashesPass) {
  Bytes car;
  CarWriter writer(car, {});
  const Cid cid = Cid::from_bytes(hex(kRecordCid)).value();
  writer.write_block(cid, hex(kRecord));
  writer.write_block(cid, hex(kRecord));
  writer.write_block(hex("01550000"), as_bytes("named by nothing"));
  EXPECT_EQ(read_all(car), "3 blocks");
}

// The roots and blocks of a CAR; all hashes, and every dag-cbor block as strict CBOR.
struct Content {
  std::size_t roots = 0;
  std::size_t blocks = 0;
  std::size_t bytes = 0;          // of blocks
  std::size_t records_shown = 0;  // blocks that have "$type"
};

void read_content(ByteView car, Content& content) {
  auto reader = CarReader::open(car, kChecked);
  ASSERT_TRUE(reader) << to_string(reader.error());
  content.roots += reader->roots().size();
  while (true) {
    const auto block = reader->next();
    ASSERT_TRUE(block) << to_string(block.error());
    if (!block->has_value()) return;
    const ByteView bytes = (*block)->bytes;
    ++content.blocks;
    content.bytes += bytes.size();
    ASSERT_EQ(check_block_hash((*block)->cid, bytes), HashCheck::match);
    const auto length = check_cbor(bytes, {});
    ASSERT_TRUE(length) << to_string(length.error()) << " in block at " << (*block)->at;
    ASSERT_EQ(*length, bytes.size());
    const auto json = cbor_to_json(bytes);
    ASSERT_TRUE(json) << to_string(json.error());
    if (json->contains("$type")) ++content.records_shown;
    const auto back = json_to_cbor(*json);
    ASSERT_TRUE(back) << to_string(back.error()) << json->dump();
    ASSERT_TRUE(equal(*back, bytes));
  }
}

struct CarFile {
  const char* path;
  std::size_t car_bytes;
  std::size_t blocks;
  std::optional<std::size_t> records;  // where the README gives their number
};

std::ostream& operator<<(std::ostream& out, const CarFile& file) { return out << file.path; }

class RealCars : public ::testing::TestWithParam<CarFile> {};

TEST_P(RealCars, HoldWhatTheirReadmesSayAndEveryBlockReadsBackFromJson) {
  STANDPIPE_REQUIRE_SHARED();
  const CarFile& file = GetParam();
  const Bytes car = test::read_file(test::shared_dir() / "data" / file.path);
  EXPECT_EQ(car.size(), file.car_bytes);
  Content content;
  read_content(car, content);
  EXPECT_EQ(content.roots, 1U);
  EXPECT_EQ(content.blocks, file.blocks);
  if (file.records) {
    EXPECT_EQ(content.records_shown, *file.records);
  }
}

// Two of the 2,836 records of atproto-dart are one block.
INSTANTIATE_TEST_SUITE_P(
    SharedData, RealCars,
    ::testing::Values(CarFile{"atproto-dart/repo.car.zst", 702'357, 3622, 2835},
                      CarFile{"bski/bsky-app.car.zst", 443'576, 768, 627},
                      CarFile{"jetstream-corpus/repo.car", 8117, 29, 23},
                      CarFile{"repo-stream/empty.car.zst", 329, 2, 0},
                      CarFile{"repo-stream/little.car.zst", 285'929, 375, 278},
                      CarFile{"repo-stream/tiny.car.zst", 3490, 12, 8},
                      CarFile{"shrike/calabro.car.zst", 1'573'378, 5517, 4347},
                      CarFile{"small-cars/arroba-snarfed2.car", 1655, 8, 5},
                      CarFile{"small-cars/php-car-repo.car.zst", 32'251, 117, 83},
                      CarFile{"small-cars/skyfall-attie-proof.car", 1837, 5, 1},
                      CarFile{"indigo/car/fakermaker.repo.car.zst", 235'126, 690, 142},
                      CarFile{"indigo/car/paul_staging.repo.car.zst", 137'662, 458, std::nullopt},
                      CarFile{"indigo/car/greenground.repo.car.zst", 813, 4, std::nullopt},
                      CarFile{"indigo/car/repo_slice.car.zst", 1401, 5, std::nullopt},
                      CarFile{"indigo/car/"
                              "bafyreieovfuizojpw3zresz7sx3nk4trm2by23pt5rxbey3jme4uo5ogiu.car.zst",
                              2705, 10, std::nullopt}));

// 148 commits of one second of the network.
TEST(RealCarsInFrames, AllBlocksOfTheCorpusHaveTheirHashes) {
  STANDPIPE_REQUIRE_SHARED();
  Content content;
  for (const Bytes& frame :
       test::read_frame_corpus(test::shared_dir() / "data/jetstream-corpus/frames.bin.zst")) {
    CborReader reader(frame);
    ASSERT_TRUE(reader.skip_item());
    const std::uint64_t pairs = reader.read_map().value();
    for (std::uint64_t i = 0; i < pairs; ++i) {
      if (reader.read_text().value() == "blocks") {
        read_content(reader.read_bytes().value(), content);
      } else {
        ASSERT_TRUE(reader.skip_item());
      }
    }
    ASSERT_TRUE(reader.at_end());
  }
  EXPECT_EQ(content.roots, 148U);
  EXPECT_EQ(content.blocks, 1549U);
  EXPECT_EQ(content.bytes, 628'561U + 27'824U + 39'287U);
  EXPECT_EQ(content.records_shown, 146U);
}

}  // namespace
}  // namespace standpipe
