#include "tests/support/core_aftermath.hpp"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/core/audit_input.hpp"
#include "daemon/core/region_core.hpp"
#include "shared/region/audit.hpp"
#include "shared/region/audit_report.hpp"
#include "tests/support/store_trace.hpp"

namespace allot::test {

namespace {

using region::SpanDescriptor;
using region::SpanState;

constexpr std::uint64_t kAll = ~std::uint64_t{0};

std::vector<std::uint32_t> living_sessions(const region::RegionView& view) {
  std::vector<std::uint32_t> out;
  for (std::uint32_t id = region::kFirstSession; id < region::kSessionLimit; ++id) {
    const auto state = static_cast<region::SessionState>(view.session(id).state.load_relaxed());
    if (state == region::SessionState::kLive || state == region::SessionState::kDetached) {
      out.push_back(id);
    }
  }
  return out;
}

// Every span and every block of a session that lives is its own still.
void expect_nothing_lost(const region::RegionView& before, const region::RegionView& after,
                         std::uint32_t dead) {
  auto living = living_sessions(before);
  std::erase(living, dead);
  const auto lives = [&](std::uint32_t id) {
    return std::binary_search(living.begin(), living.end(), id);
  };
  const auto end = before.header().high_water_granules.load_relaxed();
  for (std::uint64_t granule = 0; granule < end; ++granule) {
    const auto head = SpanDescriptor::decode(before.descriptor(granule).load_relaxed());
    if (!head.is_head()) continue;
    const auto then = SpanDescriptor::decode(after.descriptor(granule).load_relaxed());
    if (head.state == SpanState::kGranted && lives(head.session)) {
      ASSERT_EQ(then, head) << "granule " << granule;
    }
    for (std::uint32_t i = 0; i < head.word_units * region::kWordsPerUnit; ++i) {
      const std::uint32_t word = before.word(granule, i).load_relaxed();
      if (!detail::OwnWord::is_session(word) || !lives(detail::OwnWord::owner(word))) continue;
      ASSERT_EQ(after.word(granule, i).load_relaxed(), word) << granule << '.' << i;
    }
  }
}

}  // namespace

void expect_clean_audit(const core::RegionCore& core) {
  region::AuditInput input = core::audit_input(core, core.high_water_granules(), 0);
  input.quiet = true;
  // The clients of these tests count nothing.
  input.killed_heaps = kAll / 2;
  region::Audit audit(core.view(), core.high_water_granules(), std::move(input));
  while (!audit.step(1U << 20)) {
  }
  for (const region::Violation& one : audit.report().violations) {
    ADD_FAILURE() << violation_text(one);
  }
}

void recover(core::RegionCore& core, const std::vector<std::uint32_t>& dead) {
  for (const std::uint32_t id : dead) core.begin_recovery(id);
  for (int tries = 0; core.recovery_pending() && tries < 1000; ++tries) {
    (void)core.recover_step(kAll, kAll / 2);
  }
}

void expect_all_comes_back(core::RegionCore& core) {
  std::vector<std::uint32_t> ids;
  for (const auto& [id, record] : core.sessions()) ids.push_back(id);
  recover(core, ids);
  while (!core.names().empty()) {
    const auto [name, record] = *core.names().begin();
    ASSERT_TRUE(core.unpublish(0, name, record.handle, true, kAll / 2));
  }
  core.sweep(kAll / 2);
  EXPECT_EQ(core.session_count(), 0U);
  EXPECT_TRUE(core.hidden_names().empty());
  EXPECT_EQ(core.orphan_count(), 0U);
  EXPECT_EQ(core.totals().granted_bytes, 0U);
  EXPECT_EQ(core.totals().reservation_bytes, 0U);
  EXPECT_EQ(core.extents().extent_count(), 1U);
  EXPECT_TRUE(core.extents().is_consistent());
}

std::uint64_t CoreAftermath::kill_everywhere(const std::function<void()>& event, Random& random,
                                             std::uint64_t most) {
  image_.copy_from(memory_);
  const std::vector<StoredBytes> stores = trace_stores(memory_.areas(), event);
  const Areas areas = image_.areas();
  std::uint64_t checked = 0;
  for (const StoredBytes& store : stores) {
    if (random.below(stores.size()) < most) {
      expect_good_aftermath(image_, scratch_, limits_);
      ++checked;
      if (testing::Test::HasFailure()) {
        ADD_FAILURE() << "killed before it stored " << store.bytes.size() << " bytes at "
                      << store.area << '+' << store.offset;
        return checked;
      }
    }
    std::memcpy(areas[store.area].data() + store.offset, store.bytes.data(), store.bytes.size());
  }
  return checked;
}

void expect_good_aftermath(const MemoryRegion& image, MemoryRegion& scratch,
                           const core::Limits& limits, std::uint32_t dead) {
  scratch.copy_from(image);
  scratch.open_heaps(core::RegionCore::heaps_to_open(scratch.view(), scratch.vault()));
  auto core = core::RegionCore::restore(scratch.view(), scratch.vault(), limits);
  ASSERT_TRUE(core) << core.error().message();
  if (dead != 0) recover(**core, {dead});
  expect_nothing_lost(image.view(), scratch.view(), dead);
  if (testing::Test::HasFailure()) return;
  expect_clean_audit(**core);
  if (testing::Test::HasFailure()) return;
  expect_all_comes_back(**core);
}

}  // namespace allot::test
