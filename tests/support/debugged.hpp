// Debugged: conformance tests with a session that has debug modes on, and what it reports.
#pragma once

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <allot/debug.hpp>

#include "tests/support/conformance.hpp"

namespace allot::test {

class Debugged : public Conformance {
 protected:
  void TearDown() override {
    for (const Misuse& misuse : take_reports()) ADD_FAILURE() << "reported: " << describe(misuse);
    Conformance::TearDown();
  }

  /// All modes; what is reported is kept for take_reports().
  [[nodiscard]] DebugOptions all_modes() {
    DebugOptions options = reporting();
    options.fill = options.stacks = options.annotate = true;
    options.sample_bytes = 4096;
    options.sample_seed = 1;
    return options;
  }
  [[nodiscard]] DebugOptions reporting() {
    DebugOptions options;
    options.report = true;
    options.on_misuse = [this](const Misuse& misuse) {
      const std::lock_guard lock(mutex_);
      reports_.push_back(misuse);
    };
    return options;
  }
  [[nodiscard]] DebugOptions filling() {
    DebugOptions options = reporting();
    options.report = false;
    options.fill = true;
    return options;
  }

  [[nodiscard]] std::vector<Misuse> take_reports() {
    const std::lock_guard lock(mutex_);
    return std::exchange(reports_, {});
  }
  /// The one report of this kind about `block` that there must be.
  [[nodiscard]] Misuse take_report(Misuse::Kind kind, const void* block) {
    const auto reports = take_reports();
    EXPECT_EQ(reports.size(), 1U);
    if (reports.empty()) return {};
    EXPECT_EQ(reports.front().kind, kind) << describe(reports.front());
    EXPECT_EQ(reports.front().block, block) << describe(reports.front());
    return reports.front();
  }

 private:
  std::mutex mutex_;
  std::vector<Misuse> reports_;
};

}  // namespace allot::test
