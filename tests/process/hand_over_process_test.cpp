// Blocks that go from process to process by their handles alone.

#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::require;

constexpr std::size_t kSizes[] = {16, 1000, 40'000, 80'000, 3U << 20};

struct Parcel {
  Handle handle;
  std::uint64_t size_bytes = 0;
  std::uint64_t seed = 0;
  std::uint64_t address = 0;  // where the sender had it
};

// Adopts each parcel, checks it, writes something else into it and offers it to the next.
ALLOT_TEST_ROLE(pass_on) {
  Session session = test::connect_as_told(test);
  for (std::size_t i = 0; i < std::size(kSizes); ++i) {
    auto parcel = test.receive<Parcel>();
    void* const block = session.adopt(parcel.handle).value();
    require(test::holds_pattern(block, parcel.size_bytes, parcel.seed), "other contents");
    require(session.usable_size(block) >= parcel.size_bytes, "a smaller block");
    parcel.seed += 1;
    test::fill_block(block, parcel.size_bytes, parcel.seed);
    parcel.handle = session.offer(block).value();
    parcel.address = reinterpret_cast<std::uintptr_t>(block);
    test.send(parcel);
  }
  require(test.receive_text() == "taken", "no end");
  require(session.offers().empty(), "some were not taken");
}

class HandOver : public test::ServedRegion {};

TEST_F(HandOver, AChainOfProcessesPassesBlocksOn) {
  Agent first("pass_on");
  Agent second("pass_on");
  (void)test::introduce(first.link(), daemon());
  (void)test::introduce(second.link(), daemon());
  for (const std::size_t size : kSizes) {
    void* const block = session().allocate(size);
    test::fill_block(block, size, 100);
    Parcel parcel{session().offer(block).value(), size, 100,
                  reinterpret_cast<std::uintptr_t>(block)};
    std::set<std::uint64_t> addresses = {parcel.address};
    for (Agent* const agent : {&first, &second}) {
      agent->link().send(parcel);
      parcel = agent->link().receive<Parcel>();
      addresses.insert(parcel.address);
    }
    EXPECT_EQ(addresses.size(), 3U) << "the region lies elsewhere in each process";
    EXPECT_EQ(session().free(block), Errc::kNotOwner) << "it is the second agent's now";
    EXPECT_EQ(session().adopt(parcel.handle).value(), block) << "where it always was, here";
    EXPECT_TRUE(test::holds_pattern(block, size, 102));
    expect_live(1);
    EXPECT_EQ(session().free(block), Errc::kOk);
  }
  for (Agent* const agent : {&first, &second}) {
    agent->link().send_text("taken");
    EXPECT_TRUE(agent->finish());
  }
  expect_live(0);
}

// Adopts, frees, allocates and offers as it likes; says which blocks it offers.
ALLOT_TEST_ROLE(trade) {
  Session session = test::connect_as_told(test);
  test::Random random(test.receive<std::uint64_t>());
  std::vector<std::pair<void*, Parcel>> mine;
  for (;;) {
    const auto parcel = test.receive<Parcel>();
    if (!parcel.handle) break;
    void* const block = session.adopt(parcel.handle).value();
    require(test::holds_pattern(block, parcel.size_bytes, parcel.seed), "other contents");
    mine.emplace_back(block, parcel);
    const std::size_t size = test::any_size(random);
    void* const fresh = session.allocate(size);
    const std::uint64_t seed = random.next();
    test::fill_block(fresh, size, seed);
    mine.emplace_back(fresh, Parcel{Handle(), size, seed});
    while (mine.size() > 30) {
      const std::size_t which = random.below(mine.size());
      require(session.free(mine[which].first) == Errc::kOk, "not ours");
      mine[which] = mine.back();
      mine.pop_back();
    }
    const std::size_t which = random.below(mine.size());
    Parcel out = mine[which].second;
    out.handle = session.offer(mine[which].first).value();
    mine[which] = mine.back();
    mine.pop_back();
    test.send(out);
  }
  for (const auto& [block, parcel] : mine) {
    require(test::holds_pattern(block, parcel.size_bytes, parcel.seed), "somebody wrote into it");
    require(session.free(block) == Errc::kOk, "not ours");
  }
}

TEST_F(HandOver, ProcessesTradeForALongTime) {
  const auto range = test::seeds(3);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    std::vector<Agent> agents;
    for (std::uint64_t i = 0; i < 3; ++i) {
      agents.emplace_back("trade");
      (void)test::introduce(agents.back().link(), daemon());
      agents.back()->send(seed * 10 + i);
    }
    void* const first = session().allocate(100);
    test::fill_block(first, 100, 1);
    Parcel parcel{session().offer(first).value(), 100, 1};
    for (std::size_t i = 0; i < 3000; ++i) {
      agents[i % agents.size()]->send(parcel);
      parcel = agents[i % agents.size()]->receive<Parcel>();
    }
    // While it is still offered: an offer does not outlive its owner.
    EXPECT_EQ(session().free(session().adopt(parcel.handle).value()), Errc::kOk);
    for (Agent& agent : agents) {
      agent->send(Parcel());
      EXPECT_TRUE(agent.finish());
    }
    expect_live(0);
  }
}

}  // namespace
}  // namespace allot
