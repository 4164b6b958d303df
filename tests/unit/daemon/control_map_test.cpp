// The control socket's map: each granule of a region in one item, kinds and occupancy as the own
// words say, and every own word that cannot be.

#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "tests/support/control_fixture.hpp"

namespace allot::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint32_t kMediumBytes = 8192;

std::uint64_t number(const json::object& object, const char* key) {
  return object.at(key).to_number<std::uint64_t>();
}

class ControlMap : public ControlFixture {
 protected:
  json::object map() { return ask_region(R"({"request":"map","region":"default"})"); }

  void carve_as(std::uint64_t first, std::uint64_t carve, std::uint32_t blocks) {
    for (std::uint32_t i = 0; i < blocks; ++i) {
      memory_.view().word(first, i).store_relaxed(OwnWord::make(OwnWord::kFree, 9));
    }
    memory_.view().span_ledger(first).carve.store_release(carve);
  }
};

// "first+granules kind", in order; fails the test if an item does not begin where the last ended.
std::vector<std::string> items_of(const json::object& region) {
  std::vector<std::string> out;
  std::uint64_t next = 0;
  for (const json::value& one : region.at("items").as_array()) {
    const json::object& item = one.as_object();
    EXPECT_EQ(number(item, "first"), next);
    next += number(item, "granules");
    out.push_back(std::to_string(number(item, "first")) + '+' +
                  std::to_string(number(item, "granules")) + ' ' +
                  std::string(item.at("kind").as_string()));
  }
  EXPECT_EQ(next, kControlGranules);
  return out;
}

const json::object& item_at(const json::object& region, std::uint64_t first) {
  for (const json::value& one : region.at("items").as_array()) {
    if (number(one.as_object(), "first") == first) return one.as_object();
  }
  throw std::runtime_error("no item at " + std::to_string(first));
}

TEST_F(ControlMap, ShowsEachKindOnce) {
  const std::uint64_t medium = grant(session_, 4);
  const auto bin = region::bin_of(kMediumBytes);
  carve_as(medium, region::CarveWord::blocks(bin), region::kSizeClasses.at(bin).block_count);
  carve_as(grant(session_, 3), region::CarveWord::kLarge, 1);
  (void)grant(session_, 1);
  carve_as(grant(session_, 1), 77, 0);
  ASSERT_TRUE(core().reserve(session_, {5, 5}));
  const json::object region = map();
  EXPECT_THAT(items_of(region), ElementsAre("0+2 small", "2+4 medium", "6+3 large", "9+1 uncarved",
                                            "10+1 invalid", "11+5 reserved", "16+48 free"));
  EXPECT_EQ(number(item_at(region, 11), "session"), session_);
  EXPECT_EQ(number(item_at(region, 2), "block_bytes"), kMediumBytes);
  EXPECT_EQ(number(region, "used_granules"), 16U);
  EXPECT_TRUE(region.at("next").is_null());
}

TEST_F(ControlMap, CountsOwnWords) {
  (void)own(0);
  (void)own(1);
  const json::object region = map();
  const json::object& item = item_at(region, span_);
  EXPECT_EQ(number(item, "blocks"), 128U);
  EXPECT_EQ(number(item, "live_blocks"), 2U);
  EXPECT_EQ(number(item, "granted_unix_ns"), kControlNow);
  EXPECT_EQ(number(item, "violations"), 0U);
  EXPECT_FALSE(item.contains("owners"));
  const json::object& owner = region.at("owners").as_array().at(0).as_object();
  EXPECT_EQ(owner.at("label").as_string(), "maker");
  EXPECT_EQ(number(owner, "pid"), 4711U);
  EXPECT_EQ(number(owner, "live_bytes"), 2048U);
  EXPECT_EQ(number(owner, "page_spans"), 1U);
}

TEST_F(ControlMap, NamesOwnersOfBlocksInTheSpanOfAnother) {
  const std::uint32_t other = open_session("other");
  (void)own(0);
  for (std::uint32_t i = 1; i < 4; ++i) {
    memory_.view().word(span_, i).store_release(test::owned_word(other, 9));
  }
  const json::object region = map();
  const json::array& owners = item_at(region, span_).at("owners").as_array();
  ASSERT_EQ(owners.size(), 2U);
  EXPECT_EQ(number(owners[0].as_object(), "session"), other);
  EXPECT_EQ(number(owners[0].as_object(), "blocks"), 3U);
  EXPECT_EQ(region.at("owners").as_array().size(), 2U);
}

