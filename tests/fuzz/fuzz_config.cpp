// Whatever stands in a configuration file, parse_config() names each mistake in one line, or gives
// regions that a daemon can begin: named, each once, of whole granules.

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "daemon/config.hpp"
#include "shared/protocol/message.hpp"
#include "shared/region/geometry.hpp"
#include "tests/fuzz/fuzz_input.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace allot;
  test::FuzzInput input(data, size);
  const auto reading = daemon::parse_config(input.text(), "f.toml");
  for (const std::string& mistake : reading.mistakes) {
    EXPECT_TRUE(mistake.starts_with("f.toml:")) << mistake;
    for (const char c : mistake) EXPECT_TRUE(c >= ' ' && c <= '~') << mistake;
  }
  if (!reading.mistakes.empty()) return 0;
  std::set<std::string> names;
  for (const daemon::RegionConfig& region : reading.config.regions) {
    EXPECT_TRUE(protocol::is_valid_name(region.name, region::kRegionNameBytes)) << region.name;
    EXPECT_TRUE(names.insert(region.name).second) << region.name;
    EXPECT_GT(region.limits.size_bytes, 0U);
    EXPECT_EQ(region.limits.size_bytes % region::kGranuleBytes, 0U);
    EXPECT_GT(region.limits.max_sessions, 0U);
  }
  EXPECT_FALSE(names.empty());
  return 0;
}
