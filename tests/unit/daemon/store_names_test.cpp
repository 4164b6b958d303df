#include "daemon/store_names.hpp"

#include <gtest/gtest.h>

#include "shared/region/geometry.hpp"

namespace allot::daemon {
namespace {

TEST(StoreNames, ComeBackAsTheyWere) {
  const StoredSession session{1023, 4095, 0x123456789ABCDEF0};
  EXPECT_EQ(session_name(session), "3ff.fff.123456789abcdef0");
  EXPECT_EQ(parse_session_name(session_name(session)), session);
  EXPECT_EQ(region_part_name("vault", 77), "vault.4d");
  EXPECT_EQ(region_of_directory("directory.4d"), 77U);
}

TEST(StoreNames, NothingElseIsTakenForOne) {
  for (const char* const name :
       {"", ".", "..", "1.2", "1.2.", "1.2.3.4", "1.2.3 ", "01.2.3", "1.2.x", "A.2.3", "+1.2.3",
        "1.2.10000000000000000", "client", "vault.4d", "stored"}) {
    EXPECT_FALSE(parse_session_name(name)) << name;
  }
  for (const char* const name : {"", "directory", "directory.", "directory.x", "directory.04",
                                 "vault.4d", "directory.4d.1"}) {
    EXPECT_FALSE(region_of_directory(name)) << name;
  }
}

// LISTEN_FDNAMES is one string of the environment: 128 KiB with its name and the NUL.
TEST(StoreNames, AllThatIsStorableFitsTheEnvironment) {
  for (const std::uint64_t regions : {1U, 8U, 64U}) {
    const std::uint64_t sessions = storable_sessions(16384, regions);
    std::string names = "LISTEN_FDNAMES=client:client-path:control:control-path";
    for (std::uint64_t region = 0; region < regions; ++region) {
      for (const auto part : kRegionParts) names += ':' + region_part_name(part, 1023);
    }
    const std::string one = ':' + session_name({1023, 4095, (1U << 28) - 1});
    names.reserve(256 << 10);
    for (std::uint64_t i = 0; i < 2 * sessions; ++i) names += one;
    EXPECT_LT(names.size(), std::size_t{128} << 10) << regions;
    EXPECT_GT(sessions, 3800U) << regions;
  }
  EXPECT_EQ(storable_sessions(108, 1), 50U);
  EXPECT_EQ(storable_sessions(9, 1), 0U);
  EXPECT_EQ(storable_sessions(0, 64), 0U);
}

TEST(StoreNames, WhatNobodyUsesTakesRoomFromSessions) {
  UnusedInStore unused;
  for (const auto part : kRegionParts) unused.add(region_part_name(part, 5));
  EXPECT_EQ(storable_sessions(112, 1, unused), 50U);
  EXPECT_LT(storable_sessions(16388, 1, unused), storable_sessions(16384, 1))
      << "their names take room, too";
  unused.name_bytes = 1 << 20;
  EXPECT_EQ(storable_sessions(16384, 1, unused), 0U);
}

}  // namespace
}  // namespace allot::daemon
