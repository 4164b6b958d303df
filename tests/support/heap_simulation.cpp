#include "tests/support/heap_simulation.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "shared/region/size_class.hpp"

namespace allot::test {

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr std::size_t kGranule = 65'536;
constexpr std::size_t kCommitLimit = 40 * kMiB;
constexpr std::size_t kMostLiveBytes = 12 * kMiB;
constexpr std::size_t kMostLive = 600;

bool ok() { return !testing::Test::HasFailure(); }

}  // namespace

HeapSimulation::HeapSimulation(std::uint64_t seed, Counts& counts)
    : seed_(seed),
      random_(seed),
      counts_(counts),
      region_(EmbeddedRegion::create({1024 * kMiB, kCommitLimit}).value()) {
  for (int i = 0; i < 2; ++i) members_.push_back(connect());
  replace_second();
}

HeapSimulation::Member HeapSimulation::connect() {
  Member one{region_.connect().value(), {}};
  for (const BlockPoolOptions& options :
       {BlockPoolOptions{"jobs", 48}, BlockPoolOptions{"pages", 2000},
        BlockPoolOptions{"lines", 300, kCacheLineBytes}}) {
    one.pools.push_back(BlockPool::open(one.session, options).value());
  }
  return one;
}

void HeapSimulation::replace_second() {
  Member second = connect();
  Session& giver = members_[0].session;
  void* const here = giver.allocate(1);
  void* const there = second.session.adopt(giver.offer(here).value()).value();
  distance_ = static_cast<std::byte*>(there) - static_cast<std::byte*>(here);
  EXPECT_EQ(second.session.free(there), Errc::kOk);
  members_[1] = std::move(second);
}

void HeapSimulation::run(std::uint32_t stints) {
  for (std::uint32_t i = 0; i < stints && ok(); ++i) {
    in_some_thread([&] {
      for (int step = 0; step < 60 && ok(); ++step) operate();
    });
    (void)audit();
  }
}

void HeapSimulation::operate() {
  const std::size_t who = random_.below(2U);
  const std::uint32_t kind = random_.below(1000U);
  const bool may_grow = live_bytes_ < kMostLiveBytes && blocks_.size() < kMostLive;
  if (blocks_.size() < 10 || (kind < 480 && may_grow)) {
    allocate(who);
  } else if (kind < 500 && may_grow) {
    allocate_batch(who, any_kind(), 1 + random_.below(100U));
  } else if (kind < 820) {
    free(any());
  } else if (kind < 840) {
    free_batch(who, 1 + random_.below(100U));
  } else if (kind < 920) {
    hand_over(any());
  } else if (kind < 940) {
    hand_over_batch(who, 1 + random_.below(100U));
  } else if (kind < 960) {
    reallocate(any());
  } else if (kind < 990) {
    misuse(blocks_[any()]);
  } else if (kind < 995) {
    trim(who);
  }
}

void HeapSimulation::in_some_thread(const std::function<void()>& body) {
  if (random_.percent(60)) return body();
  ++counts_["stint in another thread"];
  std::thread([&] {
    SCOPED_TRACE("replay with ALLOT_TEST_SEED=" + std::to_string(seed_));
    body();
  }).join();
}

std::uint64_t HeapSimulation::audit() {
  const EmbeddedAudit found = region_.audit();
  EXPECT_EQ(found.violations, 0U);
  EXPECT_EQ(found.live_blocks, blocks_.size());
  EXPECT_EQ(found.live_bytes, live_bytes_);
  for (std::size_t who = 0; who < members_.size(); ++who) {
    const std::vector<Handle> offers = members_[who].session.offers();
    std::set<Handle> wanted;
    for (const Block& one : blocks_) {
      if (one.owner == who && one.is_offered) wanted.insert(*one.handle);
    }
    EXPECT_EQ(std::set<Handle>(offers.begin(), offers.end()), wanted);
  }
  return found.granted_bytes;
}

HeapSimulation::Wanted HeapSimulation::any_kind() {
  Wanted wanted;
  if (random_.percent(30)) {
    wanted.pool = random_.below(members_[0].pools.size());
    wanted.size = members_[0].pools[wanted.pool].block_bytes();
  } else {
    wanted.size = 1 + random_.below(std::size_t{1} << random_.below(17U));
  }
  return wanted;
}

void HeapSimulation::refill() {
  const Wanted wanted = any_kind();
  const std::uint32_t bin = region::bin_of(wanted.size);
  const region::SizeClass cut =
      wanted.pool == kNoPool ? region::kSizeClasses.at(bin)
                             : region::size_class_for(static_cast<std::uint32_t>(wanted.size));
  free_all();
  trim(0);
  // All of some spans, so that nothing is left on the stack.
  allocate_batch(0, wanted, std::size_t{cut.block_count} * random_.between(2, 6));
  std::set<const std::byte*> gone;
  for (std::uint32_t count = random_.between(1, 40); count > 0; --count) {
    const std::size_t index = any();
    if (blocks_[index].owner == 0 && random_.percent(50)) hand_over(index);
    gone.insert(blocks_[index].begin);
    if (blocks_[index].owner == 1 && random_.percent(50)) continue;  // freed with others below
    in_some_thread([&] { free(index); });
  }
  for (const Block& one : blocks_) {
    if (one.owner == 1) gone.insert(one.begin);
  }
  free_batch(1, blocks_.size());
  const std::size_t before = blocks_.size();
  allocate_batch(0, wanted, gone.size());
  for (std::size_t i = before; i < blocks_.size(); ++i) {
    EXPECT_TRUE(gone.contains(blocks_[i].begin))
        << "a free block of " << wanted.size << " bytes was not found";
  }
}

