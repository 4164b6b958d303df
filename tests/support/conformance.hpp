// Conformance: the fixture of tests that hold for an embedded region and for one served by allotd.
//
// A test leaves no live block behind, whatever it did: at its end the audit must find the region in
// order with nothing live, and with nothing granted once its sessions have ended.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/region_under_test.hpp"

namespace allot::test {

class Conformance : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override { open({}); }

  void TearDown() override {
    expect_live(0);
    for (Session& session : sessions_) region_->end(session);
    const RegionSums sums = region_->audit();
    EXPECT_EQ(sums.violations, 0U) << sums.text;
    EXPECT_EQ(sums.granted_bytes, 0U) << sums.text;
  }

  /// Begins anew with a region of these limits and one session.
  void open(const RegionLimits& limits) {
    sessions_.clear();
    region_ = RegionUnderTest::make(GetParam(), ALLOT_ALLOTD_PATH, limits);
    sessions_.push_back(region_->connect());
  }

  [[nodiscard]] Session& session() { return sessions_.front(); }
  /// A further session in the region, as if of another process.
  [[nodiscard]] Session& add_session(const DebugOptions& debug = {}) {
    sessions_.push_back(region_->connect(debug));
    return sessions_.back();
  }
  /// Closes it now; its handle stays.
  void end_session(Session& session) { region_->end(session); }
  [[nodiscard]] RegionUnderTest& region() { return *region_; }

  void expect_live(std::uint64_t blocks) {
    const RegionSums sums = region_->audit();
    EXPECT_EQ(sums.violations, 0U) << sums.text;
    EXPECT_EQ(sums.live_blocks, blocks) << sums.text;
  }

 private:
  std::unique_ptr<RegionUnderTest> region_;
  std::deque<Session> sessions_;
};

inline std::string backend_name(const testing::TestParamInfo<Backend>& info) {
  return info.param == Backend::kEmbedded ? "Embedded" : "Daemon";
}

}  // namespace allot::test

// Runs the tests of `Suite`, a class derived from Conformance, over both.
#define ALLOT_CONFORMANCE_SUITE(Suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(                                                                        \
      Any, Suite, testing::Values(allot::test::Backend::kEmbedded, allot::test::Backend::kDaemon), \
      allot::test::backend_name)
