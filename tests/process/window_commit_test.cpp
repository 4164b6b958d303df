// What a client does by accident to a region that is large and mostly holes: it locks its
// memory, reads where it should not. None of it may commit more than the client's window. (Cores:
// core_dump_process_test.cpp.)
//
// Each case has a control: the same done to a plain mapping of a whole file, which does commit it.
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>

#include <gtest/gtest.h>

#include "tests/support/fault_probe.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/window_commit.hpp"

namespace allot::region {
namespace {

using platform::committed_bytes;
using platform::page_size_bytes;
using test::Ending;
using test::kSkipped;
using test::run_in_child;

TEST_F(WindowCommit, IsSmallBesideTheRegion) {
  EXPECT_LE(window_bytes(window_granules_).data * 64, kGranules * kGranuleBytes);
  EXPECT_EQ(committed().data, 0U);
  EXPECT_EQ(committed().ledger, 0U);
}

// ---- mlockall

// In a child: locks its memory. Exits if that is not allowed.
void lock_all(int flags) {
  const rlimit no_limit{RLIM_INFINITY, RLIM_INFINITY};
  (void)::setrlimit(RLIMIT_MEMLOCK, &no_limit);
  if (::mlockall(flags) != 0) ::_exit(kSkipped);
}

class Mlockall : public WindowCommit {
 protected:
  // A child that runs `body` with one more child's worth of memory locked: kSkipped if it may not.
  void expect_commits_its_window(std::uint64_t window_granules,
                                 const std::function<void()>& body) const {
    const Committed before = committed();
    const Ending ending = run_in_child([&] {
      body();
      return 0;
    });
    if (ending == test::exited(kSkipped)) GTEST_SKIP() << "may not lock memory (ulimit -l)";
    ASSERT_EQ(ending, test::exited(0));
    // All of the window, which shows that the lock took, and nothing beyond it.
    EXPECT_EQ(committed() - before, window_bytes(window_granules));
  }
};

TEST_F(Mlockall, BeforeMappingCommitsTheWindowOnly) {
  expect_commits_its_window(window_granules_, [&] {
    lock_all(MCL_CURRENT | MCL_FUTURE);
    RegionMapping mapping = map_as_client();
    open_windows(mapping, 1);
  });
}

TEST_F(Mlockall, AfterMappingCommitsTheWindowOnly) {
  expect_commits_its_window(window_granules_, [&] {
    RegionMapping mapping = map_as_client();
    open_windows(mapping, 1);
    lock_all(MCL_CURRENT | MCL_FUTURE);
  });
}

TEST_F(Mlockall, BeforeExtendingCommitsTheWindowOnly) {
  const std::uint64_t wider = 2 * window_granules_;
  expect_commits_its_window(wider, [&] {
    RegionMapping mapping = map_as_client();
    open_windows(mapping, 1);
    lock_all(MCL_CURRENT | MCL_FUTURE);
    open_windows(mapping, wider);
    if (mapping.window_granules() != wider) ::_exit(13);
  });
}

TEST_F(Mlockall, OfAPlainMappingCommitsTheWholeFile) {
  for (const bool before : {true, false}) {
    ASSERT_TRUE(platform::punch_range(plain_, 0, kPlainBytes));
    const Ending ending = run_in_child([&] {
      if (before) lock_all(MCL_CURRENT | MCL_FUTURE);
      (void)map_plainly();
      if (!before) lock_all(MCL_CURRENT | MCL_FUTURE);
      return 0;
    });
    if (ending == test::exited(kSkipped)) GTEST_SKIP() << "may not lock memory (ulimit -l)";
    ASSERT_EQ(ending, test::exited(0));
    EXPECT_EQ(committed_bytes(plain_), kPlainBytes);
  }
}

// A process that may lock only a little gets a named error, not a region that it cannot use.
TEST_F(Mlockall, IsANamedErrorWhereTooLittleMayBeLocked) {
  const Ending ending = run_in_child([&] {
    rlimit limit{};
    ::getrlimit(RLIMIT_MEMLOCK, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 64 * kMiB);
    if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) return kSkipped;
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) return kSkipped;
    if (::mlockall(MCL_FUTURE) != 0) return kSkipped;
    const auto mapping = RegionMapping::map(files_, kGranules, RegionMapping::Role::kClient);
    return !mapping && mapping.error().errc() == Errc::kAddressSpace ? 0 : 1;
  });
  if (ending == test::exited(kSkipped)) GTEST_SKIP() << "may not lock memory (ulimit -l)";
  EXPECT_EQ(ending, test::exited(0));
  EXPECT_EQ(committed().data, 0U);
}

// ---- Wild reads

TEST_F(WindowCommit, WildReadsFaultAndCommitNothing) {
  constexpr std::uint64_t kProbes = 256;
  const Committed before = committed();
  const Ending ending = run_in_child([&] {
    RegionMapping mapping = map_as_client();
    open_windows(mapping, 1);
    const RegionView view = mapping.view();
    const auto bytes_at = [](const auto& object) {
      return reinterpret_cast<const std::byte*>(&object);
    };
    int touched = 0;
    const auto probe = [&](const std::byte* place) { touched += test::read_faults(place) ? 0 : 1; };
    for (std::uint64_t i = 0; i < kProbes; ++i) {
      // From the first granule beyond the window to the last of the region.
      const std::uint64_t granule =
          window_granules_ + (kGranules - 1 - window_granules_) * i / (kProbes - 1);
      probe(mapping.data() + granule * kGranuleBytes);
      probe(mapping.data() + (granule + 1) * kGranuleBytes - 1);
      probe(bytes_at(view.word(granule, 0)));
      // The other tables have less than a page a granule: beyond the window's last page.
      if (granule * sizeof(SpanLedger) >=
          platform::round_up_to_page(window_granules_ * sizeof(SpanLedger))) {
        probe(bytes_at(view.span_ledger(granule)));
      }
      if (granule * sizeof(std::uint64_t) >=
          platform::round_up_to_page(window_granules_ * sizeof(std::uint64_t))) {
        probe(bytes_at(view.descriptor(granule)));
      }
    }
    return std::min(touched, 99);
  });
  EXPECT_EQ(ending, test::exited(0)) << "places that did not fault (but for 10 and 11)";
  EXPECT_EQ(committed(), before);
}

TEST_F(WindowCommit, WildReadsOfAPlainMappingCommitIt) {
  constexpr std::uint64_t kProbes = 64;
  const Ending ending = run_in_child([&] {
    const std::byte* const all = map_plainly();
    int faults = 0;
    for (std::uint64_t i = 0; i < kProbes; ++i) {
      faults += test::read_faults(all + i * (kPlainBytes / kProbes)) ? 1 : 0;
    }
    return faults;
  });
  ASSERT_EQ(ending, test::exited(0));
  EXPECT_EQ(committed_bytes(plain_), kProbes * page_size_bytes());
}

}  // namespace
}  // namespace allot::region
