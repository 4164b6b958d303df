#include "shared/platform/descriptor.hpp"

#include <fcntl.h>

#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace allot::platform {
namespace {

static_assert(!std::is_copy_constructible_v<Descriptor> && !std::is_copy_assignable_v<Descriptor>);
static_assert(std::is_nothrow_move_constructible_v<Descriptor>);

int open_null() { return ::open("/dev/null", O_RDWR | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(Descriptor, OwnsNothingByDefault) {
  const Descriptor none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.get(), -1);
}

TEST(Descriptor, ClosesAtItsEnd) {
  const int fd = open_null();
  {
    const Descriptor owner(fd);
    EXPECT_TRUE(owner);
    EXPECT_EQ(owner.get(), fd);
    EXPECT_TRUE(is_open(fd));
  }
  EXPECT_FALSE(is_open(fd));
}

TEST(Descriptor, MovingLeavesNothingBehind) {
  const int fd = open_null();
  Descriptor first(fd);
  const Descriptor second(std::move(first));
  // What a move leaves is the subject.
  // NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-cplusplus.Move)
  EXPECT_EQ(first.get(), -1);
  EXPECT_EQ(second.get(), fd);
  EXPECT_TRUE(is_open(fd));
}

TEST(Descriptor, AssigningClosesWhatItHeld) {
  const int held = open_null();
  const int given = open_null();
  Descriptor target(held);
  target = Descriptor(given);
  EXPECT_EQ(target.get(), given);
  EXPECT_TRUE(is_open(given));
  EXPECT_FALSE(is_open(held));
}

TEST(Descriptor, SurvivesBeingAssignedToItself) {
  Descriptor one(open_null());
  Descriptor& same = one;
  one = std::move(same);
  EXPECT_TRUE(is_open(one.get()));
}

TEST(Descriptor, ReleaseGivesTheDescriptorAway) {
  const int fd = open_null();
  Descriptor first(fd);
  EXPECT_EQ(first.release(), fd);
  EXPECT_FALSE(first);
  first.reset();
  EXPECT_TRUE(is_open(fd));
  const Descriptor second(fd);
}

// A number is used again at once: a second close would hit somebody else's file.
TEST(Descriptor, ClosesOnce) {
  const int fd = open_null();
  Descriptor first(fd);
  first.reset();
  const Descriptor other(open_null());
  ASSERT_EQ(other.get(), fd) << "the kernel gives the lowest free number";
  first.reset();
  first = Descriptor();
  EXPECT_TRUE(is_open(fd));
}

}  // namespace
}  // namespace allot::platform
