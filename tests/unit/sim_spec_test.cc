// The text of a simulated network: what it may say, and the one form in which it is remembered.
#include <gtest/gtest.h>

#include <string>

#include "tools/sim/spec.h"

namespace standpipe::tools::sim {
namespace {

std::string remembered(const std::string& text) { return to_string(parse_spec(text).value()); }
std::string refusal(const std::string& text) { return to_string(parse_spec(text).error()); }

TEST(SimSpec, TextIsTheSameHoweverItIsSaid) {
  EXPECT_EQ(remembered("sim:"), "sim:seed=1");
  EXPECT_EQ(remembered("sim:rate=50,seed=7"), "sim:seed=7,rate=50");
  EXPECT_EQ(remembered("sim:seed=7,rate=50,speed=max"), "sim:seed=7,rate=50");
  EXPECT_EQ(remembered("sim:accounts=5000,rate=342,labels=5,legacy=0,start=now"), "sim:seed=1");
  EXPECT_EQ(remembered("sim:start=2026-07-01T02:00:00+02:00"),
            "sim:seed=1,start=2026-07-01T00:00:00.000Z");
  const std::string all =
      "sim:seed=18446744073709551615,start=2027-01-02T03:04:05.006Z,accounts=9,rate=10,bursts=200,"
      "frames=77,first-seq=31527015321,identity=1,account=2,sync=4,labels=6,legacy=5,info=9";
  EXPECT_EQ(remembered(all), all);
}

TEST(SimSpec, WhatIsNotSaidIsAsItWas) {
  const Spec base = parse_spec("sim:seed=7,rate=50,start=2026-07-01T00:00:00Z,empty").value();
  EXPECT_EQ(to_string(parse_spec("sim:", &base).value()), to_string(base));
  EXPECT_EQ(to_string(parse_spec("sim:rate=60,empty=0", &base).value()),
            "sim:seed=7,start=2026-07-01T00:00:00.000Z,rate=60");
  EXPECT_EQ(parse_spec("sim:").value().speed, 1U);
  EXPECT_EQ(parse_spec("sim:speed=max").value().speed, 0U);
  EXPECT_EQ(parse_spec("sim:empty").value().network.odd_per_mille[1], kOddPerMilleDefault);
}

TEST(SimSpec, WhatCannotBeMeantIsNamed) {
  EXPECT_EQ(refusal("sim:rate"),
            "invalid: 'sim:rate': rate: '' is not a whole number from 1 to 100000");
  EXPECT_EQ(refusal("sim:seed=1,,rate=2").substr(0, 49),
            "invalid: 'sim:seed=1,,rate=2': no option ''; allo");
  EXPECT_NE(refusal("sim:Seed=1").find("no option 'Seed'; allowed: seed, accounts"),
            std::string::npos);
  EXPECT_NE(refusal("http:").find("wanted sim: and its options"), std::string::npos);
}

}  // namespace
}  // namespace standpipe::tools::sim
