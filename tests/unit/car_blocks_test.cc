#include "schema/car_blocks.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

namespace standpipe {
namespace {

TEST(CarBlocks, FindsEveryBlockAndTheFirstOfThoseWithOneCid) {
  std::vector<Bytes> contents;
  for (int i = 0; i < 100; ++i) contents.push_back(to_bytes(as_bytes(std::to_string(i))));
  Bytes car;
  CarWriter writer(car, {Cid::of_raw(contents[7]).bytes()});
  for (const Bytes& content : contents) writer.write_block(Cid::of_raw(content), content);
  writer.write_block(Cid::of_raw(contents[3]), as_bytes("not what it is called"));
  const CarBlocks blocks = CarBlocks::read(car).value();
  ASSERT_EQ(blocks.roots().size(), 1U);
  ASSERT_EQ(blocks.blocks().size(), 101U);
  for (const Bytes& content : contents) {
    const auto found = blocks.find(Cid::of_raw(content).bytes());
    ASSERT_TRUE(found.has_value());
    EXPECT_TRUE(equal(*found, content));
  }
  EXPECT_EQ(blocks.find(Cid::of_raw(as_bytes("100")).bytes()), std::nullopt);
  EXPECT_EQ(blocks.find({}), std::nullopt);
  EXPECT_EQ(CarBlocks().find(Cid::of_raw(contents[0]).bytes()), std::nullopt);
}

TEST(CarBlocks, PassesOnTheErrorsOfTheReader) {
  Bytes car;
  CarWriter writer(car, {});
  writer.write_block(Cid::of_raw(as_bytes("a")), as_bytes("b"));
  EXPECT_TRUE(CarBlocks::read(car));
  EXPECT_EQ(CarBlocks::read(car, {.checks_hashes = true}).error().code, Errc::malformed);
  EXPECT_EQ(CarBlocks::read(car, {.blocks_max = 0}).error().code, Errc::limit);
  EXPECT_EQ(CarBlocks::read(ByteView(car).first(car.size() - 1)).error().code, Errc::malformed);
}

}  // namespace
}  // namespace standpipe
