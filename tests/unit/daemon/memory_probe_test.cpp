#include "daemon/memory_probe.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "daemon/log.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/sanitizer.hpp"

namespace allot::daemon {
namespace {

using test::TemporaryDir;
using test::write_file;

constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

// A machine's files, made up: /proc in `proc()`, a cgroup hierarchy in `groups()`.
class MemoryProbeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(proc() / "self");
    std::filesystem::create_directories(groups() / "system/allotd");
    machine_kib(1'000'000);
    file(proc() / "self/cgroup", "");
    file(proc() / "self/mountinfo", "");
  }

  [[nodiscard]] std::filesystem::path proc() const { return scratch_.path() / "proc"; }
  [[nodiscard]] std::filesystem::path groups() const { return scratch_.path() / "cgroup"; }
  static void file(const std::filesystem::path& path, const std::string& text) {
    write_file(path, text);
  }
  void machine_kib(std::uint64_t kib) {
    file(proc() / "meminfo",
         "MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable: " + std::to_string(kib) + " kB\n");
  }
  void mount(const std::string& root, const std::string& type, const std::string& options) {
    file(proc() / "self/mountinfo",
         "30 23 0:26 / /proc rw,nosuid - proc proc rw\n"
         "36 23 0:28 " +
             root + " " + groups().native() + " rw,relatime shared:9 - " + type + " x " + options +
             "\n");
  }
  [[nodiscard]] std::uint64_t available() const { return MemoryProbe(proc()).available_bytes(); }

 private:
  TemporaryDir scratch_;
};

TEST_F(MemoryProbeTest, WithoutCgroupsItIsTheMachines) { EXPECT_EQ(available(), 1'024'000'000U); }

TEST_F(MemoryProbeTest, TakesTheLeastOfAllAncestors) {
  file(proc() / "self/cgroup", "0::/system/allotd\n");
  mount("/", "cgroup2", "rw");
  file(groups() / "system/memory.max", "1000000\n");
  file(groups() / "system/memory.current", "900000\n");
  file(groups() / "system/memory.stat", "anon 5\ninactive_file 50000\nactive_file 7\n");
  file(groups() / "system/allotd/memory.max", "max\n");
  file(groups() / "system/allotd/memory.current", "123\n");
  EXPECT_EQ(available(), 150'000U);
  // A group that is over its limit has no room, not a huge one.
  file(groups() / "system/memory.current", "2000000\n");
  EXPECT_EQ(available(), 0U);
  file(groups() / "system/memory.max", "max\n");
  EXPECT_EQ(available(), 1'024'000'000U);
}

TEST_F(MemoryProbeTest, KnowsVersionOne) {
  file(proc() / "self/cgroup", "5:cpu:/x\n4:cpuacct,memory:/system/allotd\n0::/\n");
  mount("/", "cgroup", "rw,cpuacct,memory");
  file(groups() / "memory.limit_in_bytes", "9223372036854771712\n");
  file(groups() / "memory.usage_in_bytes", "9223372036854771711\n");
  file(groups() / "system/allotd/memory.limit_in_bytes", "5000\n");
  file(groups() / "system/allotd/memory.usage_in_bytes", "4000\n");
  file(groups() / "system/allotd/memory.stat", "inactive_file 999\ntotal_inactive_file 250\n");
  EXPECT_EQ(available(), 1'250U);
}

TEST_F(MemoryProbeTest, FindsItsGroupBelowTheRootOfAContainersMount) {
  file(proc() / "self/cgroup", "0::/docker/abc/system\n");
  mount("/docker/abc", "cgroup2", "rw");
  file(groups() / "system/memory.max", "700\n");
  file(groups() / "system/memory.current", "100\n");
  EXPECT_EQ(available(), 600U);
}

TEST_F(MemoryProbeTest, AnswersFromItsCacheLessWhatWasCommitted) {
  MemoryProbe probe(proc());
  EXPECT_EQ(probe.available_bytes(), 1'024'000'000U);
  machine_kib(1);
  probe.note_committed(24'000'000);
  EXPECT_EQ(probe.available_bytes(), 1'000'000'000U);
  probe.note_committed(2'000'000'000);
  EXPECT_EQ(probe.available_bytes(), 0U);
  EXPECT_EQ(MemoryProbe(proc()).available_bytes(), 1024U);
}

TEST_F(MemoryProbeTest, NeedsNoDescriptorThatItHasNot) {
  file(proc() / "self/cgroup", "0::/system/allotd\n");
  mount("/", "cgroup2", "rw");
  file(groups() / "system/memory.max", "1000000\n");
  file(groups() / "system/memory.current", "900000\n");
  MemoryProbe probe(proc());
  if (test::kAddressSanitizer) GTEST_SKIP() << "the sanitizer needs descriptors itself";
  rlimit files{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit none{0, files.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::uint64_t found = probe.available_bytes();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_EQ(found, 100'000U);
}

TEST_F(MemoryProbeTest, UnreadableMachineIsUnlimited) {
  start_log(LogLevel::kError);
  std::filesystem::remove(proc() / "meminfo");
  MemoryProbe probe(proc());
  EXPECT_EQ(probe.available_bytes(), kUnlimited);
  probe.note_committed(1);
  EXPECT_EQ(probe.available_bytes(), kUnlimited);
}

TEST(MemoryProbe, ReadsThisMachine) {
  MemoryProbe probe;
  EXPECT_GT(probe.available_bytes(), 0U);
  EXPECT_LT(probe.available_bytes(), std::uint64_t{1} << 50);
}

}  // namespace
}  // namespace allot::daemon