TEST_F(ControlMap, NamesWrongWordWithGranuleAndIndex) {
  memory_.view().word(span_, 7).store_relaxed(0);
  memory_.view().word(span_, 9).store_relaxed(test::owned_word(999, 9));
  const json::object region = map();
  EXPECT_EQ(number(item_at(region, span_), "violations"), 2U);
  EXPECT_EQ(number(region, "violation_count"), 2U);
  const json::array& violations = region.at("violations").as_array();
  ASSERT_EQ(violations.size(), 2U);
  EXPECT_EQ(violations[0].at("fault").as_string(), "word_invalid");
  EXPECT_EQ(number(violations[0].as_object(), "granule"), span_);
  EXPECT_EQ(number(violations[0].as_object(), "index"), 7U);
  EXPECT_EQ(violations[1].at("fault").as_string(), "owner_absent");
}

TEST_F(ControlMap, KnowsKeptBlocksByTheirNames) {
  const Handle frame = own(5, OwnWord::kExposed | OwnWord::kOffered);
  ASSERT_TRUE(core().publish(session_, "frame", frame, kControlNow));
  EXPECT_EQ(number(map(), "violation_count"), 0U);
  memory_.view().word(span_, 6).store_relaxed(OwnWord::make(OwnWord::kKept, 9) | OwnWord::kExposed);
  const json::object region = map();
  ASSERT_EQ(number(region, "violation_count"), 1U);
  EXPECT_EQ(region.at("violations").as_array()[0].at("fault").as_string(), "kept_without_name");
}

TEST_F(ControlMap, NamesWrongDescriptorBetweenSpans) {
  const std::uint64_t second = grant(session_, 1);
  memory_.view().descriptor(second).store_relaxed(7);
  const json::object region = map();
  EXPECT_THAT(items_of(region), ElementsAre("0+2 small", "2+1 moving", "3+61 free"));
  ASSERT_EQ(number(region, "violation_count"), 1U);
  EXPECT_EQ(number(region.at("violations").as_array()[0].as_object(), "granule"), second);
}

TEST_F(ControlMap, ShowsNoGranuleTwiceWhereDescriptorsLie) {
  const std::uint64_t second = grant(session_, 3);
  memory_.view().descriptor(second).store_relaxed(7);
  const region::SpanDescriptor forged{region::SpanState::kGranted, session_, 1, 4};
  memory_.view().descriptor(second + 1).store_relaxed(forged.encode());
  const json::object region = map();
  EXPECT_THAT(items_of(region),
              ElementsAre("0+2 small", "2+1 moving", "3+1 uncarved", "4+1 moving", "5+59 free"));
  EXPECT_EQ(number(region, "violation_count"), 2U);
}

TEST_F(ControlMap, PagesTogetherAreTheWhole) {
  for (const std::uint32_t granules : {1U, 2U, 1U, 2U, 1U}) (void)grant(session_, granules);
  ASSERT_TRUE(core().return_spans(session_, {3}, kControlNow));
  memory_.view().word(span_, 7).store_relaxed(0);
  memory_.view().word(5, 0).store_relaxed(1);
  const json::object whole = map();
  json::object pages = {{"items", json::array()}};
  std::uint64_t violations = 0;
  std::uint64_t spans = 0;
  for (std::uint64_t next = 0; next < kControlGranules;) {
    const json::object page = ask_region(
        R"({"request":"map","region":"default","limit":1,"first":)" + std::to_string(next) + "}");
    for (const json::value& item : page.at("items").as_array()) {
      pages["items"].as_array().push_back(item);
    }
    for (const json::value& owner : page.at("owners").as_array()) {
      spans += number(owner.as_object(), "page_spans");
    }
    violations += number(page, "violation_count");
    next = page.at("next").is_null() ? kControlGranules : number(page, "next");
  }
  EXPECT_EQ(items_of(pages), items_of(whole));
  EXPECT_EQ(violations, 2U);
  EXPECT_EQ(spans, 5U);
}

TEST_F(ControlMap, TakesManySlicesForManySpans) {
  for (int i = 0; i < 60; ++i) (void)grant(session_, 1);
  EXPECT_EQ(items_of(map()).size(), 62U);
}

TEST_F(ControlMap, BeyondTheRegionIsNothing) {
  const json::object region =
      ask_region(R"({"request":"map","region":"default","first":18446744073709551615})");
  EXPECT_TRUE(region.at("items").as_array().empty());
  EXPECT_TRUE(region.at("next").is_null());
  EXPECT_THAT(error_of(R"({"request":"map","first":3})"), HasSubstr("needs a \"region\""));
}

}  // namespace
}  // namespace allot::daemon
