// Blocks that the service keeps under a name: publish, find, unpin, unpublish.

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/region/geometry.hpp"
#include "tests/support/conformance.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using test::refused;

constexpr std::size_t kMiB = std::size_t{1} << 20;

struct Config {
  std::uint64_t version = 0;
};

class Names : public test::Conformance {
 protected:
  void unpublish(const std::string& name, Handle handle) {
    EXPECT_TRUE(session().unpublish(name, handle).has_value()) << name;
  }
};
ALLOT_CONFORMANCE_SUITE(Names);

TEST_P(Names, APublishedBlockIsFoundByOthersAndOutlivesItsPublisher) {
  for (const std::size_t size : {std::size_t{64}, std::size_t{5000}, 2 * kMiB}) {
    Session& publisher = add_session();
    void* const block = publisher.allocate(size);
    test::fill_block(block, size, 5);
    const Handle handle = publisher.publish("models/v1", block).value();
    EXPECT_EQ(publisher.free(block), Errc::kNotOwner) << "the service's now";
    region().end(publisher);
    expect_live(1);

    const FoundBlock found = session().find("models/v1").value();
    EXPECT_EQ(found.handle, handle);
    EXPECT_GE(found.size_bytes, size);
    EXPECT_TRUE(test::holds_pattern(found.address, size, 5));
    EXPECT_TRUE(session().unpin(found.handle).has_value());
    unpublish("models/v1", handle);
    expect_live(0);
    EXPECT_TRUE(refused(session().find("models/v1"), Errc::kNameUnknown));
    EXPECT_TRUE(refused(session().resolve(handle), Errc::kStaleHandle));
  }
}

TEST_P(Names, APinKeepsAnUnpublishedBlock) {
  Session& reader = add_session();
  const Handle handle = session().publish("a", session().allocate(100)).value();
  const FoundBlock found = reader.find("a").value();
  unpublish("a", handle);
  EXPECT_TRUE(refused(reader.find("a"), Errc::kNameUnknown));
  expect_live(1);
  EXPECT_EQ(reader.resolve(handle).value(), found.address);

  // The name is free for another block meanwhile.
  const Handle second = session().publish("a", session().allocate(100)).value();
  EXPECT_NE(second, handle);
  expect_live(2);
  EXPECT_TRUE(reader.unpin(handle).has_value());
  expect_live(1);
  EXPECT_TRUE(refused(reader.unpin(handle), Errc::kNameUnknown));
  unpublish("a", second);
}

TEST_P(Names, EachFindIsAPinOfItsOwn) {
  const Handle handle = session().publish("a", session().allocate(100)).value();
  Session& reader = add_session();
  (void)reader.find("a").value();
  (void)reader.find("a").value();
  unpublish("a", handle);
  EXPECT_TRUE(reader.unpin(handle).has_value());
  expect_live(1);
  EXPECT_TRUE(reader.unpin(handle).has_value());
  expect_live(0);
  EXPECT_TRUE(refused(reader.unpin(handle), Errc::kNameUnknown));
}

TEST_P(Names, APinEndsWithItsSession) {
  Session& reader = add_session();
  const Handle handle = session().publish("a", session().allocate(100)).value();
  (void)reader.find("a").value();
  (void)reader.find("a").value();
  unpublish("a", handle);
  expect_live(1);
  region().end(reader);
  expect_live(0);
}

TEST_P(Names, ATakenNameIsRefusedAndTheBlockStaysOurs) {
  const Handle handle = session().publish("a", session().allocate(100)).value();
  Session& other = add_session();
  for (Session* const one : {&session(), &other}) {
    void* const block = one->allocate(100);
    EXPECT_TRUE(refused(one->publish("a", block), Errc::kNameTaken));
    EXPECT_TRUE(refused(one->adopt(one->handle_of(block).value()), Errc::kNotOffered));
    EXPECT_EQ(one->free(block), Errc::kOk);
  }
  unpublish("a", handle);
}

TEST_P(Names, ARefusedPublishLeavesAnOfferAsItWas) {
  const Handle first = session().publish("a", session().allocate(100)).value();
  Session& other = add_session();
  void* const block = session().allocate(100);
  const Handle offered = session().offer(block).value();
  EXPECT_TRUE(refused(session().publish("a", block), Errc::kNameTaken));
  auto there = other.adopt(offered);
  ASSERT_TRUE(there.has_value()) << there.error().message();
  EXPECT_EQ(other.free(*there), Errc::kOk);
  unpublish("a", first);
}

