// A region whose daemon was killed goes on: what the simulation cannot see, or only by chance.

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "daemon/core/region_core.hpp"
#include "daemon/core/service.hpp"
#include "tests/support/core_region.hpp"
#include "tests/support/memory_region.hpp"
#include "tests/support/pure_daemon.hpp"
#include "tests/support/store_trace.hpp"

namespace allot::test {
namespace {

namespace p = protocol;
using core::RegionCore;

Expected<std::unique_ptr<RegionCore>> restored(MemoryRegion& memory) {
  memory.open_heaps(RegionCore::heaps_to_open(memory.view(), memory.vault()));
  return RegionCore::restore(memory.view(), memory.vault(), {});
}

/// Calls `look` with a core that goes on from every state in which `event` can be killed, and from
/// the one after it. Returns how many those were.
std::size_t kill_everywhere(CoreRegion& region, const std::function<void()>& event,
                            const std::function<void(RegionCore&)>& look) {
  MemoryRegion image(region.memory().granules());
  MemoryRegion scratch(region.memory().granules());
  image.copy_from(region.memory());
  const std::vector<StoredBytes> stores = trace_stores(region.memory().areas(), event);
  const auto look_at = [&] {
    scratch.copy_from(image);
    auto core = restored(scratch);
    ASSERT_TRUE(core) << core.error().message();
    look(**core);
  };
  for (const StoredBytes& store : stores) {
    look_at();
    std::memcpy(image.areas()[store.area].data() + store.offset, store.bytes.data(),
                store.bytes.size());
    if (testing::Test::HasFailure()) return 0;
  }
  look_at();
  return stores.size() + 1;
}

TEST(Restore, GoesOnWithWhatWasGranted) {
  CoreRegion region;
  const std::uint32_t session = region.open_session(1234);
  const std::uint64_t first = region.granted(session, 2, 3);
  auto core = restored(region.memory());
  ASSERT_TRUE(core) << core.error().message();
  EXPECT_EQ((*core)->name(), "test");
  EXPECT_EQ((*core)->tag(), kRegionTag);
  EXPECT_EQ((*core)->uid_granted_bytes(1234), 6 * region::kGranuleBytes);
  EXPECT_EQ((*core)->totals().grants, 1U);
  EXPECT_EQ((*core)->totals().granted_bytes, 6 * region::kGranuleBytes);
  const auto* const record = (*core)->session(session);
  ASSERT_NE(record, nullptr);
  EXPECT_EQ(record->granted_spans, 3U);
  EXPECT_TRUE(record->waits_for_resume);
  EXPECT_EQ((*core)->extents().find(static_cast<std::uint32_t>(first))->granules(), 2U);
  EXPECT_EQ((*core)->view().header().boot_epoch.load_relaxed(), 2U);
}

TEST(Restore, AnOrphanStaysChargedToItsUser) {
  CoreRegion region;
  const std::uint32_t dead = region.open_session(1234);
  const std::uint32_t other = region.open_session(1234);
  const std::uint64_t first = region.granted(dead);
  region.carve(first, 0);
  region.word(first, 3).store_relaxed(owned_word(other, 100));
  (void)region.recover(dead);
  ASSERT_EQ(region->orphan_count(), 1U);
  auto core = restored(region.memory());
  ASSERT_TRUE(core) << core.error().message();
  EXPECT_EQ((*core)->orphan_count(), 1U);
  EXPECT_EQ((*core)->uid_granted_bytes(1234), region::kGranuleBytes);
}

TEST(Restore, ATakenBlockIsPunchedAgain) {
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  const std::uint64_t first = region.granted(session, 4);
  region.carve_large(first);
  region.word(first).store_relaxed(detail::OwnWord::make(detail::OwnWord::kTaken, 100));
  auto core = restored(region.memory());
  ASSERT_TRUE(core) << core.error().message();
  const auto ranges = (*core)->next_punch(16, 1);
  ASSERT_EQ(ranges.size(), 1U);
  EXPECT_EQ(ranges[0].offset_bytes, first * region::kGranuleBytes);
  EXPECT_EQ(ranges[0].length_bytes, 4 * region::kGranuleBytes);
}

TEST(Restore, NoIncarnationComesTwice) {
  if (!kStoreTraceWorks) GTEST_SKIP() << "single steps: x86-64 without the thread sanitizer";
  CoreRegion region;
  const std::size_t states = kill_everywhere(
      region, [&] { (void)region.open_session(); },
      [](RegionCore& core) {
        std::uint64_t latest = 0;
        for (const auto& [id, record] : core.sessions()) {
          latest = std::max(latest, record.incarnation);
        }
        const auto next = core.open_session({1, 1000, 100}, "", 1);
        ASSERT_TRUE(next);
        EXPECT_GT(next->incarnation, latest);
      });
  EXPECT_GT(states, 5U);
}

TEST(Restore, TheCountersOfADeadHeapAreCountedOnce) {
  if (!kStoreTraceWorks) GTEST_SKIP() << "single steps: x86-64 without the thread sanitizer";
  CoreRegion region;
  const std::uint32_t session = region.open_session();
  std::uint64_t counted = 0;
  for (int i = 0; i < 3; ++i) {
    const std::uint32_t heap = region.attached_heap(session);
    for (const std::uint32_t bin : {0U, 7U}) {
      region.view().heap_ledger(heap).bins.at(bin).allocations.store_relaxed(1000 + bin);
      region.view().heap_ledger(heap).bins.at(bin).frees.store_relaxed(10 + bin);
    }
    counted += 2 * 1000 + 7;
  }
  const std::size_t states = kill_everywhere(
      region, [&] { (void)region.recover(session); },
      [&](RegionCore& core) {
        if (core.session(session) != nullptr) core.begin_recovery(session);
        for (int tries = 0; core.recovery_pending() && tries < 10; ++tries) {
          (void)core.recover_step(1U << 20, 1);
        }
        EXPECT_EQ(core.totals().retired_allocations, counted);
        EXPECT_EQ(core.totals().retired_frees, 3 * (10U + 17));
        EXPECT_EQ(core.totals().killed_heaps, 3U);
        EXPECT_EQ(core.session_count(), 0U);
      });
  EXPECT_GT(states, 20U);
}

TEST(Restore, RefusesWhatIsNotWhole) {
  const auto errc_after = [](const std::function<void(MemoryRegion&)>& damage) {
    CoreRegion region;
    const std::uint32_t session = region.open_session();
    (void)region.granted(session, 2);
    EXPECT_TRUE(region->reserve(session, {4, 4}));
    damage(region.memory());
    auto core = restored(region.memory());
    return core ? Errc::kOk : core.error().errc();
  };
  EXPECT_EQ(errc_after([](MemoryRegion&) {}), Errc::kOk);
  EXPECT_EQ(errc_after([](MemoryRegion& m) { ++m.vault().header().magic; }),
            Errc::kUntrustedRegion);
  EXPECT_EQ(errc_after([](MemoryRegion& m) { ++m.vault().header().granules; }),
            Errc::kUntrustedRegion);
  EXPECT_EQ(errc_after([](MemoryRegion& m) { m.vault().header().next_session = 1 << 12; }),
            Errc::kUntrustedRegion);
  EXPECT_EQ(errc_after([](MemoryRegion& m) { m.vault().header().reservations_end = 65; }),
            Errc::kUntrustedRegion);
  EXPECT_EQ(
      errc_after([](MemoryRegion& m) { m.view().header().high_water_granules.store_relaxed(65); }),
      Errc::kUntrustedRegion);
  EXPECT_EQ(errc_after([](MemoryRegion& m) {
              m.view().descriptor(0).store_relaxed(
                  region::SpanDescriptor{region::SpanState::kGranted, 16, 3, 4}.encode());
            }),
            Errc::kUntrustedRegion)
      << "a span beyond the high-water mark";
  EXPECT_EQ(errc_after([](MemoryRegion& m) {
              m.vault().reservation(2) = core::VaultReservation::make(65, region::kFirstSession);
            }),
            Errc::kUntrustedRegion);
  const core::VaultName sound{core::NameState::kPending, 0, 0, 0, 0, {}};
  const auto errc_with_name = [&](const std::function<void(core::VaultName&)>& damage) {
    return errc_after([&](MemoryRegion& m) { damage(m.vault().name(5) = sound); });
  };
  EXPECT_EQ(errc_with_name([](core::VaultName&) {}), Errc::kOk);
  EXPECT_EQ(errc_with_name([](core::VaultName& name) { name.slot = region::kNameLimit; }),
            Errc::kUntrustedRegion);
  EXPECT_EQ(errc_with_name([](core::VaultName& name) {
              name.word = std::uint64_t{2} * region::kWordsPerGranule;
            }),
            Errc::kUntrustedRegion);
  EXPECT_EQ(
      errc_with_name([](core::VaultName& name) { name.state = static_cast<core::NameState>(4); }),
      Errc::kUntrustedRegion);
}

// --- who may go on with a session ---

struct Resume : PureDaemon {
  Resume() {
    const auto [connection, welcome] = join();
    session = welcome.session;
    wanted.fingerprint = region::fingerprint();
    p::set_text(wanted.region, "default");
    wanted.session = welcome.session;
    wanted.incarnation = welcome.incarnation;
    wanted.region_created_unix_ns = core().view().header().created_unix_ns;
  }
  void restart(core::AccessPolicy policy = {}) {
    MemoryRegion& memory = *memories.front();
    service = core::Service();
    memory.open_heaps(RegionCore::heaps_to_open(memory.view(), memory.vault()));
    auto core = RegionCore::restore(memory.view(), memory.vault(), limits);
    ASSERT_TRUE(core) << core.error().message();
    service.add_region(std::move(*core), std::move(policy));
  }
  /// What the kernel would say of the process is `is_same`.
  Errc resume(core::ConnectionId connection, const p::Resume& body, bool is_same = true) {
    core::Outcome outcome = handle(connection, body);
    if (outcome.resume) {
      EXPECT_TRUE(outcome.sends.empty()) << "answered before the kernel was asked";
      outcome = service.finish_resume(*outcome.resume, is_same);
    }
    const auto* const failure = std::get_if<p::Failure>(&outcome.sends.at(0).message.body);
    if (failure != nullptr) return static_cast<Errc>(failure->errc);
    EXPECT_EQ(std::get<p::Resumed>(outcome.sends.at(0).message.body).boot_epoch, 2U);
    return Errc::kOk;
  }
  p::Resume wanted;
  std::uint32_t session = 0;
};

TEST_F(Resume, GoesOnOnce) {
  restart();
  const auto connection = connect();
  EXPECT_EQ(resume(connection, wanted), Errc::kOk);
  EXPECT_EQ(resume(connect(), wanted), Errc::kUnknownSession) << "it has a connection";
  EXPECT_EQ(resume(connection, wanted), Errc::kSecondHello);
  (void)ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1});
  service.close_connection(connection);
  EXPECT_EQ(resume(connect(), wanted), Errc::kUnknownSession) << "it was heard of";
}

