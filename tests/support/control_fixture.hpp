// ControlFixture: a service with two regions, and the control socket's requests asked of it.
//
// For tests of ControlRequest. Region "default" has a session with a span of 1 KiB blocks, all free;
// region "other" has nothing. Sums and times are made up, so that a test can look for them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include "daemon/control_requests.hpp"
#include "tests/support/core_region.hpp"

namespace allot::daemon {

namespace json = boost::json;
using detail::OwnWord;

inline constexpr std::uint64_t kControlGranules = 64;
inline constexpr std::uint64_t kControlNow = 5'000'000'000;
inline constexpr std::uint32_t kControlBin = region::bin_of(1024);

// A service with two regions; the first has a session with a span of 1 KiB blocks.
class ControlFixture : public testing::Test {
 protected:
  ControlFixture() {
    for (const auto* const name : {"default", "other"}) {
      test::MemoryRegion& memory = std::string(name) == "default" ? memory_ : other_memory_;
      auto core = std::make_unique<core::RegionCore>(memory.view(), name, test::kRegionTag,
                                                     core::Limits{}, 1'000'000'000);
      service_.add_region(std::move(core), {});
    }
    session_ = open_session("maker");
    span_ = grant(session_, 2);
    carve(span_);
  }

  core::RegionCore& core() { return *service_.find_region("default"); }

  std::uint32_t open_session(const char* label) {
    const auto ticket = core().open_session({4711, 1000, 100}, label, kControlNow);
    EXPECT_TRUE(ticket);
    return ticket ? ticket->id : 0;
  }

  std::uint64_t grant(std::uint32_t session, std::uint32_t granules) {
    auto plan = core().plan_grant(session, {granules, 1, 1024, 1}, test::kPlenty);
    if (!plan) return 0;
    memory_.open(plan->high_water_granules);
    EXPECT_TRUE(core().finish_grant(*plan, kControlNow));
    return plan->first;
  }

  void carve(std::uint64_t first) {
    for (std::uint32_t i = 0; i < region::kSizeClasses.at(kControlBin).block_count; ++i) {
      memory_.view().word(first, i).store_relaxed(OwnWord::make(OwnWord::kFree, 9));
    }
    memory_.view().span_ledger(first).carve.store_release(region::CarveWord::blocks(kControlBin));
  }

  Handle own(std::uint32_t index, std::uint32_t flags = 0) {
    memory_.view().word(span_, index).store_release(test::owned_word(session_, 9, flags));
    return Handle::make(test::kRegionTag,
                        span_ * region::kGranuleBytes + std::uint64_t{index} * 1024, 9);
  }

  ControlContext context() {
    return {
        .service = &service_,
        .status =
            [] {
              return ServerStatus{7, 3, 2, "/run/allot"};
            },
        .committed_bytes =
            [](const core::RegionCore&, core::RegionFile file) {
              return std::uint64_t{1000} << static_cast<unsigned>(file);
            },
        .window_granules = [](const core::RegionCore&) { return kControlGranules; },
        .heap_window = [](const core::RegionCore&) { return 0U; },
        .changed = [this] { ++changes_; },
    };
  }

  // The answer's line; fails the test if it takes more than `max_steps` or is not one line.
  std::string line_of(std::string_view line, bool administrator = false, int max_steps = 1000) {
    const auto request = ControlRequest::parse(line, {1, 1000, 100}, administrator, context());
    for (int steps = 0; steps < max_steps; ++steps) {
      if (auto answer = request->step()) {
        EXPECT_EQ(answer->find('\n'), answer->size() - 1);
        return *answer;
      }
    }
    ADD_FAILURE() << "no answer to " << line;
    return "{}";
  }

  json::object ask(std::string_view line, bool administrator = false) {
    const std::string answer = line_of(line, administrator);
    json::error_code failed;
    const json::value value = json::parse(answer, failed);
    EXPECT_FALSE(failed) << answer;
    return failed || !value.is_object() ? json::object() : value.get_object();
  }

  // The object of the first region in a good answer.
  json::object ask_region(std::string_view line) {
    json::object answer = ask(line);
    EXPECT_TRUE(answer["ok"].as_bool()) << json::value(answer);
    return answer["regions"].as_array().at(0).as_object();
  }

  std::string error_of(std::string_view line, bool administrator = false) {
    json::object answer = ask(line, administrator);
    EXPECT_FALSE(answer["ok"].as_bool());
    json::object& error = answer["error"].as_object();
    return std::string(error["name"].as_string()) + ": " + std::string(error["detail"].as_string());
  }

  test::MemoryRegion memory_{kControlGranules};
  test::MemoryRegion other_memory_{kControlGranules};
  core::Service service_;
  std::uint32_t session_ = 0;
  std::uint64_t span_ = 0;
  int changes_ = 0;
};

}  // namespace allot::daemon
