#include "tests/support/core_region.hpp"

#include <gtest/gtest.h>

namespace allot::test {

using detail::OwnWord;

CoreRegion::CoreRegion(std::uint64_t granules, const core::Limits& limits)
    : memory_(granules), core_(memory_.view(), "test", kRegionTag, limits, 1, memory_.vault()) {}

std::uint32_t CoreRegion::open_session(uid_t uid) {
  const auto ticket = core_.open_session({4711, uid, 100}, "test", now_ns);
  EXPECT_TRUE(ticket) << ticket.error().message();
  if (!ticket) return 0;
  core_.note_welcomed(ticket->id);
  return ticket->id;
}

Expected<std::uint64_t> CoreRegion::grant(std::uint32_t session, std::uint32_t granules,
                                          std::uint32_t count, std::uint32_t words,
                                          std::uint32_t align_granules) {
  auto plan = core_.plan_grant(session, {granules, count, words, align_granules}, kPlenty);
  if (!plan) return plan.error();
  memory_.open(plan->high_water_granules);
  auto granted = core_.finish_grant(*plan, now_ns);
  if (!granted) return granted.error();
  return granted->first;
}

std::uint64_t CoreRegion::granted(std::uint32_t session, std::uint32_t granules,
                                  std::uint32_t count, std::uint32_t words) {
  const auto first = grant(session, granules, count, words);
  EXPECT_TRUE(first) << first.error().message();
  return first ? *first : 0;
}

std::uint32_t CoreRegion::attached_heap(std::uint32_t session) {
  const auto heap = core_.attach_heap(session);
  EXPECT_TRUE(heap) << heap.error().message();
  if (!heap) return 0;
  memory_.open_heaps(*heap + 1);
  core_.finish_heap(*heap, true);
  return *heap;
}

void CoreRegion::carve(std::uint64_t first, std::uint32_t bin, std::uint32_t generation) {
  for (std::uint32_t i = 0; i < region::kSizeClasses.at(bin).block_count; ++i) {
    word(first, i).store_relaxed(OwnWord::make(OwnWord::kFree, generation));
  }
  view().span_ledger(first).carve.store_release(region::CarveWord::blocks(bin));
}

void CoreRegion::carve_large(std::uint64_t first, std::uint32_t generation) {
  word(first).store_relaxed(OwnWord::make(OwnWord::kFree, generation));
  view().span_ledger(first).carve.store_release(region::CarveWord::kLarge);
}

detail::Atomic<std::uint32_t>& CoreRegion::word(std::uint64_t first, std::uint32_t index) {
  return view().word(first, index);
}

Handle CoreRegion::handle(std::uint64_t first, std::uint32_t index) {
  const std::uint64_t carve = view().span_ledger(first).carve.load_acquire();
  const std::uint32_t in_span =
      region::CarveWord::kind(carve) == region::CarveWord::kBlocks
          ? region::block_offset(region::kSizeClasses.at(region::CarveWord::bin(carve)), index)
          : 0;
  return Handle::make(kRegionTag, first * region::kGranuleBytes + in_span,
                      OwnWord::generation(word(first, index).load_acquire()));
}

region::SpanDescriptor CoreRegion::descriptor(std::uint64_t granule) const {
  return region::SpanDescriptor::decode(view().descriptor(granule).load_acquire());
}

std::vector<core::RegionCore::Ended> CoreRegion::recover(std::uint32_t session) {
  core_.begin_recovery(session);
  return finish_recovery();
}

std::vector<core::RegionCore::Ended> CoreRegion::finish_recovery() {
  std::vector<core::RegionCore::Ended> ended;
  for (int slices = 0; core_.recovery_pending(); ++slices) {
    if (slices == 10'000) {
      ADD_FAILURE() << "recovery does not come to an end";
      break;
    }
    for (const auto& one : core_.recover_step(1, now_ns)) ended.push_back(one);
  }
  return ended;
}

std::vector<core::FileRange> CoreRegion::punch_all(std::uint64_t at_ns, std::uint32_t slice) {
  std::vector<core::FileRange> all;
  for (auto ranges = core_.next_punch(slice, at_ns); !ranges.empty();
       ranges = core_.next_punch(slice, at_ns)) {
    for (const core::FileRange& range : ranges) {
      memory_.punch(range);
      all.push_back(range);
    }
  }
  return all;
}

}  // namespace allot::test
