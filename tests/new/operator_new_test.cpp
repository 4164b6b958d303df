// A program whose operator new and delete are allot::new's: this one, with all that GoogleTest and
// liballot allocate in it.

#include <malloc.h>
#include <sys/resource.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include <gtest/gtest.h>

#include <allot/detail/local_heap.hpp>
#include <allot/embedded.hpp>
#include <allot/local.hpp>

#include "client/library_scope.hpp"
#include "client/local_service.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::exited;
using test::run_in_child;
using test::run_threads;

bool is_local(const void* block) { return local().usable_size(block) > 0; }

// What a static object allocates before main(), and frees after it.
struct Static {
  std::vector<std::string> strings = std::vector<std::string>(100, std::string(100, 'x'));
  std::unique_ptr<int> number = std::make_unique<int>(5);
  bool was_local = is_local(strings.data()) && is_local(number.get());
};
// NOLINTNEXTLINE(cert-err58-cpp): that is what it is for.
const Static before_main;

TEST(OperatorNew, ServesBeforeMain) {
  EXPECT_TRUE(before_main.was_local);
  EXPECT_EQ(before_main.strings.back(), std::string(100, 'x'));
}

// An allocation that the compiler may not leave out.
template <class... Args>
void* raw_new(std::size_t size, Args... args) {
  return ::operator new(size, args...);
}

TEST(OperatorNew, GivesEverySizeFromThePrivateHeap) {
  for (std::size_t size = 1; size < 5'000'000; size = size * 9 / 8 + 1) {
    void* const block = raw_new(size);
    EXPECT_TRUE(is_local(block)) << size;
    EXPECT_GE(local().usable_size(block), size);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 16, 0U);
    test::fill_block(block, size, size);
    EXPECT_TRUE(test::holds_pattern(block, size, size));
    ::operator delete(block, size);
  }
}

TEST(OperatorNew, GivesZeroBytesAnAddressOfTheirOwn) {
  std::set<void*> blocks;
  for (int i = 0; i < 100; ++i) blocks.insert(raw_new(0));
  EXPECT_EQ(blocks.size(), 100U);
  EXPECT_EQ(blocks.count(nullptr), 0U);
  for (void* const block : blocks) ::operator delete(block);
}

TEST(OperatorNew, AlignsInAllForms) {
  for (std::size_t alignment = 1; alignment <= (std::size_t{8} << 20); alignment *= 2) {
    const auto wanted = std::align_val_t{alignment};
    const std::array<void*, 4> blocks = {::operator new(100, wanted), ::operator new[](100, wanted),
                                         ::operator new(100, wanted, std::nothrow),
                                         ::operator new[](100, wanted, std::nothrow)};
    for (void* const block : blocks) {
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % alignment, 0U) << alignment;
      // What is aligned further than the heap can comes from malloc, and goes back there.
      EXPECT_EQ(is_local(block), alignment <= (std::size_t{2} << 20)) << alignment;
      test::fill_block(block, 100, 1);
    }
    ::operator delete(blocks[0], wanted);
    ::operator delete[](blocks[1], 100, wanted);
    ::operator delete(blocks[2], wanted, std::nothrow);
    ::operator delete[](blocks[3], wanted, std::nothrow);
  }
}

