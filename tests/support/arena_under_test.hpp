// ArenaUnderTest: an arena of any kind over any source, with or without checks, and what it stands on.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <allot/arena.hpp>
#include <allot/embedded.hpp>

namespace allot::test {

enum class ArenaGround : std::uint8_t { kBuffer, kPages, kRegion, kParent };

struct ArenaCase {
  ArenaKind kind = ArenaKind::kFixed;
  ArenaGround ground = ArenaGround::kPages;
  ArenaChecks checks = ArenaChecks::kOff;
  bool locked = false;
};

/// Every combination that can be.
[[nodiscard]] std::vector<ArenaCase> all_arena_cases();
[[nodiscard]] std::string arena_case_name(const testing::TestParamInfo<ArenaCase>& info);

class ArenaUnderTest {
 public:
  /// What a fixed arena, or a reservation, has.
  static constexpr std::size_t kCapacityBytes = std::size_t{1} << 20;
  /// Of the first of a chained arena's blocks, which do not grow here.
  static constexpr std::size_t kBlockBytes = std::size_t{16} << 10;

  explicit ArenaUnderTest(const ArenaCase& what);
  ArenaUnderTest(const ArenaUnderTest&) = delete;
  ArenaUnderTest& operator=(const ArenaUnderTest&) = delete;
  /// Releases the arena and expects that its source has everything back.
  ~ArenaUnderTest();

  /// Options for this case, to change before make().
  [[nodiscard]] ArenaOptions options();
  [[nodiscard]] Arena make(const ArenaOptions& options);
  [[nodiscard]] Arena make() { return make(options()); }
  Arena& arena() { return arena_; }

 private:
  ArenaCase what_;
  std::deque<std::vector<std::byte>> buffers_;  // of each arena that was made
  std::unique_ptr<EmbeddedRegion> region_;
  std::unique_ptr<Session> session_;
  Arena parent_;
  Arena arena_;
};

}  // namespace allot::test
