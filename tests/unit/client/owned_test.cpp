#include <allot/owned.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

#include <allot/embedded.hpp>

namespace allot {
namespace {

struct Point {
  std::int64_t x = 0;
  std::int64_t y = 0;
};

template <class T>
inline constexpr bool kIsUnique =
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
    std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>;
static_assert(kIsUnique<Owned<Point>> && kIsUnique<Owned<Point[]>> && kIsUnique<Pinned<Point>>);
static_assert(std::is_nothrow_default_constructible_v<Owned<Point>>);

class OwnedTest : public testing::Test {
 protected:
  ~OwnedTest() override {
    EXPECT_EQ(live(), 0U);
    session_.close();
  }
  Session& session() { return session_; }
  std::uint64_t live() {
    const EmbeddedAudit found = region_.audit();
    EXPECT_EQ(found.violations, 0U);
    return found.live_blocks;
  }

 private:
  EmbeddedRegion region_ =
      EmbeddedRegion::create({std::uint64_t{1} << 28, std::uint64_t{1} << 26}).value();
  Session session_ = region_.connect().value();
};

TEST_F(OwnedTest, AnEmptyOneIsHarmless) {
  Owned<Point> nothing;
  EXPECT_FALSE(nothing);
  EXPECT_EQ(nothing.get(), nullptr);
  nothing.reset();
  nothing = Owned<Point>();
  Owned<Point[]> no_array;
  EXPECT_EQ(no_array.size(), 0U);
  EXPECT_TRUE(no_array.span().empty());
  no_array.reset();
}

TEST_F(OwnedTest, AnEmptyOneHasNothingToGive) {
  Owned<Point> nothing;
  EXPECT_EQ(nothing.offer().error(), Errc::kBadArgument);
  EXPECT_EQ(nothing.handle().error(), Errc::kBadArgument);
  EXPECT_EQ(nothing.publish("nothing").error(), Errc::kBadArgument);
  EXPECT_FALSE(nothing.retract());
}

TEST_F(OwnedTest, LeavesABlockAloneThatWasGivenAwayAndCameBackAtItsAddress) {
  void* later = nullptr;
  {
    auto point = session().make<Point>();
    const Handle ticket = point.offer().value();
    void* const adopted = session().adopt(ticket).value();
    ASSERT_EQ(session().free(adopted), Errc::kOk);
    later = session().allocate(sizeof(Point));
    ASSERT_EQ(later, adopted) << "the last block that was freed is the next one";
  }
  EXPECT_EQ(session().free(later), Errc::kOk) << "it was freed by who gave it away long ago";
}

TEST_F(OwnedTest, OneOfTwoInAProcessFreesWhatOneAdoptedFromTheOther) {
  Owned<Point> keep;
  {
    auto point = session().make<Point>(Point{1, 2});
    keep = session().adopt<Point>(point.offer().value()).value();
  }
  EXPECT_EQ(live(), 1U);
  const auto other = session().make<Point>();
  EXPECT_NE(other.get(), keep.get());
}

TEST_F(OwnedTest, AnOfferThatIsTakenBackIsOursAgain) {
  auto point = session().make<Point>();
  const Handle ticket = point.offer().value();
  EXPECT_TRUE(point.retract());
  EXPECT_EQ(session().adopt(ticket).error(), Errc::kNotOffered);
  EXPECT_FALSE(point.retract()) << "no offer";
  point.reset();
  EXPECT_EQ(live(), 0U);
}

TEST_F(OwnedTest, ConstructsWithArgumentsAndFreesAtItsEnd) {
  {
    const auto point = session().make<Point>(Point{3, 4});
    EXPECT_EQ(point->x + (*point).y, 7);
    EXPECT_EQ(live(), 1U);
  }
  EXPECT_EQ(live(), 0U);
}

TEST_F(OwnedTest, AssignmentFreesWhatWasThere) {
  auto one = session().make<Point>(Point{1, 1});
  auto two = session().make<Point>(Point{2, 2});
  one = std::move(two);
  EXPECT_EQ(one->x, 2);
  EXPECT_EQ(live(), 1U);
  auto& same = one;
  one = std::move(same);
  ASSERT_TRUE(one) << "assigned to itself";
  EXPECT_EQ(one->x, 2);

  auto few = session().make_array<int>(10);
  few = session().make_array<int>(20);
  EXPECT_EQ(few.size(), 20U);
  EXPECT_EQ(live(), 2U);
}

TEST_F(OwnedTest, DetachLeavesTheBlockToTheSession) {
  Point* const point = session().make<Point>(Point{1, 2}).detach();
  EXPECT_EQ(live(), 1U);
  const Owned<Point> again(session(), point);
  EXPECT_EQ(again->y, 2);
  int* const numbers = session().make_array<int>(5).detach();
  EXPECT_EQ(live(), 2U);
  EXPECT_EQ(session().free(numbers), Errc::kOk);
}

TEST_F(OwnedTest, ArraysAreZeroedAndAligned) {
  struct alignas(256) Wide {
    std::uint64_t value;
  };
  const auto wide = session().make_array<Wide>(9);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(wide.get()) % 256, 0U);
  for (const Wide& one : wide.span()) EXPECT_EQ(one.value, 0U);
}

TEST_F(OwnedTest, OwnersMayOutliveTheirSession) {
  auto point = session().make<Point>(Point{1, 2});
  session().close();
  point.reset();
  EXPECT_FALSE(point);
}

}  // namespace
}  // namespace allot
