// What top shows: rates are of the time between two samples, the busiest come first.

#include "tools/allotctl/drawing/top_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace allot::ctl {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kSecond = 1'000'000'000;

TopSession session_of(std::uint32_t id, std::uint64_t allocations, std::uint64_t frees = 0) {
  TopSession out;
  out.session = id;
  out.incarnation = 1;
  out.label = "s" + std::to_string(id);
  out.connected_unix_ns = 90 * kSecond;
  out.allocations = allocations;
  out.frees = frees;
  return out;
}

TopRegion region_at(std::uint64_t second) {
  TopRegion out;
  out.name = "default";
  out.created_unix_ns = 80 * kSecond;
  out.now_unix_ns = second * kSecond;
  out.now_monotonic_ns = second * kSecond;
  return out;
}

TEST(TopText, RateIsOfTheTimeBetweenSamples) {
  TopRegion before = region_at(100);
  before.sessions = {session_of(20, 1000, 10)};
  TopRegion now = region_at(104);
  now.sessions = {session_of(20, 1400, 30)};
  now.sessions[0].grants = 8;
  const TopRates rates = rates_of(now, now.sessions[0], &before);
  EXPECT_NEAR(rates.allocations, 100, 0.001);
  EXPECT_NEAR(rates.frees, 5, 0.001);
  EXPECT_NEAR(rates.grants, 2, 0.001);
}

TEST(TopText, FirstRateIsSinceTheSessionBegan) {
  TopRegion now = region_at(110);
  now.sessions = {session_of(20, 1000)};
  EXPECT_NEAR(rates_of(now, now.sessions[0], nullptr).allocations, 50, 0.001);
  TopRegion before = region_at(105);
  before.sessions = {session_of(20, 10)};
  before.sessions[0].incarnation = 7;  // somebody else had the number
  EXPECT_NEAR(rates_of(now, now.sessions[0], &before).allocations, 50, 0.001);
}

TEST(TopText, CounterThatShrankIsNoRate) {
  TopRegion before = region_at(100);
  before.sessions = {session_of(20, 1000)};
  TopRegion now = region_at(101);
  now.sessions = {session_of(20, 10)};
  EXPECT_EQ(rates_of(now, now.sessions[0], &before).allocations, 0);
}

TEST(TopText, RegionOfAnotherDaemonIsAnotherRegion) {
  TopSample before{{region_at(100)}};
  before.regions[0].grants = 10;
  TopSample now{{region_at(105)}};
  now.regions[0].grants = 20;
  EXPECT_THAT(top_text(now, before, 5), HasSubstr("  2.0\n"));
  now.regions[0].created_unix_ns = 101 * kSecond;
  EXPECT_THAT(top_text(now, before, 5), HasSubstr("  5.0\n"));
}

TEST(TopText, BusiestComeFirst) {
  TopSample now{{region_at(110)}};
  now.regions[0].sessions = {session_of(20, 10), session_of(21, 30), session_of(22, 0, 20),
                             session_of(23, 0)};
  const std::string text = top_text(now, {}, 3);
  EXPECT_LT(text.find("s21"), text.find("s22"));
  EXPECT_LT(text.find("s22"), text.find("s20"));
  EXPECT_THAT(text, Not(HasSubstr("s23")));
  EXPECT_THAT(text, HasSubstr("and 1 session more"));
  EXPECT_THAT(top_text({{region_at(110)}}, {}, 3), HasSubstr("no sessions"));
}

TEST(TopText, SaysWhatItDoesNotKnow) {
  TopSample now{{region_at(110)}};
  now.regions[0].least_room_bytes = 1024;
  EXPECT_THAT(top_text(now, {}, 3), HasSubstr("1.0 KiB                -"));
  EXPECT_THAT(top_text(now, {}, 3), Not(HasSubstr("in use while")));
  now.regions[0].exact = false;
  EXPECT_THAT(top_text(now, {}, 3), HasSubstr("in use while it was read"));
}

TEST(TopText, LinesAreCutToTheWidth) {
  EXPECT_EQ(cut_lines("abcdef\nab\n\nabc", 3), "abc\nab\n\nabc\n");
}

}  // namespace
}  // namespace allot::ctl
