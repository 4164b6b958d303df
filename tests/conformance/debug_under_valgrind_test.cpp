// Mistakes that only memcheck sees: tests/integration/valgrind_test.py runs them, and reads what it
// says. Elsewhere they are no tests.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <allot/embedded.hpp>

namespace allot {
namespace {

class UnderValgrind : public testing::Test {
 protected:
  static DebugOptions annotating() {
    DebugOptions options;
    options.annotate = options.fill = true;
    return options;
  }
  Session& session() { return session_; }
  EmbeddedRegion& region() { return region_; }

 private:
  EmbeddedRegion region_ =
      EmbeddedRegion::create({std::uint64_t{1} << 30, std::uint64_t{1} << 28}).value();
  Session session_ = region_.connect(annotating()).value();
};

TEST_F(UnderValgrind, DISABLED_RightUse) {
  Session other = region().connect(annotating()).value();
  for (const std::size_t size : {std::size_t{64}, std::size_t{5000}, std::size_t{300'000}}) {
    std::vector<void*> blocks(20);
    for (int round = 0; round < 3; ++round) {
      ASSERT_TRUE(session().allocate_n(size, blocks));
      for (void* const block : blocks) std::memset(block, round, size);
      std::thread([&] { EXPECT_EQ(session().free_n(blocks).count, blocks.size()); }).join();
    }
    // What another process may have written is not called unwritten.
    auto* const block = static_cast<const char*>(session().allocate(size));
    auto* const there = static_cast<char*>(other.resolve(*session().handle_of(block)).value());
    there[0] = 1;
    EXPECT_EQ(block[0], 1);
    void* const taken = other.adopt(session().offer(block).value()).value();
    std::memset(taken, 3, size);
    EXPECT_EQ(other.free(taken), Errc::kOk);
    EXPECT_GT(session().trim() + other.trim(), 0U);
    // The same granules of the other one, looked at by handle.
    ASSERT_TRUE(other.allocate_n(size, blocks));
    for (void* const one : blocks) {
      std::memset(one, 4, size);
      EXPECT_EQ(*static_cast<char*>(session().resolve(other.handle_of(one).value()).value()), 4);
    }
    EXPECT_EQ(other.free_n(blocks).count, blocks.size());
  }
}

TEST_F(UnderValgrind, DISABLED_ReadAfterFree) {
  auto* const block = static_cast<volatile char*>(session().allocate(64));
  block[5] = 1;
  EXPECT_EQ(session().free(const_cast<char*>(block)), Errc::kOk);
  // Of a load that nothing depends on Valgrind knows nothing.
  EXPECT_NE(block[5], 'x');
}

TEST_F(UnderValgrind, DISABLED_WriteAfterFree) {
  auto* const block = static_cast<volatile char*>(session().allocate(300'000));
  EXPECT_EQ(session().free(const_cast<char*>(block)), Errc::kOk);
  block[299'999] = 1;
}

TEST_F(UnderValgrind, DISABLED_UseOfFreshBytes) {
  auto* const block = static_cast<char*>(session().allocate(64));
  EXPECT_NE(block[5], 'x');
  EXPECT_EQ(session().free(block), Errc::kOk);
}

}  // namespace
}  // namespace allot
