// Debug modes: heap profiles from sampled allocations.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <allot/pool.hpp>

#include "tests/support/debugged.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/sanitizer.hpp"
#include "tests/support/temp_dir.hpp"

namespace allot {

// Not static: google-pprof is to find its name.
[[gnu::noinline]] std::vector<void*> allocate_for_the_profile(Session& session, std::size_t size,
                                                              std::size_t count);
std::vector<void*> allocate_for_the_profile(Session& session, std::size_t size, std::size_t count) {
  std::vector<void*> blocks(count);
  for (void*& block : blocks) block = session.allocate(size);
  return blocks;
}

namespace {

using test::refused;
using testing::HasSubstr;

constexpr std::size_t kPeriod = std::size_t{16} << 10;

// What a reader makes of a profile: blocks by their size, of all stacks together, scaled.
std::map<std::size_t, double> blocks_in(const std::string& profile) {
  std::map<std::size_t, double> out;
  std::istringstream lines(profile);
  std::string line;
  std::getline(lines, line);
  EXPECT_THAT(line, testing::MatchesRegex("heap profile: [0-9]+: [0-9]+ \\[[0-9]+: [0-9]+\\] @ "
                                          "heap_v2/16384"));
  while (std::getline(lines, line) && !line.empty()) {
    std::istringstream words(line);
    std::size_t count = 0;
    std::size_t bytes = 0;
    char colon = 0;
    words >> count >> colon >> bytes;
    EXPECT_THAT(line,
                testing::MatchesRegex("[0-9]+: [0-9]+ \\[[0-9]+: [0-9]+\\] @( 0x[0-9a-f]+)+"));
    if (count == 0) break;
    const double size = static_cast<double>(bytes / count);
    const double seen = 1.0 - std::exp(-size / static_cast<double>(kPeriod));
    out[bytes / count] += static_cast<double>(count) / seen;
  }
  EXPECT_THAT(profile, HasSubstr("\nMAPPED_LIBRARIES:\n"));
  EXPECT_THAT(profile, HasSubstr("conformance_tests\n"));
  return out;
}

class DebugProfile : public test::Debugged {
 protected:
  static DebugOptions sampling(std::size_t bytes = kPeriod) {
    DebugOptions options;
    options.sample_bytes = bytes;
    options.sample_seed = 7;
    return options;
  }
  static std::map<std::size_t, double> scaled(const Session& session) {
    return blocks_in(session.heap_profile().value());
  }
};
ALLOT_CONFORMANCE_SUITE(DebugProfile);

TEST_P(DebugProfile, ScaledSamplesSayWhatIsThere) {
  Session& debugged = add_session(sampling());
  std::vector<void*> all;
  // Half of what is allocated is freed again: no more is to be seen of it.
  for (const auto& [size, count] :
       {std::pair<std::size_t, std::size_t>{64, 40'000}, {1024, 8000}, {16'384, 1000}}) {
    const auto kept = allocate_for_the_profile(debugged, size, count);
    const auto freed = allocate_for_the_profile(debugged, size, count);
    EXPECT_EQ(debugged.free_n(freed).count, count);
    all.insert(all.end(), kept.begin(), kept.end());
  }
  const auto found = scaled(debugged);
  ASSERT_EQ(found.size(), 3U);
  // Of 156, 484 and 632 samples; five standard deviations, and the seed is always the same.
  EXPECT_NEAR(found.at(64), 40'000, 40'000 * 0.40);
  EXPECT_NEAR(found.at(1024), 8000, 8000 * 0.23);
  EXPECT_NEAR(found.at(16'384), 1000, 1000 * 0.13);
  EXPECT_EQ(debugged.free_n(all).count, all.size());
  EXPECT_TRUE(scaled(debugged).empty());
}

TEST_P(DebugProfile, SamplesOfAllThreadsCount) {
  Session& debugged = add_session(sampling());
  std::vector<std::vector<void*>> blocks(4);
  std::vector<std::thread> threads;
  for (auto& mine : blocks) {
    threads.emplace_back([&] { mine = allocate_for_the_profile(debugged, 1024, 3000); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_NEAR(scaled(debugged)[1024], 12'000, 12'000 * 0.25);
  for (const auto& mine : blocks) EXPECT_EQ(debugged.free_n(mine).count, mine.size());
}

// A mean of one byte takes every block.
TEST_P(DebugProfile, OnlyWhatTheSessionOwnsCounts) {
  DebugOptions every = sampling(1);
  Session& debugged = add_session(every);
  const auto sampled_of = [&](std::size_t size) {
    const std::string text = debugged.heap_profile().value();
    std::size_t found = 0;
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line) && !line.empty()) {
      std::size_t count = 0;
      std::size_t bytes = 0;
      if (std::sscanf(line.c_str(), "%zu: %zu [", &count, &bytes) == 2 && count != 0 &&
          bytes / count == size) {
        found += count;
      }
    }
    return found;
  };
  BlockPool pool = BlockPool::open(debugged, {"sampled", 48}).value();
  void* const small = debugged.allocate(64);
  void* const large = debugged.allocate(std::size_t{128} << 10);
  void* const pooled = pool.allocate();
  EXPECT_EQ(sampled_of(64), 1U);
  EXPECT_EQ(sampled_of(std::size_t{128} << 10), 1U);
  EXPECT_EQ(sampled_of(48), 1U);
  // An offer is ours until somebody takes it, and ours again if it comes back.
  const Handle handle = debugged.offer(small).value();
  EXPECT_EQ(sampled_of(64), 1U);
  void* const there = session().adopt(handle).value();
  EXPECT_EQ(sampled_of(64), 0U);
  EXPECT_EQ(debugged.adopt(session().offer(there).value()).value(), small);
  EXPECT_EQ(sampled_of(64), 1U);
  // Theirs counts as allocated where it was adopted.
  void* const theirs = session().allocate(80);
  void* const adopted = debugged.adopt(session().offer(theirs).value()).value();
  EXPECT_EQ(sampled_of(80), 1U);
  EXPECT_EQ(debugged.free(adopted), Errc::kOk);
  EXPECT_EQ(sampled_of(80), 0U);
  // What is published is the service's.
  const Handle published = debugged.publish("sampled", pooled).value();
  EXPECT_EQ(sampled_of(48), 0U);
  EXPECT_TRUE(debugged.unpublish("sampled", published));
  EXPECT_EQ(debugged.free(small), Errc::kOk);
  EXPECT_EQ(debugged.free(large), Errc::kOk);
  EXPECT_EQ(debugged.heap_profile().value().substr(0, 24), "heap profile: 0: 0 [0: 0");
}

TEST_P(DebugProfile, ABlockThatCameBackFromOthersIsNotCountedTwice) {
  Session& debugged = add_session(sampling(1));
  void* const block = debugged.allocate(3000);
  void* const there = session().adopt(debugged.offer(block).value()).value();
  EXPECT_EQ(session().free(there), Errc::kOk);
  std::vector<void*> blocks;
  do {
    blocks.push_back(debugged.allocate(3000));
  } while (blocks.back() != block && blocks.size() < 10'000);
  const std::string head = "heap profile: " + std::to_string(blocks.size()) + ": ";
  EXPECT_EQ(debugged.heap_profile().value().substr(0, head.size()), head);
  EXPECT_EQ(debugged.free_n(blocks).count, blocks.size());
}

TEST_P(DebugProfile, IsRefusedWhereNothingIsSampled) {
  EXPECT_TRUE(refused(add_session().heap_profile(), Errc::kBadArgument));
  EXPECT_TRUE(refused(add_session(reporting()).heap_profile(), Errc::kBadArgument));
  Session& debugged = add_session(sampling());
  const auto unwritten = debugged.write_heap_profile("/nowhere/at/all");
  ASSERT_FALSE(unwritten);
  EXPECT_THAT(unwritten.error().message(), HasSubstr("/nowhere/at/all"));
  end_session(debugged);
  EXPECT_TRUE(refused(debugged.heap_profile(), Errc::kClosed));
}

TEST_P(DebugProfile, GooglePprofReadsIt) {
  if (GetParam() != test::Backend::kEmbedded) GTEST_SKIP() << "the text is the same";
  if (test::kAddressSanitizer || test::kThreadSanitizer) GTEST_SKIP() << "too large to look into";
  if (std::system("command -v google-pprof >/dev/null") != 0) GTEST_SKIP() << "no google-pprof";
  Session& debugged = add_session(sampling());
  const auto blocks = allocate_for_the_profile(debugged, 1024, 8000);
  const test::TempDir directory;
  const auto path = directory.path() / "heap";
  ASSERT_TRUE(debugged.write_heap_profile(path));
  EXPECT_EQ(debugged.free_n(blocks).count, blocks.size());
  const std::string command = "google-pprof --text --cum --show_bytes " +
                              std::filesystem::read_symlink("/proc/self/exe").native() + " " +
                              path.native() + " 2>&1";
  std::FILE* const out = ::popen(command.c_str(), "r");
  ASSERT_NE(out, nullptr);
  std::string text;
  for (int letter = std::fgetc(out); letter != EOF; letter = std::fgetc(out)) {
    text += static_cast<char>(letter);
  }
  EXPECT_EQ(::pclose(out), 0) << text;
  EXPECT_THAT(text, HasSubstr("allocate_for_the_profile"));
  // "Total: 8123456 B", about 8000 blocks of 1 KiB.
  double total = 0;
  const auto at = text.find("Total: ");
  ASSERT_NE(at, std::string::npos) << text;
  total = std::strtod(text.c_str() + at + 7, nullptr);
  EXPECT_NEAR(total, 8000.0 * 1024, 8000.0 * 1024 * 0.23) << text;
}

}  // namespace
}  // namespace allot
