// What the simulation does to blocks, and what the oracle then expects.

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include <gtest/gtest.h>

#include <allot/fast.hpp>

#include "shared/region/size_class.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/heap_simulation.hpp"
#include "tests/support/refusal.hpp"

namespace allot::test {

namespace {

constexpr std::size_t kGranule = 65'536;

// What a size is rounded up to: a block of the list of small ones, then eight in each doubling.
std::size_t smallest_block_for(std::size_t size) {
  if (size <= 1024) return *std::ranges::lower_bound(region::kSmallBlockBytes, size);
  const std::size_t unit = size > kGranule ? kGranule : std::bit_floor(size - 1) / 8;
  return (size + unit - 1) / unit * unit;
}

}  // namespace

void HeapSimulation::allocate(std::size_t who) {
  Session& session = members_[who].session;
  Wanted wanted;
  if (random_.percent(15)) {
    wanted.pool = random_.below(members_[who].pools.size());
    BlockPool& pool = members_[who].pools[wanted.pool];
    wanted.size = pool.block_bytes();
    return allocated(who, pool.allocate(), wanted);
  }
  wanted.size = any_size(random_);
  if (random_.percent(40)) {  // about the end of a class
    const std::uint32_t bin = random_.below(region::kClassCount);
    wanted.size = region::kSizeClasses.at(bin).block_bytes - 1 + random_.below(3U);
  }
  if (random_.percent(10)) {
    wanted.alignment = std::size_t{1} << random_.below(20U);
    return allocated(who, session.allocate_aligned(wanted.size, wanted.alignment), wanted);
  }
  void* const block =
      random_.percent(50) ? session.allocate(wanted.size) : fast::allocate(session, wanted.size);
  allocated(who, block, wanted);
}

void HeapSimulation::allocate_batch(std::size_t who, const Wanted& wanted, std::size_t count) {
  Member& member = members_[who];
  std::vector<void*> blocks(count, this);
  const Batch batch = wanted.pool == kNoPool ? member.session.allocate_n(wanted.size, blocks)
                                             : member.pools[wanted.pool].allocate_n(blocks);
  const auto filled = std::ranges::find(blocks, nullptr) - blocks.begin();
  EXPECT_EQ(batch.count, static_cast<std::size_t>(filled));
  EXPECT_EQ(batch.errc == Errc::kOk, batch.count == count);
  ++counts_["batch"];
  for (void* const block : blocks) {
    if (block != nullptr) allocated(who, block, wanted);
  }
  if (!batch) refused_for_room();
}

void HeapSimulation::allocated(std::size_t who, void* address, const Wanted& wanted) {
  Session& session = members_[who].session;
  if (address == nullptr) return refused_for_room();
  ++counts_[wanted.alignment > 16 ? "aligned" : "allocated"];
  Block block;
  block.begin = static_cast<std::byte*>(address) - (who == 0 ? 0 : distance_);
  block.size = session.usable_size(address);
  block.contents = ++next_contents_;
  block.owner = who;
  block.pool = wanted.pool;
  check_place(who, block, wanted);
  if (testing::Test::HasFailure()) return;
  if (const auto old = stale_.find(block.begin); old != stale_.end()) {
    ++counts_["address again"];
    EXPECT_TRUE(refused(session.resolve(old->second), Errc::kStaleHandle));
  }
  fill_block(address, block.size, block.contents);
  insert(block);
}

void HeapSimulation::check_place(std::size_t who, const Block& block, const Wanted& wanted) {
  const std::size_t smallest =
      wanted.pool == kNoPool ? smallest_block_for(wanted.size) : wanted.size;
  EXPECT_GE(block.size, smallest) << wanted.size;
  if (wanted.size > kGranule) {
    EXPECT_LE(block.size, smallest + smallest / 8) << wanted.size;
  } else if (wanted.alignment <= 16 && block.size % kGranule != 0) {
    EXPECT_EQ(block.size, smallest) << wanted.size;
  }
  const std::size_t natural = std::min(block.size & (~block.size + 1), kGranule);
  const std::size_t of_pool = wanted.pool == kPoolOfLines ? kCacheLineBytes : 1;
  const auto number = reinterpret_cast<std::uintptr_t>(seen_by(who, block));
  EXPECT_EQ(number % std::max({wanted.alignment, natural, of_pool}), 0U) << wanted.size;
  EXPECT_EQ(members_[1 - who].session.usable_size(seen_by(1 - who, block)), block.size);
  const auto next = ranges_.lower_bound(block.begin);
  EXPECT_FALSE((next != ranges_.end() && next->first < block.begin + block.size) ||
               (next != ranges_.begin() && std::prev(next)->second > block.begin))
      << "a block of " << wanted.size << " bytes overlaps another";
}

void HeapSimulation::insert(const Block& block) {
  ranges_[block.begin] = block.begin + block.size;
  live_bytes_ += block.size;
  blocks_.push_back(block);
}

void HeapSimulation::refused_for_room() {
  const Errc errc = Session::last_error().errc();
  EXPECT_TRUE(errc == Errc::kSessionQuota || errc == Errc::kUidQuota)
      << Session::last_error().message();
  stale_.clear();
  ++counts_["refused"];
}

HeapSimulation::Block HeapSimulation::take(std::size_t index) {
  const Block block = blocks_[index];
  EXPECT_TRUE(holds_pattern(seen_by_owner(block), block.size, block.contents))
      << "somebody wrote into a block of " << block.size << " bytes";
  ranges_.erase(block.begin);
  live_bytes_ -= block.size;
  blocks_[index] = blocks_.back();
  blocks_.pop_back();
  return block;
}

void HeapSimulation::free(std::size_t index) {
  const Block block = take(index);
  Session& owner = owner_of(block);
  void* const address = seen_by_owner(block);
  if (block.pool != kNoPool && random_.percent(80)) {
    EXPECT_EQ(members_[block.owner].pools[block.pool].free(address), Errc::kOk);
  } else {
    EXPECT_EQ(random_.percent(50) ? owner.free(address) : fast::free(owner, address), Errc::kOk);
  }
  freed(block);
  // Its span may have gone back.
  const Errc again = owner.free(address);
  EXPECT_TRUE(again == Errc::kDoubleFree || again == Errc::kNotABlock) << static_cast<int>(again);
}

void HeapSimulation::free_batch(std::size_t who, std::size_t most) {
  std::vector<Block> gone;
  std::vector<void*> addresses;
  for (std::size_t i = blocks_.size(); i-- > 0 && gone.size() < most;) {
    if (blocks_[i].owner != who) continue;
    gone.push_back(take(i));
    addresses.push_back(seen_by(who, gone.back()));
  }
  // One that is not ours among them, which stays as it is.
  const auto other =
      std::ranges::find_if(blocks_, [&](const Block& one) { return one.owner != who; });
  const bool is_mixed = other != blocks_.end() && random_.percent(50);
  if (is_mixed) {
    addresses.push_back(seen_by(who, *other));
    std::swap(addresses.back(), addresses[random_.below(addresses.size())]);
  }
  const Batch batch = members_[who].session.free_n(addresses);
  EXPECT_EQ(batch.errc, is_mixed ? Errc::kNotOwner : Errc::kOk);
  EXPECT_EQ(batch.count, gone.size());
  for (const Block& one : gone) freed(one);
}

void HeapSimulation::free_all() {
  while (!blocks_.empty() && !testing::Test::HasFailure()) free(blocks_.size() - 1);
}

void HeapSimulation::freed(const Block& block) {
  if (!block.handle) return;
  // Few, so that hardly any comes again in a new carving, which begins at random generations.
  if (stale_.size() == 32) stale_.clear();
  stale_[block.begin] = *block.handle;
  EXPECT_TRUE(refused(owner_of(block).resolve(*block.handle), Errc::kStaleHandle));
}

void HeapSimulation::hand_over(std::size_t index) {
  Block& block = blocks_[index];
  Session& giver = owner_of(block);
  Session& other = members_[1 - block.owner].session;
  const Handle handle = giver.offer(seen_by_owner(block)).value();
  EXPECT_EQ(block.handle.value_or(handle), handle);
  block.handle = handle;
  const std::uint32_t kind = random_.below(10U);
  block.is_offered = kind == 0;
  if (kind == 0) return;
  if (kind == 1) {
    EXPECT_EQ(giver.retract(handle).value(), seen_by_owner(block));
  } else {
    block.owner = 1 - block.owner;
    EXPECT_EQ(other.adopt(handle).value(), seen_by_owner(block));
  }
  EXPECT_TRUE(refused(giver.adopt(handle), Errc::kNotOffered));
  ++counts_["hand over"];
}

void HeapSimulation::hand_over_batch(std::size_t who, std::size_t most) {
  std::vector<Block*> given;
  std::vector<const void*> addresses;
  for (Block& block : blocks_) {
    if (block.owner != who || given.size() == most) continue;
    given.push_back(&block);
    addresses.push_back(seen_by(who, block));
    if (random_.percent(90)) continue;
    given.push_back(nullptr);
    addresses.push_back(seen_by(who, block) + 8);
  }
  const auto refused_offers = static_cast<std::size_t>(std::ranges::count(given, nullptr));
  std::vector<Handle> handles(given.size(), Handle::from_bits(1));
  const Batch offered = members_[who].session.offer_n(addresses, handles);
  EXPECT_EQ(offered.count, given.size() - refused_offers);
  EXPECT_EQ(offered.errc, refused_offers == 0 ? Errc::kOk : Errc::kInteriorPointer);
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(static_cast<bool>(handles[i]), given[i] != nullptr);
    if (given[i] == nullptr) continue;
    EXPECT_EQ(given[i]->handle.value_or(handles[i]), handles[i]);
    given[i]->handle = handles[i];
    given[i]->owner = 1 - who;
    given[i]->is_offered = false;
  }
  // Beside those that were refused above, which have the empty handle: what is of another life of its
  // block, or of another region.
  std::vector<Handle> bad;
  for (const Handle one : handles) {
    if (!one || random_.percent(90)) continue;
    const std::uint32_t other_region = random_.below(2U);
    bad.push_back(Handle::make(one.region_tag() ^ other_region, one.offset_bytes(),
                               one.generation() ^ (1U - other_region)));
  }
  for (const Handle one : bad) {
    const auto place = static_cast<std::ptrdiff_t>(random_.below(handles.size() + 1));
    handles.insert(handles.begin() + place, one);
    given.insert(given.begin() + place, nullptr);
  }
  std::vector<void*> taken(handles.size(), this);
  const Batch adopted = members_[1 - who].session.adopt_n(handles, taken);
  EXPECT_EQ(adopted.count, offered.count);
  EXPECT_EQ(adopted.errc == Errc::kOk, adopted.count == handles.size());
  for (std::size_t i = 0; i < given.size(); ++i) {
    EXPECT_EQ(taken[i], given[i] != nullptr ? seen_by_owner(*given[i]) : nullptr);
  }
  ++counts_["hand over by the batch"];
}