TEST_F(Resume, MayBeAskedForAgainUntilTheClientIsHeardOf) {
  restart();
  const auto connection = connect();
  EXPECT_EQ(resume(connection, wanted), Errc::kOk);
  service.close_connection(connection);
  EXPECT_EQ(resume(connect(), wanted), Errc::kOk);
}

TEST_F(Resume, IsForTheClientThatTheDaemonCouldNotAnswer) {
  restart();
  const auto connection = connect();
  EXPECT_EQ(resume(connection, wanted), Errc::kOk);
  (void)ask_for<p::Granted>(connection, p::GrantRequest{1, 1, 1024, 1});
  core().let_resume(session);
  service.close_connection(connection);
  EXPECT_EQ(resume(connect(), wanted), Errc::kOk);
}

TEST_F(Resume, IsNotForASessionThatWasNotWelcomed) {
  const auto connection = connect();
  const auto welcome = ask_for<p::Welcome>(connection, hello());
  wanted.session = welcome.session;
  wanted.incarnation = welcome.incarnation;
  restart();
  EXPECT_EQ(resume(connect(), wanted), Errc::kUnknownSession);
}

TEST_F(Resume, IsRefusedWithoutARestart) {
  EXPECT_EQ(resume(connect(), wanted), Errc::kUnknownSession);
  service.close_connection(1);
  EXPECT_EQ(resume(connect(), wanted), Errc::kUnknownSession) << "a peer that was dropped";
}

