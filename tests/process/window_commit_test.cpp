// What a client does by accident to a region that is large and mostly holes: it dumps core, locks
// its memory, reads where it should not. None of it may commit more than the client's window.
//
// Each case has a control: the same done to a plain mapping of a whole file, which does commit it.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/memfd.hpp"
#include "shared/platform/page_size.hpp"
#include "shared/region/region_files.hpp"
#include "tests/support/fault_probe.hpp"
#include "tests/support/forked_child.hpp"
#include "tests/support/temp_dir.hpp"

namespace allot::region {
namespace {

using platform::committed_bytes;
using platform::page_size_bytes;
using test::Ending;
using test::kSkipped;
using test::run_in_child;

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr std::uint64_t kGranules = 1024 * kMiB / kGranuleBytes;  // a region of 1 GiB
constexpr std::uint64_t kPlainBytes = 16 * kMiB;                  // what a control maps
constexpr std::uint32_t kHeaps = 3;
constexpr std::string_view kWindowMarker = "allot-window-commit-test: in the window ";
constexpr std::string_view kPlainMarker = "allot-window-commit-test: in the plain map ";

struct Committed {
  std::uint64_t directory;
  std::uint64_t ledger;
  std::uint64_t data;
  friend bool operator==(const Committed&, const Committed&) = default;
};

Committed operator-(const Committed& left, const Committed& right) {
  return {left.directory - right.directory, left.ledger - right.ledger, left.data - right.data};
}

std::ostream& operator<<(std::ostream& out, const Committed& bytes) {
  return out << "directory " << bytes.directory << ", ledger " << bytes.ledger << ", data "
             << bytes.data;
}

// The bytes that the windows of a client hold when they are open to `granules`.
Committed window_bytes(std::uint64_t granules) {
  const auto pages = [](std::uint64_t bytes) { return platform::round_up_to_page(bytes); };
  return {pages(granules * sizeof(std::uint64_t)),
          pages(granules * sizeof(SpanLedger)) +
              pages(granules * kWordsPerGranule * sizeof(std::uint32_t)) +
              pages(kHeaps * sizeof(HeapLedger)),
          granules * kGranuleBytes};
}

class WindowCommit : public testing::Test {
 protected:
  [[nodiscard]] Committed committed() const {
    return {committed_bytes(files_.directory), committed_bytes(files_.ledger),
            committed_bytes(files_.data)};
  }

  // In a child: maps the region as a client does. Exits if it cannot.
  [[nodiscard]] RegionMapping map_as_client() const {
    auto mapping = RegionMapping::map(files_, kGranules, RegionMapping::Role::kClient);
    if (!mapping) ::_exit(10);
    return std::move(*mapping);
  }
  void open_windows(RegionMapping& mapping, std::uint64_t granules) const {
    if (!mapping.extend(files_, granules) || !mapping.extend_heaps(files_, kHeaps)) ::_exit(11);
  }

  // In a child: a plain, shared mapping of a whole file of holes.
  [[nodiscard]] std::byte* map_plainly() const {
    void* const all =
        ::mmap(nullptr, kPlainBytes, PROT_READ | PROT_WRITE, MAP_SHARED, plain_.get(), 0);
    if (all == MAP_FAILED) ::_exit(12);
    return static_cast<std::byte*>(all);
  }

  RegionFiles files_ = RegionFiles::create("test", kGranules).value();
  platform::Descriptor plain_ =
      platform::make_sealed_memfd("window_commit_test", kPlainBytes).value();
  // How far the client's windows are open, as extend() rounds it.
  std::uint64_t window_granules_ = [this] {
    auto mapping = RegionMapping::map(files_, kGranules, RegionMapping::Role::kClient).value();
    mapping.extend(files_, 1).value();
    return mapping.window_granules();
  }();
};

TEST_F(WindowCommit, IsSmallBesideTheRegion) {
  EXPECT_LE(window_bytes(window_granules_).data * 64, kGranules * kGranuleBytes);
  EXPECT_EQ(committed().data, 0U);
  EXPECT_EQ(committed().ledger, 0U);
}

// ---- Core dumps

class CoreDump : public WindowCommit {
 protected:
  void SetUp() override {
    std::string pattern;
    std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
    if (pattern.starts_with('/')) GTEST_SKIP() << "cores go to " << pattern;
    piped_ = pattern.starts_with('|');
  }

  // A child that runs `prepare` and aborts, with as large a core as may be.
  Ending dump_core(const std::function<void()>& prepare) const {
    return run_in_child([&] {
      std::filesystem::current_path(directory_.path());
      const rlimit no_limit{RLIM_INFINITY, RLIM_INFINITY};
      if (::setrlimit(RLIMIT_CORE, &no_limit) != 0) return kSkipped;
      ::prctl(PR_SET_DUMPABLE, 1);
      // Every kind of mapping, shared ones of files too; but not the program's own text.
      std::ofstream("/proc/self/coredump_filter") << "0x7b";
      prepare();
      std::abort();
    });
  }

  // Whether `text` is in the core. Empties the directory for the next.
  [[nodiscard]] bool core_contains(std::string_view text) const {
    std::vector<char> core;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      core.resize(entry.file_size());
      std::ifstream(entry.path(), std::ios::binary)
          .read(core.data(), static_cast<std::streamsize>(core.size()));
      std::filesystem::remove(entry.path());
    }
    return std::string_view(core.data(), core.size()).find(text) != std::string_view::npos;
  }

  test::TempDir directory_;
  bool piped_ = false;
};

// Written in two parts, so that the text itself is nowhere else in the process.
void mark(std::byte* place, std::string_view text) {
  std::transform(text.begin(), text.end(), place, [](char c) { return static_cast<std::byte>(c); });
  place[text.size() - 1] = std::byte{'!'};
}

std::string marked(std::string_view text) {
  std::string out(text);
  out.back() = '!';
  return out;
}

TEST_F(CoreDump, CommitsNothingAndHoldsNothingOfTheWindow) {
  // The control first: without a core of a plain mapping this machine can prove nothing.
  const Ending plain = dump_core([&] { mark(map_plainly(), kPlainMarker); });
  if (!plain.dumped_core || committed_bytes(plain_) < kPlainBytes) {
    GTEST_SKIP() << "no core can be had here (limit, core_pattern or its handler)";
  }
  if (!piped_) {
    EXPECT_TRUE(core_contains(marked(kPlainMarker)));
  }

  const Committed before = committed();
  const Ending ending = dump_core([&] {
    RegionMapping mapping = map_as_client();
    open_windows(mapping, 1);
    mark(mapping.data(), kWindowMarker);
    static RegionMapping kept = std::move(mapping);  // still mapped when it aborts
  });
  EXPECT_TRUE(ending.dumped_core);
  EXPECT_EQ(committed() - before, (Committed{0, 0, page_size_bytes()})) << "the page it wrote";
  if (!piped_) {
    EXPECT_FALSE(core_contains(marked(kWindowMarker)));
  }
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
