#include "replay/trusted_proxies.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace standpipe::replay {
namespace {

namespace ip = boost::asio::ip;

TrustedProxies trusting(std::initializer_list<const char*> proxies) {
  TrustedProxies trusted;
  for (const char* proxy : proxies) EXPECT_TRUE(trusted.add(proxy)) << proxy;
  return trusted;
}

std::string origin(const TrustedProxies& trusted, const char* address, const char* forwarded) {
  return trusted.origin(ip::make_address(address), forwarded).to_string();
}

TEST(TrustedProxies, NobodyIsBelievedUnlessItWasSaid) {
  EXPECT_EQ(origin({}, "127.0.0.1", "203.0.113.9"), "127.0.0.1");
  EXPECT_EQ(origin(trusting({"127.0.0.1"}), "127.0.0.2", "203.0.113.9"), "127.0.0.2");
}

TEST(TrustedProxies, TheLastThatIsNoProxyOfOursCounts) {
  const TrustedProxies trusted = trusting({"127.0.0.1", "10.0.0.0/8", "fd00::/8"});
  EXPECT_EQ(origin(trusted, "127.0.0.1", "203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(origin(trusted, "127.0.0.1", "203.0.113.9, 10.2.3.4"), "203.0.113.9");
  EXPECT_EQ(origin(trusted, "fd00::1", "2001:db8::7 , 10.2.3.4"), "2001:db8::7");
  // What a client writes itself stands before what our proxy adds.
  EXPECT_EQ(origin(trusted, "127.0.0.1", "198.51.100.1, 203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(origin(trusted, "127.0.0.1", "10.9.9.9"), "10.9.9.9");
  EXPECT_EQ(origin(trusted, "127.0.0.1", ""), "127.0.0.1");
  EXPECT_EQ(origin(trusted, "127.0.0.1", "::ffff:203.0.113.9"), "203.0.113.9");
}

TEST(TrustedProxies, WhatIsNoAddressEndsTheSearch) {
  const TrustedProxies trusted = trusting({"127.0.0.1", "10.0.0.1"});
  EXPECT_EQ(origin(trusted, "127.0.0.1", "unknown"), "127.0.0.1");
  EXPECT_EQ(origin(trusted, "127.0.0.1", "203.0.113.9, nonsense, 10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(origin(trusted, "127.0.0.1", ","), "127.0.0.1");
}

TEST(TrustedProxies, WhatIsNeitherAddressNorNetworkIsRefused) {
  TrustedProxies trusted;
  for (const char* text : {"", "proxy", "127.0.0.1/33", "::1/129", "127.0.0.1:80", "/8"}) {
    const auto added = trusted.add(text);
    ASSERT_FALSE(added) << text;
    EXPECT_NE(added.error().detail.find("10.0.0.0/8"), std::string::npos);
  }
}

}  // namespace
}  // namespace standpipe::replay