TEST_F(Resume, IsRefusedToEverybodyElse) {
  restart();
  EXPECT_EQ(resume(connect(), wanted, false), Errc::kUnknownSession) << "another process";
  EXPECT_EQ(resume(connect(1001), wanted), Errc::kUnknownSession) << "another user";
  const auto errc_with = [&](auto change) {
    p::Resume body = wanted;
    change(body);
    return resume(connect(), body);
  };
  EXPECT_EQ(errc_with([](p::Resume& b) { ++b.incarnation; }), Errc::kUnknownSession);
  EXPECT_EQ(errc_with([](p::Resume& b) { ++b.session; }), Errc::kUnknownSession);
  EXPECT_EQ(errc_with([](p::Resume& b) { b.session = 1ULL << 40; }), Errc::kUnknownSession);
  EXPECT_EQ(errc_with([](p::Resume& b) { ++b.region_created_unix_ns; }), Errc::kUnknownSession);
  EXPECT_EQ(errc_with([](p::Resume& b) { ++b.fingerprint; }), Errc::kLayoutMismatch);
  EXPECT_EQ(errc_with([](p::Resume& b) { p::set_text(b.region, "x"); }), Errc::kUnknownRegion);
  EXPECT_EQ(resume(connect(), wanted), Errc::kOk) << "none of that has cost the session anything";
}

