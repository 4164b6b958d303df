// allotctl bins and pools: what sessions have of each block size, by own words and by counters.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <allot/pool.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "shared/region/layout.hpp"
#include "shared/region/size_class.hpp"
#include "tests/support/control_client.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

namespace json = boost::json;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class AllotctlBins : public test::ServedRegion {
 protected:
  [[nodiscard]] std::string out_of(const std::vector<std::string>& arguments) {
    std::vector<std::string> words = {ALLOT_ALLOTCTL_PATH, "--runtime-dir",
                                      daemon().runtime_dir().native()};
    words.insert(words.end(), arguments.begin(), arguments.end());
    const auto answer = test::run_program(words);
    EXPECT_EQ(answer.exit_status, 0) << answer.err;
    return answer.out;
  }
  [[nodiscard]] std::vector<json::object> bins() {
    std::vector<json::object> out;
    const json::value parsed = json::parse(out_of({"bins", "--json"}));
    for (const json::value& one : parsed.at("regions").at(0).at("bins").as_array()) {
      out.push_back(one.as_object());
    }
    return out;
  }
  // Of the session's class for `size_bytes`, or its pool `pool`.
  [[nodiscard]] json::object bin(const Session& session, std::uint64_t block_bytes,
                                 const std::string& pool = "") {
    for (const json::object& one : bins()) {
      const bool is_named =
          one.contains("pool") ? one.at("pool") == json::string_view(pool) : pool.empty();
      if (one.at("session") == session.id().session && one.at("block_bytes") == block_bytes &&
          is_named) {
        return one;
      }
    }
    ADD_FAILURE() << "no bin of " << block_bytes;
    return {};
  }
};

std::uint64_t number(const json::object& object, const char* key) {
  return object.at(key).to_number<std::uint64_t>();
}

TEST_F(AllotctlBins, CountWhatASessionHasUsesAndKeeps) {
  Session& session = this->session();
  std::vector<void*> blocks(3000);
  ASSERT_TRUE(session.allocate_n(64, blocks));
  EXPECT_TRUE(session.free_n(std::span(blocks).first(1000)));
  json::object one = bin(session, 64);
  EXPECT_EQ(one.at("kind"), "class");
  EXPECT_EQ(number(one, "live_blocks"), 2000U);
  EXPECT_EQ(number(one, "allocations"), 3000U);
  EXPECT_EQ(number(one, "frees"), 1000U);
  EXPECT_EQ(number(one, "spans"), 3U);
  EXPECT_EQ(number(one, "granted_blocks"), 3072U);
  EXPECT_EQ(number(one, "cached_blocks"), 1072U);
  EXPECT_EQ(number(one, "fills"), 3U);
  EXPECT_EQ(number(one, "peak_blocks"), 2048U) << "when the last span was fetched";
  // A thread of its own has a heap of its own; the session's numbers are their sum.
  std::thread([&] { EXPECT_EQ(session.free_n(std::span(blocks).last(2000)).count, 2000U); }).join();
  one = bin(session, 64);
  EXPECT_EQ(number(one, "live_blocks"), 0U);
  EXPECT_EQ(number(one, "frees"), 3000U);
}

TEST_F(AllotctlBins, LargeBlocksHaveABinOfTheirOwn) {
  Session& session = this->session();
  void* const block = session.allocate(3'000'000);
  const json::object one = bin(session, 46 * region::kGranuleBytes);
  EXPECT_EQ(one.at("kind"), "large");
  EXPECT_EQ(number(one, "live_blocks"), 1U);
  EXPECT_EQ(session.free(block), Errc::kOk);
}

TEST_F(AllotctlBins, PoolsAreListedByTheirNames) {
  Session& session = this->session();
  BlockPool empty = BlockPool::open(session, {"empty", 100}).value();
  BlockPool jobs = BlockPool::open(session, {"jobs", 100, kCacheLineBytes}).value();
  void* const of_heap = session.allocate(128);
  std::vector<void*> blocks(10);
  ASSERT_TRUE(jobs.allocate_n(blocks));
  const json::object one = bin(session, 128, "jobs");
  EXPECT_EQ(number(one, "live_blocks"), 10U);
  EXPECT_EQ(number(one, "allocations"), 10U);
  EXPECT_EQ(number(bin(session, 112, "empty"), "granted_blocks"), 0U);
  const std::string pools = out_of({"pools"});
  EXPECT_THAT(pools, ContainsRegex("jobs +128 B +1 +512 +10 +502 "));
  EXPECT_THAT(pools, ContainsRegex("empty +112 B +0 "));
  EXPECT_THAT(pools, Not(HasSubstr("class")));
  EXPECT_THAT(out_of({"bins"}), ContainsRegex("class +128 B +1 "));
  EXPECT_TRUE(jobs.free_n(blocks));
  EXPECT_EQ(session.free(of_heap), Errc::kOk);
}

// The ledger is the members' to write: what a terminal would obey is not shown, and no number of a
// pool makes the daemon read beyond it.
TEST_F(AllotctlBins, WhatAMemberWritesIsOnlyText) {
  test::RawSession member(daemon().client_socket());
  const std::uint64_t heap =
      member.client.request(protocol::AttachHeap{}).as<protocol::HeapAttached>().heap;
  // allocations, frees, fills, granted, peak, block_bytes, and the name without an end
  std::array<std::uint64_t, 8> counters{};
  counters.fill(~std::uint64_t{0});
  std::memcpy(&counters[6], "\x1B[2Jboo!boo!boo!", 2 * sizeof(std::uint64_t));
  static_assert(sizeof(counters) == sizeof(region::BinCounters));
  const std::uint64_t at = region::FileLayout::kHeapLedgersOffset +
                           heap * sizeof(region::HeapLedger) +
                           region::kFirstPoolBin * sizeof(counters);
  ASSERT_EQ(
      ::pwrite(member.ledger.get(), counters.data(), sizeof(counters), static_cast<off_t>(at)),
      static_cast<ssize_t>(sizeof(counters)));
  const std::string pools = out_of({"pools"});
  EXPECT_THAT(pools, HasSubstr("boo!boo!boo"));
  EXPECT_THAT(pools, Not(HasSubstr("\x1B")));
}

}  // namespace
}  // namespace allot
