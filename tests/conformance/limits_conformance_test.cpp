// Sizes, alignments and limits that are refused, each with its own error; what was there goes on.

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include <allot/detail/fast_heap.hpp>
#include <allot/session.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"

namespace allot {
namespace {

using test::refused;

using test::Backend;
using test::HeapOracle;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class Limits : public test::Conformance {
 protected:
  void expect_refused(std::size_t size_bytes, std::size_t alignment, Errc wanted) {
    EXPECT_EQ(session().allocate_aligned(size_bytes, alignment), nullptr)
        << size_bytes << " at " << alignment;
    EXPECT_EQ(Session::last_error().errc(), wanted)
        << size_bytes << " at " << alignment << ": " << Session::last_error().message();
  }
};
ALLOT_CONFORMANCE_SUITE(Limits);

TEST_P(Limits, SizeZeroIsAnError) {
  EXPECT_EQ(session().allocate(0), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kSizeZero);
  for (const std::size_t alignment : {1U, 16U, 4096U, 2U << 20}) {
    expect_refused(0, alignment, Errc::kSizeZero);
  }
}

TEST_P(Limits, SizesBeyondTheQuotaAreTooLarge) {
  constexpr auto kMost = std::numeric_limits<std::size_t>::max();
  for (const std::size_t size :
       {kMost, kMost - 15, kMost - 65'535, std::size_t{1} << 63, (std::size_t{1} << 63) - 1,
        std::size_t{1} << 40, std::size_t{1} << 32, (std::size_t{1} << 30) + 1}) {
    EXPECT_EQ(session().allocate(size), nullptr) << size;
    EXPECT_EQ(Session::last_error().errc(), Errc::kSizeTooLarge) << size;
    for (const std::size_t alignment : {1U, 64U, 2U << 20}) {
      expect_refused(size, alignment, Errc::kSizeTooLarge);
    }
  }
  EXPECT_EQ(session().make_array<std::uint64_t>(kMost / 4).get(), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kSizeTooLarge);
}

TEST_P(Limits, AlignmentsThatAreNoPowerOfTwoTo2MiBAreErrors) {
  for (const std::size_t alignment :
       {std::size_t{0}, std::size_t{3}, std::size_t{12}, std::size_t{24}, std::size_t{4097},
        4 * kMiB, std::size_t{1} << 40, std::size_t{1} << 63,
        std::numeric_limits<std::size_t>::max()}) {
    expect_refused(100, alignment, Errc::kBadAlignment);
  }
}

TEST_P(Limits, AFullSessionGoesOnWithWhatItHas) {
  open({.commit_limit_bytes = 8 * kMiB});
  HeapOracle oracle(session());
  std::vector<void*> fillers;
  for (void* block = session().allocate(kMiB); block != nullptr; block = session().allocate(kMiB)) {
    fillers.push_back(block);
  }
  EXPECT_EQ(Session::last_error().errc(), Errc::kSessionQuota) << Session::last_error().message();
  EXPECT_EQ(fillers.size(), 8U);
  expect_refused(100, 1, Errc::kSessionQuota);

  EXPECT_EQ(session().free(fillers.back()), Errc::kOk);
  EXPECT_EQ(session().allocate(kMiB), fillers.back()) << "a cached block is not granted again";
  EXPECT_EQ(session().free(fillers.back()), Errc::kOk);
  fillers.pop_back();
  (void)session().trim();
  while (session().allocate(16) != nullptr) {
  }
  EXPECT_EQ(Session::last_error().errc(), Errc::kSessionQuota);
  expect_live(fillers.size() + std::size_t{16} * 4096);
  region().end(session());
}

TEST_P(Limits, SpansAreAskedForOneByOneBeforeAnErrorIsGiven) {
  open({.commit_limit_bytes = kMiB});  // 16 granules; requests of 1, 2, 4, 8, and no 16 more
  HeapOracle oracle(session());
  for (int i = 0; i < 16 * 4096; ++i) ASSERT_NE(session().allocate(16), nullptr) << i;
  expect_refused(16, 1, Errc::kSessionQuota);
  region().end(session());
}

TEST_P(Limits, WhatASessionKeepsInReserveGoesBackBeforeItIsRefused) {
  open({.commit_limit_bytes = 8 * kMiB});
  std::vector<void*> blocks;
  while (void* const block = session().allocate(64)) blocks.push_back(block);
  EXPECT_EQ(Session::last_error().errc(), Errc::kSessionQuota);
  for (void* const block : blocks) ASSERT_EQ(session().free(block), Errc::kOk);
  for (const std::size_t size : {7 * kMiB, 3 * kMiB, 6 * kMiB, std::size_t{4000}}) {
    void* const block = session().allocate(size);
    EXPECT_NE(block, nullptr) << size << ": " << Session::last_error().message();
    if (block != nullptr) {
      EXPECT_EQ(session().free(block), Errc::kOk);
    }
  }
}

TEST_P(Limits, ABlockComesAloneWhereASpanOfManyDoesNotFit) {
  open({.commit_limit_bytes = kMiB / 2});
  void* const block = session().allocate(40'000);
  ASSERT_NE(block, nullptr) << Session::last_error().message();
  EXPECT_EQ(session().usable_size(block), 64U * 1024);
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Limits, AUsersSessionsShareTheUsersQuota) {
  open({.commit_limit_bytes = 64 * kMiB, .uid_quota_bytes = 16 * kMiB});
  const std::size_t half = GetParam() == Backend::kEmbedded ? 40 * kMiB : 10 * kMiB;
  void* const block = session().allocate(half);
  Session& other = add_session();
  EXPECT_EQ(other.allocate(half), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kUidQuota) << Session::last_error().message();
  EXPECT_EQ(session().free(block), Errc::kOk);
  EXPECT_EQ(session().trim(), half);
  void* const now = other.allocate(half);
  EXPECT_NE(now, nullptr);
  EXPECT_EQ(other.free(now), Errc::kOk);
}

TEST_P(Limits, TheRegionsCommitLimitHoldsForAll) {
  if (GetParam() == Backend::kEmbedded) GTEST_SKIP() << "its quotas are its commit limit";
  open({.commit_limit_bytes = 16 * kMiB,
        .session_quota_bytes = 64 * kMiB,
        .uid_quota_bytes = 64 * kMiB});
  void* const block = session().allocate(10 * kMiB);
  Session& other = add_session();
  EXPECT_EQ(other.allocate(10 * kMiB), nullptr);
  EXPECT_EQ(Session::last_error().errc(), Errc::kCommitLimit) << Session::last_error().message();
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Limits, ARegionThatIsFullSaysSo) {
  open({.size_bytes = 16 * kMiB, .commit_limit_bytes = 64 * kMiB});
  void* const block = session().allocate(10 * kMiB);
  expect_refused(10 * kMiB, 1, Errc::kRegionFull);
  expect_refused(17 * kMiB, 1, Errc::kSizeTooLarge);
  EXPECT_EQ(session().free(block), Errc::kOk);
}

TEST_P(Limits, MoreSessionsThanAProcessMayHaveAreRefused) {
  std::vector<Session> sessions;
  for (std::size_t i = 1; i < detail::kMaxSessionsPerProcess; ++i) {
    sessions.push_back(region().connect());
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(refused(region().try_connect(), Errc::kTooManySessions));
  }
  void* const block = session().allocate(100);
  EXPECT_EQ(session().free(block), Errc::kOk) << "the others go on";
  for (Session& one : sessions) EXPECT_EQ(one.free(one.allocate(100)), Errc::kOk);

  region().end(sessions.back());
  sessions.pop_back();
  auto next = region().try_connect();
  ASSERT_TRUE(next) << next.error().message();
  for (Session& one : sessions) EXPECT_FALSE(one == *next);
  EXPECT_EQ(next->free(next->allocate(100)), Errc::kOk);
  EXPECT_EQ(session().free(session().allocate(100)), Errc::kOk);
  region().end(*next);
  for (Session& one : sessions) region().end(one);
}

TEST_P(Limits, SessionsComeAndGoInOneProcess) {
  for (int i = 0; i < 40; ++i) {
    Session one = region().connect();
    void* const block = one.allocate(100);
    ASSERT_NE(block, nullptr) << i << ": " << Session::last_error().message();
    test::fill_block(block, 100, 7);
    region().end(one);
  }
}

}  // namespace
}  // namespace allot
