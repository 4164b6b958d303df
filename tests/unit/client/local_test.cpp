#include <allot/local.hpp>

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/fast.hpp>
#include <allot/pool.hpp>
#include <allot/shared_arena.hpp>

#include "client/local_service.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/sanitizer.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::exited;
using test::HeapOracle;
using test::refused;
using test::run_in_child;
using test::run_threads;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr bool kSanitized = test::kAddressSanitizer || test::kThreadSanitizer;

void expect_in_order() {
  const region::AuditReport report = local_service()->audit();
  EXPECT_EQ(report.violation_count, 0U);
}

std::size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::size_t descriptor_count() {
  DIR* const directory = ::opendir("/proc/self/fd");
  std::size_t count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

TEST(Local, IsOneHeapForAllThreads) {
  std::array<Session*, 8> found{};
  run_threads(found.size(), [&](std::size_t i) { found.at(i) = &local(); });
  for (Session* const session : found) EXPECT_EQ(session, &local());
}

TEST(Local, HoldsBlocksOfAllSizesAndAlignments) {
  HeapOracle oracle(local());
  for (std::size_t size = 1; size < 4 * kMiB; size = size * 9 / 8 + 1) (void)oracle.allocate(size);
  for (std::size_t alignment = 1; alignment <= 2 * kMiB; alignment *= 2) {
    (void)oracle.allocate(100, alignment);
  }
  test::Random random(1);
  test::run_random_operations(oracle, random, 5000, 300);
  oracle.check();
  expect_in_order();
  oracle.free_all();
  expect_in_order();
}

TEST(Local, HasPoolsBatchesAndTheInlinePath) {
  auto pool = BlockPool::open(local(), {"of_local", 48, 16}).value();
  std::array<void*, 1000> blocks{};
  EXPECT_EQ(pool.allocate_n(blocks).count, blocks.size());
  EXPECT_EQ(pool.free_n(blocks).count, blocks.size());
  EXPECT_EQ(local().allocate_n(100, blocks).count, blocks.size());
  EXPECT_EQ(local().free_n(blocks).count, blocks.size());
  void* const block = fast::allocate(local(), 64);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(fast::free(local(), block), Errc::kOk);
  EXPECT_EQ(local().free(block), Errc::kDoubleFree);
  expect_in_order();
}

TEST(Local, RefusesWhatItCannotHold) {
  EXPECT_EQ(local().allocate(0), nullptr);
  EXPECT_EQ(Session::last_error(), Errc::kSizeZero);
  EXPECT_EQ(local().allocate(std::size_t{1} << 40), nullptr);
  EXPECT_EQ(Session::last_error(), Errc::kSizeTooLarge);
  EXPECT_EQ(local().allocate_aligned(10, 3), nullptr);
  EXPECT_EQ(Session::last_error(), Errc::kBadAlignment);
  int outside = 0;
  EXPECT_EQ(local().free(&outside), Errc::kNotInRegion);
  EXPECT_TRUE(refused(local().on_exit(local().id(), [] {}), Errc::kNoDaemon));
}

TEST(Local, UsesNoDescriptor) {
  EXPECT_EQ(run_in_child([] {
              const std::size_t before = descriptor_count();
              HeapOracle oracle(local());
              for (int i = 0; i < 2000; ++i) (void)oracle.allocate(20'000);
              return descriptor_count() == before ? 0 : 1;
            }),
            exited(0));
}

TEST(Local, GivesMemoryBackToTheSystem) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer keeps memory of its own";
  void* const large = local().allocate(64 * kMiB);
  std::memset(large, 1, 64 * kMiB);
  std::vector<void*> small(20'000);
  ASSERT_TRUE(local().allocate_n(1024, small));
  for (void* const block : small) std::memset(block, 1, 1024);
  const std::size_t before = resident_bytes();
  EXPECT_EQ(local().free(large), Errc::kOk);
  ASSERT_TRUE(local().free_n(small));
  (void)local().trim();
  EXPECT_LT(resident_bytes(), before - 70 * kMiB);
  // And what comes again is zero-backed and whole.
  HeapOracle oracle(local());
  for (int i = 0; i < 1000; ++i) (void)oracle.allocate(1024);
  oracle.check();
  oracle.free_all();
  expect_in_order();
}

TEST(Local, CannotBeClosed) {
  void* const block = local().allocate(100);
  local().close();
  EXPECT_EQ(local().free(block), Errc::kOk);
  EXPECT_EQ(local().free(local().allocate(100)), Errc::kOk);
}

TEST(Local, TakesNoneOfTheSessionsOfAProcess) {
  EXPECT_EQ(detail::SessionAccess::state(local()).slot(), detail::kLocalSlot);
  EXPECT_GE(detail::kLocalSlot, detail::kMaxSessionsPerProcess);
}

TEST(Local, CannotBeMappedTwice) {
  auto arena = SharedArena::create(local(), "local/arena", {.size_bytes = kMiB});
  ASSERT_TRUE(arena.has_value()) << arena.error().message();
  EXPECT_TRUE(refused(SharedArena::attach(local(), "local/arena", ShareAccess::kReadOnly),
                      Errc::kNotAllowed));
}

// Destroyed after the thread's heap was parked, for it is older.
struct Late {
  std::vector<void*>* blocks = nullptr;
  int* count = nullptr;
  ~Late() {
    if (blocks == nullptr) return;
    for (void* const block : *blocks) *count += local().free(block) == Errc::kOk ? 1 : 0;
    for (const std::size_t size : {16U, 5000U, 200'000U}) {
      void* const block = local().allocate(size);
      if (block == nullptr) continue;
      test::fill_block(block, size, size);
      *count += local().free(block) == Errc::kOk ? 1 : 0;
    }
  }
};

TEST(Local, ServesThreadsThatEnd) {
  for (int round = 0; round < 10; ++round) {
    std::vector<void*> blocks(100);
    int count = 0;
    std::thread([&] {
      static thread_local Late late;
      late.blocks = &blocks;
      late.count = &count;
      for (void*& block : blocks) block = local().allocate(100);
    }).join();
    EXPECT_EQ(count, 103);
  }
  expect_in_order();
}

// ---- address space

// In a process where it was not made before: with `limit_bytes` of address space in all.
int with_address_space(std::size_t limit_bytes, int (*body)()) {
  if (local_service() != nullptr) return test::kSkipped;
  const rlimit limit{limit_bytes, limit_bytes};
  if (::setrlimit(RLIMIT_AS, &limit) != 0) return test::kSkipped;
  return body();
}

TEST(Local, TakesLessWhereAddressSpaceIsShort) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer needs the addresses";
  const test::Ending ending = run_in_child([] {
    return with_address_space(1024 * kMiB, [] {
      std::vector<void*> blocks;
      for (int i = 0; i < 200; ++i) {
        blocks.push_back(local().allocate(kMiB));
        if (blocks.back() == nullptr) return 1;
        std::memset(blocks.back(), 1, kMiB);
      }
      for (void* const block : blocks) {
        if (local().free(block) != Errc::kOk) return 2;
      }
      // The program has some left, too.
      const std::unique_ptr<char[]> own(new (std::nothrow) char[100 * kMiB]);
      return own != nullptr ? 0 : 3;
    });
  });
  if (ending == exited(test::kSkipped)) GTEST_SKIP() << "it was made before";
  EXPECT_EQ(ending, exited(0));
}

TEST(Local, SaysSoWhereThereIsNoAddressSpace) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer needs the addresses";
  const test::Ending ending = run_in_child([] {
    return with_address_space(100 * kMiB, [] {
      Session& session = local();
      if (Session::last_error() != Errc::kAddressSpace) return 1;
      if (session.allocate(100) != nullptr || session.allocate(kMiB) != nullptr) return 2;
      if (Session::last_error() != Errc::kClosed) return 3;
      int outside = 0;
      if (session.free(&outside) != Errc::kClosed || session.free(nullptr) != Errc::kOk) return 4;
      session.close();
      return session.trim() == 0 && session.usable_size(&outside) == 0 ? 0 : 5;
    });
  });
  if (ending == exited(test::kSkipped)) GTEST_SKIP() << "it was made before";
  EXPECT_EQ(ending, exited(0));
}

}  // namespace
}  // namespace allot