TEST_P(Names, NamesThatMakeNoSenseAreRefused) {
  void* const block = session().allocate(100);
  const Handle handle = session().handle_of(block).value();
  for (const std::string& name :
       {std::string(), std::string(region::kNameBytes, 'x'), std::string("a b"), std::string("a\n"),
        std::string("a\0b", 3), std::string("\xC3\xA4"), std::string(5000, 'x')}) {
    EXPECT_TRUE(refused(session().publish(name, block), Errc::kBadName));
    EXPECT_TRUE(refused(session().find(name), Errc::kBadName));
    EXPECT_TRUE(refused(session().unpublish(name, handle), Errc::kBadName));
  }
  const std::string longest(region::kNameBytes - 1, '~');
  const Handle published = session().publish(longest, block).value();
  EXPECT_EQ(session().find(longest).value().handle, published);
  unpublish(longest, published);
  EXPECT_TRUE(session().unpin(published).has_value());
}

TEST_P(Names, WhatIsNotThereIsNamed) {
  void* const block = session().allocate(100);
  const Handle handle = session().handle_of(block).value();
  EXPECT_TRUE(refused(session().find("nobody"), Errc::kNameUnknown));
  EXPECT_TRUE(refused(session().unpublish("nobody", handle), Errc::kNameUnknown));
  EXPECT_TRUE(refused(session().unpin(handle), Errc::kNameUnknown));
  EXPECT_TRUE(refused(session().unpin(Handle()), Errc::kNameUnknown));

  const Handle published = session().publish("a", block).value();
  EXPECT_TRUE(refused(session().unpublish("a", Handle::from_bits(published.bits() ^ 1)),
                      Errc::kStaleHandle));
  EXPECT_TRUE(refused(session().publish("b", block), Errc::kPublished));
  EXPECT_TRUE(refused(session().adopt(published), Errc::kPublished));
  EXPECT_TRUE(refused(session().retract(published), Errc::kPublished));
  EXPECT_TRUE(refused(session().offer(block), Errc::kPublished));
  unpublish("a", published);
  EXPECT_TRUE(refused(session().unpublish("a", published), Errc::kNameUnknown));
}

TEST_P(Names, FreedAndForeignBlocksCannotBePublished) {
  int local = 0;
  void* const block = session().allocate(100);
  EXPECT_EQ(session().free(block), Errc::kOk);
  EXPECT_TRUE(refused(session().publish("a", block), Errc::kDoubleFree));
  EXPECT_TRUE(refused(session().publish("a", &local), Errc::kNotInRegion));
  Session& other = add_session();
  void* const theirs = other.allocate(100);
  EXPECT_TRUE(
      refused(session().publish("a", session().resolve(other.handle_of(theirs).value()).value()),
              Errc::kNotOwner));
  EXPECT_EQ(other.free(theirs), Errc::kOk);
  EXPECT_TRUE(refused(session().find("a"), Errc::kNameUnknown));
}

TEST_P(Names, OwnedAndPinnedDoItByThemselves) {
  auto config = session().make<Config>(Config{42});
  const Handle handle = config.publish("config").value();
  EXPECT_FALSE(config) << "given away";
  Session& reader = add_session();
  {
    auto pinned = reader.find<Config>("config").value();
    auto moved = std::move(pinned);
    unpublish("config", handle);
    EXPECT_EQ(moved->version, 42U);
    EXPECT_EQ(moved.handle(), handle);
    expect_live(1);
  }
  expect_live(0);
}

TEST_P(Names, FindingAsATypeThatDoesNotFitPinsNothing) {
  const Handle handle = session().publish("a", session().allocate(16)).value();
  EXPECT_TRUE(refused(session().find<std::array<std::uint64_t, 100>>("a"), Errc::kTypeMismatch));
  EXPECT_TRUE(refused(session().unpin(handle), Errc::kNameUnknown));
  unpublish("a", handle);
}

TEST_P(Names, HundredsOfNamesComeAndGo) {
  std::vector<std::pair<std::string, Handle>> published;
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 300; ++i) {
      const std::string name = "block/" + std::to_string(i);
      void* const block = session().allocate(64 + i);
      std::memcpy(block, &i, sizeof(i));
      published.emplace_back(name, session().publish(name, block).value());
    }
    expect_live(300);
    for (std::uint64_t i = 0; i < 300; ++i) {
      const FoundBlock found = session().find(published[i].first).value();
      EXPECT_EQ(std::memcmp(found.address, &i, sizeof(i)), 0);
      EXPECT_TRUE(session().unpin(found.handle).has_value());
      unpublish(published[i].first, published[i].second);
    }
    published.clear();
    expect_live(0);
  }
}

}  // namespace
}  // namespace allot