TEST(OperatorNew, FreesInAllForms) {
  LocalService& service = *local_service();
  const std::uint64_t live = service.audit().total.live_blocks;
  // Through the private stacks, and past them.
  for (const std::size_t size : {std::size_t{48}, std::size_t{100'000}}) {
    for (int i = 0; i < 200; ++i) {
      ::operator delete(raw_new(size));
      ::operator delete(raw_new(size), size);
      ::operator delete(raw_new(size, std::nothrow), std::nothrow);
      ::operator delete[](::operator new[](size));
      ::operator delete[](::operator new[](size), size);
      ::operator delete[](::operator new[](size, std::nothrow), std::nothrow);
      ::operator delete (raw_new(size, std::align_val_t{64}), size, std::align_val_t{64});
    }
  }
  ::operator delete(nullptr);
  EXPECT_LT(service.audit().total.live_blocks, live + 100);
  EXPECT_EQ(service.audit().violation_count, 0U);
}

int handler_calls = 0;

TEST(OperatorNew, CallsTheHandlerUntilThereIsNone) {
  constexpr std::size_t kHuge = std::numeric_limits<std::ptrdiff_t>::max();
  EXPECT_THROW((void)raw_new(kHuge), std::bad_alloc);
  EXPECT_THROW((void)raw_new(kHuge, std::align_val_t{64}), std::bad_alloc);
  EXPECT_EQ(raw_new(kHuge, std::nothrow), nullptr);
  EXPECT_EQ(raw_new(std::numeric_limits<std::size_t>::max(), std::nothrow), nullptr);
  handler_calls = 0;
  std::set_new_handler([] {
    // It may use what it hands out.
    const std::string text(1000, 'x');
    if (++handler_calls == 3) std::set_new_handler(nullptr);
  });
  EXPECT_THROW((void)raw_new(kHuge), std::bad_alloc);
  EXPECT_EQ(handler_calls, 3);
  std::set_new_handler([] { throw std::bad_alloc(); });
  EXPECT_EQ(raw_new(kHuge, std::nothrow), nullptr);
  std::set_new_handler(nullptr);
}

TEST(OperatorNew, IsWhatContainersExceptionsAndResourcesUse) {
  std::map<std::string, std::vector<std::string>> map;
  for (int i = 0; i < 2000; ++i) {
    map[std::to_string(i % 100)].push_back(std::string(static_cast<std::size_t>(i), 'a'));
  }
  EXPECT_TRUE(is_local(&*map.begin()) || is_local(map.begin()->second.data()));
  try {
    throw std::runtime_error(std::string(1000, 'e'));
  } catch (const std::runtime_error& error) {
    EXPECT_TRUE(is_local(error.what()) || std::string(error.what()).size() == 1000);
  }
  std::pmr::vector<std::pmr::string> strings(100, "a string that is longer than its object");
  EXPECT_TRUE(is_local(strings.data()));
  auto* const aligned = std::pmr::get_default_resource()->allocate(100, 4096);
  EXPECT_TRUE(is_local(aligned));
  std::pmr::get_default_resource()->deallocate(aligned, 100, 4096);
}

TEST(OperatorNew, BlocksGoFromThreadToThread) {
  constexpr std::size_t kThreads = 4;
  std::array<std::vector<std::unique_ptr<std::string>>, kThreads> made;
  run_threads(kThreads, [&](std::size_t i) {
    for (std::size_t n = 0; n < 20'000; ++n) {
      made.at(i).push_back(std::make_unique<std::string>(n % 300, 'x'));
    }
  });
  run_threads(kThreads, [&](std::size_t i) { made.at((i + 1) % kThreads).clear(); });
  EXPECT_EQ(local_service()->audit().violation_count, 0U);
}

struct AllocatesAtTheEnd {
  std::vector<std::string> kept = std::vector<std::string>(50, std::string(200, 'k'));
  static inline int ended = 0;
  ~AllocatesAtTheEnd() {
    std::map<int, std::string> map;
    for (int i = 0; i < 1000; ++i) map[i] = std::string(100, 'm');
    kept.resize(500, std::string(200, 'l'));
    if (is_local(kept.data())) ++ended;
  }
};

TEST(OperatorNew, ServesThreadsThatEnd) {
  AllocatesAtTheEnd::ended = 0;
  for (int i = 0; i < 20; ++i) {
    std::thread([] {
      // Older than the thread's heap, so that it is destroyed after the heap was parked.
      static thread_local std::unique_ptr<AllocatesAtTheEnd> late;
      static thread_local AllocatesAtTheEnd early;
      late = std::make_unique<AllocatesAtTheEnd>();
      (void)early.kept.size();
    }).join();
  }
  EXPECT_EQ(AllocatesAtTheEnd::ended, 40);
  EXPECT_EQ(local_service()->audit().violation_count, 0U);
}

TEST(OperatorNew, ServesStaticDestructors) {
  EXPECT_EQ(run_in_child([]() -> int {
              AllocatesAtTheEnd::ended = 0;
              static AllocatesAtTheEnd last;
              last.kept.emplace_back("static");
              std::atexit([] { std::_Exit(AllocatesAtTheEnd::ended == 1 ? 7 : 8); });
              static AllocatesAtTheEnd first_to_go;
              first_to_go.kept.emplace_back("static");
              std::exit(9);
            }),
            exited(7));
}

TEST(OperatorNew, ServesTheLibraryItself) {
  auto region = EmbeddedRegion::create({std::uint64_t{1} << 30, std::uint64_t{64} << 20}).value();
  Session session = region.connect().value();
  run_threads(3, [&](std::size_t i) {
    test::HeapOracle oracle(session);
    test::Random random(i + 1);
    test::run_random_operations(oracle, random, 5000, 100);
    oracle.free_all();
    (void)session.trim();
    (void)local().trim();
  });
  // Every failure makes a text.
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(session.allocate(std::size_t{1} << 40), nullptr);
    EXPECT_EQ(local().allocate(std::size_t{1} << 40), nullptr);
  }
  EXPECT_EQ(region.audit().violations, 0U);
}

TEST(OperatorNew, DoesNotEnterTheHeapInsideTheLibrary) {
  void* const block = raw_new(500);
  ASSERT_TRUE(is_local(block));
  {
    const LibraryScope inside;
    const LibraryScope further_inside;
    void* const other = raw_new(500);
    EXPECT_FALSE(is_local(other));
    ::operator delete(other);
    detail::free_for_delete(block);
    EXPECT_TRUE(local().handle_of(block).has_value()) << "it was not put aside";
  }
  EXPECT_FALSE(local().handle_of(block).has_value()) << "it was not freed";
  void* const next = raw_new(500);
  EXPECT_TRUE(is_local(next));
  ::operator delete(next);
}

TEST(OperatorNew, EndsTheProgramAtAFreeThatIsNone) {
  void* const block = raw_new(100);
  EXPECT_DEATH(detail::free_for_delete(static_cast<char*>(block) + 16), "allot: operator delete: ");
  EXPECT_DEATH(
      {
        detail::free_for_delete(block);
        detail::free_for_delete(block);
      },
      "allot: operator delete: ");
  ::operator delete(block);
}

}  // namespace
}  // namespace allot
