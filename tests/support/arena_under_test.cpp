#include "tests/support/arena_under_test.hpp"

#include <algorithm>

namespace allot::test {

std::vector<ArenaCase> all_arena_cases() {
  std::vector<ArenaCase> cases;
  for (const ArenaKind kind :
       {ArenaKind::kFixed, ArenaKind::kChained, ArenaKind::kVirtual, ArenaKind::kChainedVirtual}) {
    for (const ArenaGround ground :
         {ArenaGround::kBuffer, ArenaGround::kPages, ArenaGround::kRegion, ArenaGround::kParent}) {
      const bool is_virtual = kind == ArenaKind::kVirtual || kind == ArenaKind::kChainedVirtual;
      if (ground == ArenaGround::kBuffer && kind != ArenaKind::kFixed) continue;
      if (is_virtual && ground == ArenaGround::kParent) continue;
      for (const ArenaChecks checks : {ArenaChecks::kOff, ArenaChecks::kOn}) {
        cases.push_back({kind, ground, checks, false});
      }
    }
    cases.push_back({kind, ArenaGround::kPages, ArenaChecks::kOff, true});
  }
  return cases;
}

std::string arena_case_name(const testing::TestParamInfo<ArenaCase>& info) {
  constexpr const char* kGrounds[] = {"Buffer", "Pages", "Region", "Parent"};
  constexpr const char* kKinds[] = {"Fixed", "Chained", "Virtual", "ChainedVirtual"};
  const ArenaCase& what = info.param;
  return std::string(kKinds[static_cast<int>(what.kind)]) + "On" +
         kGrounds[static_cast<int>(what.ground)] + (what.locked ? "Locked" : "") +
         (what.checks == ArenaChecks::kOn ? "Checked" : "");
}

ArenaUnderTest::ArenaUnderTest(const ArenaCase& what) : what_(what) {
  if (what.ground == ArenaGround::kRegion) {
    region_ = std::make_unique<EmbeddedRegion>(
        EmbeddedRegion::create({std::uint64_t{1} << 28, std::uint64_t{1} << 26}).value());
    session_ = std::make_unique<Session>(region_->connect().value());
  }
  if (what.ground == ArenaGround::kParent) {
    ArenaOptions options;
    options.checks = what.checks;
    parent_ = Arena::reserve_chained(std::size_t{1} << 26, options);
  }
  arena_ = make();
}

ArenaUnderTest::~ArenaUnderTest() {
  EXPECT_TRUE(!arena_ || arena_.release() == Errc::kOk);
  if (session_ != nullptr) {
    const EmbeddedAudit found = region_->audit();
    EXPECT_EQ(found.live_blocks, 0U);
    EXPECT_EQ(found.violations, 0U);
    session_->close();
  }
  if (parent_) {
    EXPECT_EQ(parent_.clear(), Errc::kOk);
    EXPECT_EQ(parent_.release(), Errc::kOk);
  }
}

ArenaOptions ArenaUnderTest::options() {
  ArenaOptions options;
  options.name = "under test";
  options.checks = what_.checks;
  options.locked = what_.locked;
  options.block_bytes = options.max_block_bytes = kBlockBytes;
  options.commit_bytes = kBlockBytes;
  if (what_.ground == ArenaGround::kRegion) options.source = *session_;
  if (what_.ground == ArenaGround::kParent) options.source = parent_;
  return options;
}

Arena ArenaUnderTest::make(const ArenaOptions& options) {
  switch (what_.kind) {
    case ArenaKind::kFixed:
      if (what_.ground != ArenaGround::kBuffer) return Arena::fixed(kCapacityBytes, options);
      buffers_.emplace_back(kCapacityBytes, std::byte{0x77});
      return Arena::fixed(std::span(buffers_.back()), options);
    case ArenaKind::kChained: return Arena::chained(options);
    case ArenaKind::kVirtual: return Arena::reserve(kCapacityBytes, options);
    case ArenaKind::kChainedVirtual: break;
  }
  return Arena::reserve_chained(4 * kBlockBytes, options);
}

}  // namespace allot::test
