// CountingSink: for walks over spans of which only the counts matter; what is wrong is the business of
// `check`.
#pragma once

#include <cstdint>

#include "shared/region/span_count.hpp"

namespace allot::daemon {

class CountingSink final : public region::SpanSink {
 public:
  void on_violation(const region::Violation& /*violation*/) override {}
  void on_owned(std::uint32_t /*session*/, const region::OwnerSums& /*blocks*/) override {}
  bool on_kept(std::uint64_t /*offset_bytes*/, std::uint32_t /*word*/,
               std::uint64_t /*block_bytes*/) override {
    return true;
  }
  bool is_present(std::uint32_t /*session*/) override { return true; }
  std::uint64_t present_limit_granules() override { return 0; }
};

}  // namespace allot::daemon
