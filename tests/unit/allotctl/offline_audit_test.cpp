// A region's files looked at from outside its daemon: found by name and header, restored in a copy, audited;
// and never changed.

#include "tools/allotctl/offline/offline_audit.hpp"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/region_host.hpp"
#include "tests/support/core_region.hpp"
#include "tools/allotctl/offline/process_regions.hpp"

namespace allot::ctl {
namespace {

using detail::OwnWord;
using region::Fault;
using testing::HasSubstr;

constexpr std::uint64_t kNow = 7'000'000'000;
constexpr std::uint32_t kBin = region::bin_of(1024);

TEST(ProcessRegions, KnowsAPartByItsLink) {
  const auto ledger = part_of_link("/memfd:allot:default:ledger (deleted)");
  ASSERT_TRUE(ledger);
  EXPECT_EQ(ledger->region, "default");
  EXPECT_EQ(ledger->part, "ledger");
  EXPECT_EQ(part_of_link("/memfd:allot:a:b:vault (deleted)")->region, "a:b");
  for (const char* const other :
       {"", "/memfd:allot:", "/memfd:allot: (deleted)", "/memfd:allot:presence (deleted)",
        "/memfd:allot::ledger (deleted)", "/memfd:allot:default:data (deleted)",
        "/memfd:allot:default:ledger", "/tmp/memfd:allot:default:ledger (deleted)",
        "/memfd:other:default:ledger (deleted)", "socket:[1]"}) {
    EXPECT_FALSE(part_of_link(other)) << other;
  }
}

TEST(ProcessRegions, NamesTheProcessThatIsNotThere) {
  const auto none = find_regions(std::uint64_t{1} << 40, "");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message(), "No such process: process 1099511627776");
  const auto empty = find_regions(static_cast<std::uint64_t>(::getpid()), "no-such-region");
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message(),
              HasSubstr("process " + std::to_string(::getpid()) +
                        " has no files of a region called no-such-region open"));
}

// A region with a session that has a span of 1 KiB blocks, of which it owns two.
class OfflineAudit : public testing::Test {
 protected:
  OfflineAudit() {
    config_.name = "offline";
    config_.limits.size_bytes = 64 * region::kGranuleBytes;
    host_ = daemon::RegionHost::create(config_).value();
    core_ = host_->make_core(config_, test::kRegionTag, kNow);
    session_ = core_->open_session({4711, 1000, 100}, "offline", kNow)->id;
    core_->note_welcomed(session_);
    heap_ = core_->attach_heap(session_).value();
    EXPECT_TRUE(host_->commit(core::RegionCore::heap_range(heap_)));
    EXPECT_TRUE(host_->open(0, heap_ + 1));
    core_->finish_heap(heap_, true);
    span_ = grant();
    auto& bin = view().heap_ledger(heap_).bins[kBin];
    bin.allocations.store_relaxed(2);
    for (const std::uint32_t index : {0U, 1U}) {
      word(index).store_release(test::owned_word(session_, 9));
    }
  }

  std::uint64_t grant() {
    const auto plan = core_->plan_grant(session_, {2, 1, 1024, 1}, test::kPlenty).value();
    for (const core::FileRange& range : plan.ranges) EXPECT_TRUE(host_->commit(range));
    EXPECT_TRUE(host_->open(plan.high_water_granules, 0));
    EXPECT_TRUE(core_->finish_grant(plan, kNow));
    for (std::uint32_t i = 0; i < region::kSizeClasses.at(kBin).block_count; ++i) {
      view().word(plan.first, i).store_relaxed(OwnWord::make(OwnWord::kFree, 9));
    }
    view().span_ledger(plan.first).carve.store_release(region::CarveWord::blocks(kBin));
    return plan.first;
  }

  [[nodiscard]] region::RegionView view() const { return core_->view(); }
  detail::Atomic<std::uint32_t>& word(std::uint32_t index) { return view().word(span_, index); }

  static ProcessRegion files() {
    auto found = find_regions(static_cast<std::uint64_t>(::getpid()), "offline");
    if (!found) throw std::runtime_error(found.error().message());
    return std::move(found->front());
  }
  static RegionCopy copy(bool with_vault = true) {
    ProcessRegion region = files();
    if (!with_vault) region.vault.reset();
    return RegionCopy::take(std::move(region)).value();
  }
  static OfflineReport audit(bool with_vault = true) {
    RegionCopy taken = copy(with_vault);
    return audit_copy(taken);
  }
  static std::vector<Fault> faults(const OfflineReport& report) {
    std::vector<Fault> out;
    for (const region::Violation& one : report.audit.violations) out.push_back(one.fault);
    return out;
  }
  void write_head(std::uint32_t session) {
    const auto head = region::SpanDescriptor::decode(view().descriptor(span_).load_acquire());
    view().descriptor(span_).store_release(
        region::SpanDescriptor{region::SpanState::kGranted, session, head.granules, head.word_units}
            .encode());
  }

  daemon::RegionConfig config_;
  std::unique_ptr<daemon::RegionHost> host_;
  std::unique_ptr<core::RegionCore> core_;
  std::uint32_t session_ = 0;
  std::uint32_t heap_ = 0;
  std::uint64_t span_ = 0;
};

TEST_F(OfflineAudit, FindsTheDirectoryOnceAndAllItsParts) {
  const auto found = find_regions(static_cast<std::uint64_t>(::getpid()), "");
  ASSERT_TRUE(found) << found.error().message();
  ASSERT_EQ(std::count_if(found->begin(), found->end(),
                          [](const auto& one) { return one.name == "offline"; }),
            1);
  const ProcessRegion region = files();
  EXPECT_EQ(region.granules, 64U);
  EXPECT_TRUE(region.vault);
}

