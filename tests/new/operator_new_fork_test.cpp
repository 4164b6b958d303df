// fork() in a program whose operator new is allot::new's, while its threads use it.

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/embedded.hpp>
#include <allot/local.hpp>

#include "client/local_service.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::exited;
using test::run_in_child;
using test::run_threads;

// What programs do; false if anything of it is wrong.
bool work(std::size_t seed) {
  test::Random random(seed + 1);
  std::map<std::string, std::shared_ptr<std::vector<std::string>>> map;
  for (int i = 0; i < 300; ++i) {
    auto& entry = map[std::to_string(random.below(50U))];
    if (!entry) entry = std::make_shared<std::vector<std::string>>();
    entry->emplace_back(random.below(3000U), static_cast<char>('a' + i % 26));
    if (random.percent(30)) map.erase(map.begin());
  }
  const auto large = std::make_unique<std::string>(random.below(300'000U), 'x');
  try {
    throw std::runtime_error(*large);
  } catch (const std::exception& error) {
    if (error.what() != *large) return false;
  }
  bool from_other = false;
  std::thread([&] {
    from_other = std::make_unique<std::string>(*large)->size() == large->size();
  }).join();
  for (const auto& [key, strings] : map) {
    for (const std::string& text : *strings) {
      if (text.find_first_not_of(text.empty() ? ' ' : text[0]) != std::string::npos) return false;
    }
  }
  return from_other;
}

TEST(OperatorNewFork, ChildrenOfABusyProcessGoOn) {
  constexpr std::size_t kThreads = 4;
  std::atomic<bool> is_over = false;
  std::atomic<bool> all_well = true;
  // A session of another region, whose slow paths hold locks of their own.
  auto region = EmbeddedRegion::create({std::size_t{1} << 30, std::size_t{256} << 20}).value();
  Session session = region.connect().value();
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      for (std::size_t round = i; !is_over; round += kThreads) {
        if (!work(round)) all_well = false;
        void* const block = session.allocate(50'000 + round % 100'000);
        (void)session.free(block);
        if (round % 7 == 0) (void)session.trim();
        if (round % 11 == 0) (void)local().trim();
      }
    });
  }
  const std::string kept(1000, 'k');
  for (int i = 0; i < 60 && !testing::Test::HasFailure(); ++i) {
    EXPECT_EQ(run_in_child([&] {
                std::atomic<bool> is_well = work(1);
                run_threads(2, [&](std::size_t n) {
                  if (!work(n)) is_well = false;
                });
                if (!is_well || kept != std::string(1000, 'k')) return 1;
                return local_service()->audit(8 * kThreads).violation_count == 0 ? 0 : 2;
              }),
              exited(0))
        << "fork " << i;
  }
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(all_well);
}

// Handlers that run while fork() holds the library's locks.
void use_memory() {
  std::vector<std::string> strings;
  for (int i = 0; i < 2000; ++i) strings.emplace_back(static_cast<std::size_t>(i), 'x');
}

TEST(OperatorNewFork, HandlersOfOthersMayAllocate) {
  const auto body = [] {
    delete new int(1);
    if (::pthread_atfork(use_memory, use_memory, use_memory) != 0) return 1;
    const test::Ending ending = run_in_child([] { return work(3) ? 0 : 2; });
    return work(4) ? ending.exit_status : 3;
  };
  EXPECT_EQ(run_in_child(body), exited(0));
}

}  // namespace
}  // namespace allot