TEST_F(Resume, IsRefusedToWhoMayNotUseTheRegionAnyMore) {
  restart({{7}, {}});
  EXPECT_EQ(resume(connect(), wanted), Errc::kNotAllowed);
}

TEST_F(Resume, IsRefusedToTheDead) {
  core().begin_recovery(session);
  restart();
  EXPECT_EQ(resume(connect(), wanted), Errc::kUnknownSession);
  EXPECT_TRUE(service.recovery_pending());
}

TEST_F(Resume, ListsWhatTheDeadDaemonHadDone) {
  const auto [connection, welcome] = join();
  const Handle handle = offered_block(connection, welcome.session);
  p::Publish publish{handle.bits(), {}};
  p::set_text(publish.name, "x");
  (void)ask_for<p::Done>(connection, publish);
  const auto reserved = ask_for<p::Reserved>(connection, p::Reserve{4, 4});
  p::Find find;
  p::set_text(find.name, "x");
  (void)ask_for<p::Found>(connection, find);
  restart();
  wanted.session = welcome.session;
  wanted.incarnation = welcome.incarnation;
  const auto again = connect();
  ASSERT_EQ(resume(again, wanted), Errc::kOk);
  const auto next = ask_for<p::Reserved>(again, p::NextReservation{0});
  EXPECT_EQ(next.first, reserved.first);
  EXPECT_EQ(next.granules, 4U);
  EXPECT_EQ(ask_for<p::Reserved>(again, p::NextReservation{next.first + 1}).granules, 0U);
  EXPECT_EQ(ask_for<p::Reserved>(again, p::NextReservation{1ULL << 40}).granules, 0U);
  EXPECT_EQ(ask_for<p::Found>(again, p::NextPin{0}).handle, handle.bits());
  EXPECT_EQ(ask_for<p::Found>(again, p::NextPin{handle.bits()}).handle, 0U);
  (void)ask_for<p::Done>(again, p::Unpin{handle.bits()});
  EXPECT_EQ(ask_for<p::Found>(again, p::NextPin{0}).handle, 0U);
}

TEST_F(PureDaemon, NoMoreSessionsThanCanBeStored) {
  now.storable_sessions = 2;
  (void)join();
  (void)join();
  EXPECT_EQ(errc_of(connect(), hello()), Errc::kTooManySessions);
}

}  // namespace
}  // namespace allot::test