void HeapSimulation::reallocate(std::size_t index) {
  if (blocks_[index].is_offered) return;
  const Block before = take(index);
  const std::size_t size = any_size(random_);
  std::byte* const address = seen_by_owner(before);
  void* const moved = owner_of(before).reallocate(address, size);
  const bool in_place = size <= before.size && (size > before.size / 2 || before.size == 16);
  EXPECT_EQ(moved == address, in_place);
  if (moved == nullptr || in_place) {
    if (moved == nullptr) refused_for_room();
    return insert(before);
  }
  constexpr std::size_t kFilledWhole = 4096;  // of what fill_block() fills
  EXPECT_TRUE(holds_pattern(moved, std::min({size, before.size, kFilledWhole}), before.contents));
  freed(before);
  ++counts_["moved"];
  allocated(before.owner, moved, {size, 1, kNoPool});
}

void HeapSimulation::misuse(const Block& block) {
  Member& owner = members_[block.owner];
  Session& other = members_[1 - block.owner].session;
  std::byte* const address = seen_by_owner(block);
  std::byte* const there = seen_by(1 - block.owner, block);
  EXPECT_EQ(other.free(there), Errc::kNotOwner);
  EXPECT_EQ(owner.session.free(address + 8), Errc::kInteriorPointer);
  const std::size_t pool = block.size == owner.pools[0].block_bytes() ? 1 : 0;
  EXPECT_EQ(owner.pools[pool].free(address), Errc::kNotInPool);
  if (block.handle) {
    EXPECT_EQ(other.resolve(*block.handle).value(), there);
    EXPECT_TRUE(refused(other.retract(*block.handle), Errc::kNotOwner));
  }
  EXPECT_EQ(owner.session.usable_size(address), block.size);
  ++counts_["misuse"];
}

}  // namespace allot::test