void HeapSimulation::reuse() {
  const std::size_t who = random_.below(2U);
  const Wanted wanted = any_kind();
  const std::size_t count = std::clamp<std::size_t>(kMiB * 3 / 2 / wanted.size, 24, 6000);
  free_all();
  trim(0);
  trim(1);
  std::uint64_t first_granted = 0;
  for (int round = 0; round < 5 && ok(); ++round) {
    allocate_batch(who, wanted, count);
    for (std::size_t i = 0; i < blocks_.size() && round % 2 == 0; i += 2) hand_over(i);
    while (!blocks_.empty() && ok()) {
      const bool batch = random_.percent(50);
      in_some_thread([&] {
        if (batch) free_batch(random_.below(2U), count / 3 + 1);
        for (std::size_t i = 0; i <= count / 3 && !batch && !blocks_.empty(); ++i) {
          free(blocks_.size() - 1);
        }
      });
    }
    const std::uint64_t granted = audit();
    if (round == 0) first_granted = granted;
    EXPECT_LE(granted, first_granted + first_granted / 2 + 2 * kMiB)
        << "free blocks of " << wanted.size << " bytes were forgotten, round " << round;
  }
}

void HeapSimulation::recede() {
  free_all();
  trim(0);
  allocate_batch(0, {512, 1, kNoPool}, 6000);
  const std::uint64_t most = audit();
  free_batch(0, blocks_.size());
  EXPECT_LT(audit(), most - 10 * kGranule);
}

void HeapSimulation::press() {
  constexpr std::size_t kMost = kCommitLimit - 4 * kMiB;
  Session& holder = members_[0].session;
  Session& needy = members_[1].session;
  free_all();
  std::vector<void*> kept(8 * kMiB / kGranule);
  EXPECT_TRUE(holder.allocate_n(kGranule, kept));
  EXPECT_TRUE(holder.free_n(kept));
  EXPECT_EQ(needy.allocate(kMost), nullptr) << "the other holds too much for that";
  refused_for_room();
  EXPECT_EQ(holder.free(holder.allocate(3 * kGranule)), Errc::kOk);  // its next slow call
  void* const large = needy.allocate(kMost);
  EXPECT_NE(large, nullptr) << Session::last_error().message();
  expect_cached(holder, 4, 2);
  EXPECT_EQ(needy.free(large), Errc::kOk);
  (void)needy.trim();
  expect_cached(holder, 12, 24);  // the first of them finds that there is room again
  (void)audit();
}

void HeapSimulation::expect_cached(Session& session, std::size_t freed_granules,
                                   std::size_t granules) {
  EXPECT_EQ(session.free(session.allocate(freed_granules * kGranule)), Errc::kOk);
  const std::uint64_t before = region_.audit().granted_bytes;
  void* const other = session.allocate(granules * kGranule);
  EXPECT_EQ(region_.audit().granted_bytes, before + granules * kGranule);
  EXPECT_EQ(session.free(other), Errc::kOk);
}

void HeapSimulation::inherit() {
  Wanted wanted;
  wanted.size = 1 + random_.below(std::size_t{1} << random_.below(16U));
  const std::size_t per_span = region::kSizeClasses.at(region::bin_of(wanted.size)).block_count;
  free_all();
  trim(0);
  trim(1);
  allocate_batch(1, wanted, per_span * random_.between(1, 6));
  std::set<const std::byte*> gone;
  std::vector<Block> kept;
  const std::size_t one_of_each_span = random_.below(per_span);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (i % per_span == one_of_each_span || random_.percent(20)) {
      Session& heir = members_[0].session;
      Block& block = blocks_[i];
      block.handle = members_[1].session.offer(seen_by_owner(block)).value();
      EXPECT_TRUE(heir.adopt(*block.handle));
      block.owner = 0;
      kept.push_back(block);
    } else {
      gone.insert(blocks_[i].begin);
      ranges_.erase(blocks_[i].begin);
      live_bytes_ -= blocks_[i].size;
    }
  }
  blocks_ = kept;
  replace_second();  // with its threads' heaps, stacks and all
  const std::uint64_t granted = audit();
  stale_.clear();
  allocate_batch(1, wanted, gone.size());
  for (std::size_t i = kept.size(); i < blocks_.size(); ++i) {
    EXPECT_TRUE(gone.contains(blocks_[i].begin))
        << "a free block of " << wanted.size << " bytes in an orphan was not found";
  }
  EXPECT_EQ(audit(), granted) << "of spans that are there";
  counts_["inherited"] += gone.size();
}

void HeapSimulation::trim(std::size_t who) {
  const std::uint64_t before = audit();
  const std::uint64_t given_back = members_[who].session.trim();
  EXPECT_LE(given_back, before - audit());
  stale_.clear();
  if (given_back > 0) ++counts_["trimmed"];
}

void HeapSimulation::drain() {
  free_all();
  for (std::size_t who = 0; who < members_.size(); ++who) trim(who);
  EXPECT_EQ(audit(), 0U) << "free spans that did not go back";
}

}  // namespace allot::test
