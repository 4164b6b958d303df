// A client that dumps core commits nothing of the region and puts nothing of it into the core.
//
// With a control: the same done to a plain mapping of a whole file.
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/forked_child.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/support/window_commit.hpp"

namespace allot::region {
namespace {

using platform::committed_bytes;
using platform::page_size_bytes;
using test::Ending;
using test::kSkipped;
using test::run_in_child;

constexpr std::string_view kWindowMarker = "allot-window-commit-test: in the window ";
constexpr std::string_view kPlainMarker = "allot-window-commit-test: in the plain map ";

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

}  // namespace
}  // namespace allot::region