TEST_F(OfflineAudit, CannotTellTwoRegionsOfOneNameApart) {
  const auto other = daemon::RegionHost::create(config_).value();
  const auto other_core = other->make_core(config_, test::kRegionTag + 1, kNow);
  const auto found = find_regions(static_cast<std::uint64_t>(::getpid()), "offline");
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message(), HasSubstr("cannot be told apart"));
}

TEST_F(OfflineAudit, RefusesARegionOfAnotherLayout) {
  view().header().fingerprint ^= 1;
  const auto found = find_regions(static_cast<std::uint64_t>(::getpid()), "offline");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error(), Errc::kLayoutMismatch);
  EXPECT_THAT(found.error().detail, HasSubstr("offline"));
}

TEST_F(OfflineAudit, FindsASoundRegionSoundAndChangesNothing) {
  const std::uint64_t committed = host_->committed_bytes(core::RegionFile::kDirectory) +
                                  host_->committed_bytes(core::RegionFile::kLedger);
  RegionCopy taken = copy();
  const OfflineReport report = audit_copy(taken);
  EXPECT_TRUE(report.audit.is_clean());
  EXPECT_TRUE(report.audit.exact);
  EXPECT_EQ(report.damage, "");
  EXPECT_TRUE(report.not_checked.empty());
  EXPECT_EQ(report.audit.total.granted_bytes, 2 * region::kGranuleBytes);
  EXPECT_EQ(report.audit.total.live_blocks, 2U);
  EXPECT_TRUE(taken.is_unchanged().value());
  EXPECT_EQ(view().header().boot_epoch.load_relaxed(), 1U);
  EXPECT_EQ(host_->committed_bytes(core::RegionFile::kDirectory) +
                host_->committed_bytes(core::RegionFile::kLedger),
            committed);
}

TEST_F(OfflineAudit, NoticesThatTheDaemonRuns) {
  const RegionCopy before = copy();
  (void)grant();
  EXPECT_FALSE(before.is_unchanged().value());
  const RegionCopy again = copy();
  core_->note_welcomed(session_ + 1);  // in the vault alone
  EXPECT_FALSE(again.is_unchanged().value());
}

TEST_F(OfflineAudit, NamesASpanOfASessionThatIsNotThere) {
  write_head(session_ + 100);
  for (const bool with_vault : {true, false}) {
    const OfflineReport report = audit(with_vault);
    EXPECT_THAT(faults(report), testing::Contains(Fault::kSpanOfAbsentSession));
    EXPECT_EQ(report.audit.violations.front().granule, span_);
    EXPECT_EQ(report.audit.violations.front().word, session_ + 100);
  }
}

TEST_F(OfflineAudit, SaysThatNoDaemonCanGoOn) {
  const auto head = view().descriptor(span_).load_acquire();
  view().descriptor(span_).store_release(
      region::SpanDescriptor{region::SpanState::kGranted, session_, 60, 1}.encode());
  const OfflineReport report = audit();
  EXPECT_THAT(report.damage, HasSubstr("the span at granule " + std::to_string(span_)));
  EXPECT_THAT(faults(report), testing::Contains(Fault::kDescriptorMalformed));
  view().descriptor(span_).store_release(head);
  EXPECT_EQ(audit().damage, "");
}

TEST_F(OfflineAudit, ComparesBlocksWithCountersWhereTheVaultIsThere) {
  view().heap_ledger(heap_).bins[kBin].allocations.store_relaxed(1000);
  EXPECT_THAT(faults(audit()), testing::ElementsAre(Fault::kCountersDiffer));
  const OfflineReport without = audit(false);
  EXPECT_TRUE(without.audit.is_clean());
  EXPECT_THAT(without.not_checked, testing::Contains(HasSubstr("counters")));
}

TEST_F(OfflineAudit, NamesDamageOfOwnWordsWithoutTheVaultToo) {
  word(5).store_release(0);
  for (const bool with_vault : {true, false}) {
    EXPECT_THAT(faults(audit(with_vault)), testing::ElementsAre(Fault::kWordInvalid));
  }
}

TEST_F(OfflineAudit, KnowsAHiddenNameByTheVault) {
  word(5).store_release(test::owned_word(session_, 9, OwnWord::kExposed | OwnWord::kOffered));
  view().heap_ledger(heap_).bins[kBin].allocations.store_relaxed(3);
  const Handle frame =
      Handle::make(test::kRegionTag, span_ * region::kGranuleBytes + std::uint64_t{5} * 1024, 9);
  ASSERT_TRUE(core_->publish(session_, "frame", frame, kNow));
  ASSERT_TRUE(core_->find(session_, "frame"));
  ASSERT_TRUE(core_->unpublish(session_, "frame", frame, false, kNow));
  for (const bool with_vault : {true, false}) {
    EXPECT_TRUE(audit(with_vault).audit.is_clean()) << with_vault;
  }
  word(6).store_release(OwnWord::make(OwnWord::kKept, 9) | OwnWord::kExposed);
  EXPECT_THAT(faults(audit()), testing::Contains(Fault::kKeptWithoutName));
}

// A daemon may be killed in the middle of a grant.
TEST_F(OfflineAudit, HalfAGrantIsNoViolation) {
  view().header().high_water_granules.store_release(span_ + 5);
  view().descriptor(span_ + 3).store_release(
      region::SpanDescriptor{region::SpanState::kInterior, 0, 1, 0}.encode());
  for (const bool with_vault : {true, false}) {
    EXPECT_TRUE(audit(with_vault).audit.is_clean()) << with_vault;
  }
}

}  // namespace
}  // namespace allot::ctl
