// A client is killed after each of its stores to shared memory, and after each answer: what the next
// daemon recovers is clean, nobody else has lost anything, and all comes back.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/session.hpp>
#include <allot/shared_arena.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/store_trace.hpp"
#include "tests/support/traced_region.hpp"

namespace allot::test {
namespace {

constexpr std::array<std::size_t, 7> kSizes{16, 64, 1000, 5000, 30'000, 100'000, 700'000};

class ClientKill : public testing::Test {
 protected:
  void SetUp() override {
    if (!kStoreTraceWorks) GTEST_SKIP() << "no trace of stores here";
    // Opens all windows.
    for (Session* const session : {&one_, &other_}) {
      std::vector<void*> all;
      while (void* const block = session->allocate(300'000)) all.push_back(block);
      ASSERT_FALSE(all.empty());
      for (void* const block : all) ASSERT_EQ(session->free(block), Errc::kOk);
      (void)session->trim();
      std::thread([&] { EXPECT_EQ(session->free(session->allocate(64)), Errc::kOk); }).join();
    }
  }
  void TearDown() override {
    RecordProperty("states", static_cast<int>(region_.states()));
    one_.close();
    other_.close();
  }
  void kill(const Session& client, const std::function<void()>& operation) {
    region_.kill_everywhere(client, operation);
  }
  [[nodiscard]] TracedRegion& region() { return region_; }
  [[nodiscard]] Session& one() { return one_; }
  [[nodiscard]] Session& other() { return other_; }

 private:
  TracedRegion region_;
  Session one_ = region_.connect();
  Session other_ = region_.connect();
};

TEST_F(ClientKill, AllocatingAndFreeing) {
  for (int round = 0; round < 2; ++round) {
    for (const std::size_t size : kSizes) {
      SCOPED_TRACE(size);
      std::array<void*, 3> blocks{};
      kill(one(), [&] {
        for (void*& block : blocks) block = one().allocate(size);
      });
      kill(one(), [&] {
        for (void* const block : blocks) EXPECT_EQ(one().free(block), Errc::kOk);
      });
    }
  }
  kill(one(), [&] { (void)one().trim(); });
  EXPECT_GT(region().states(), 100U);
}

TEST_F(ClientKill, ABatch) {
  std::array<void*, 64> blocks{};
  kill(one(), [&] { EXPECT_TRUE(one().allocate_n(200, blocks)); });
  kill(one(), [&] { EXPECT_TRUE(one().free_n(blocks)); });
}

TEST_F(ClientKill, HandingOver) {
  for (const std::size_t size : kSizes) {
    SCOPED_TRACE(size);
    void* const block = one().allocate(size);
    Handle handle;
    kill(one(), [&] { handle = one().offer(block).value(); });
    kill(one(), [&] { EXPECT_EQ(one().retract(handle).value(), block); });
    handle = one().offer(block).value();
    void* adopted = nullptr;
    kill(other(), [&] { adopted = other().adopt(handle).value(); });
    kill(other(), [&] { EXPECT_EQ(other().free(adopted), Errc::kOk); });
    // Collects it.
    kill(one(), [&] { EXPECT_EQ(one().free(one().allocate(size)), Errc::kOk); });
  }
}

TEST_F(ClientKill, HandingOverByTheBatch) {
  std::array<void*, 40> blocks{};
  std::array<Handle, blocks.size()> handles;
  std::array<void*, blocks.size()> adopted{};
  ASSERT_TRUE(one().allocate_n(100, blocks));
  const std::array<const void*, blocks.size()> offered = [&] {
    std::array<const void*, blocks.size()> out{};
    std::copy(blocks.begin(), blocks.end(), out.begin());
    return out;
  }();
  kill(one(), [&] { EXPECT_TRUE(one().offer_n(offered, handles)); });
  kill(other(), [&] { EXPECT_TRUE(other().adopt_n(handles, adopted)); });
  kill(other(), [&] { EXPECT_TRUE(other().free_n(adopted)); });
  kill(one(), [&] {
    // More than there were: the ones that came back are among them.
    for (int i = 0; i < 700; ++i) (void)one().allocate(100);
  });
}

TEST_F(ClientKill, Names) {
  void* const block = one().allocate(64);
  Handle handle;
  kill(one(), [&] { handle = one().publish("name", block).value(); });
  kill(other(), [&] { EXPECT_EQ(other().find("name").value().handle, handle); });
  kill(one(), [&] { one().unpublish("name", handle).value(); });
  kill(other(), [&] { other().unpin(handle).value(); });
  kill(one(), [&] { EXPECT_EQ(one().free(one().allocate(64)), Errc::kOk); });
}

TEST_F(ClientKill, Growing) {
  std::vector<void*> blocks;
  kill(one(), [&] {
    for (int i = 0; i < 30; ++i) blocks.push_back(one().allocate(20'000));
    for (int i = 0; i < 5; ++i) blocks.push_back(one().allocate(200'000));
  });
  kill(one(), [&] {
    for (void* const block : blocks) EXPECT_EQ(one().free(block), Errc::kOk);
    (void)one().trim();
  });
}

TEST_F(ClientKill, AnArena) {
  std::optional<Arena> arena;
  ArenaOptions options;
  options.source = one();
  options.checks = ArenaChecks::kOff;
  kill(one(), [&] { arena.emplace(Arena::reserve(std::size_t{256} << 10, options)); });
  kill(one(), [&] {
    for (int i = 0; i < 20; ++i) EXPECT_NE(arena->push(12'000), nullptr);
  });
  kill(one(), [&] { (void)arena->pop(150'000); });
  kill(one(), [&] { (void)arena->shrink(); });
  kill(one(), [&] { arena.reset(); });
}

TEST_F(ClientKill, SharedChunks) {
  auto arena = SharedArena::create(one(), "bytes", {std::size_t{1} << 20, std::size_t{4} << 10});
  ASSERT_TRUE(arena) << arena.error().message();
  std::optional<SharedArena> attached;
  kill(other(), [&] { attached.emplace(SharedArena::attach(other(), "bytes").value()); });
  kill(one(), [&] {
    for (int i = 0; i < 10; ++i) EXPECT_NE(arena->push(1500), nullptr);
  });
  kill(other(), [&] {
    for (int i = 0; i < 10; ++i) EXPECT_NE(attached->push(1500), nullptr);
  });
}

TEST_F(ClientKill, AThreadThatComesAndGoes) {
  for (int round = 0; round < 2; ++round) {
    kill(one(), [&] {
      std::thread([&] {
        void* const kept = one().allocate(64);
        EXPECT_EQ(one().free(one().allocate(3000)), Errc::kOk);
        EXPECT_EQ(one().free(kept), Errc::kOk);
      }).join();
    });
  }
  void* block = nullptr;
  std::thread([&] { block = one().allocate(64); }).join();
  kill(one(), [&] { EXPECT_EQ(one().free(block), Errc::kOk); });
}

TEST_F(ClientKill, AdoptingAnOrphan) {
  void* kept = nullptr;
  {
    Session dead = region().connect();
    std::vector<void*> blocks;
    for (int i = 0; i < 100; ++i) blocks.push_back(dead.allocate(64));
    kept = other().adopt(dead.offer(blocks.at(50)).value()).value();
    dead.close();
  }
  region().settle();
  kill(one(), [&] {
    for (int i = 0; i < 1200; ++i) EXPECT_NE(one().allocate(64), nullptr);
  });
  kill(other(), [&] { EXPECT_EQ(other().free(kept), Errc::kOk); });
}

TEST_F(ClientKill, LeavingWithBlocks) {
  for (const std::size_t size : kSizes) ASSERT_NE(other().allocate(size), nullptr);
  const Session copy = other();
  kill(copy, [&] { other().close(); });
}

TEST_F(ClientKill, AnythingAtRandom) {
  const SeedRange range = seeds(2);
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const SeedScope scope(__FILE__, __LINE__, seed);
    Random random(seed);
    HeapOracle oracle(one());
    kill(one(), [&] { run_random_operations(oracle, random, 60, 20); });
    if (HasFailure()) return;
    oracle.check();
    oracle.free_all();
  }
}

}  // namespace
}  // namespace allot::test
