// Regions are apart: what a member of one does, even on purpose, is no matter to the other's members
// and none to the daemon.

#include <sys/mman.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/refusal.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::Random;
using test::refused;
using test::require;

constexpr const char* kTwoRegions = R"([[region]]
name = "first"
size_bytes = "1 GiB"
[[region]]
name = "second"
size_bytes = "2 GiB"
)";

class Regions : public testing::Test {
 protected:
  Session connect(const std::string& region) {
    return Session::connect(test::options_for(daemon_.client_socket(), region)).value();
  }
  test::RegionCheck check(const std::string& region) {
    return test::check_region(daemon_.control_socket(), region);
  }
  test::ProgramResult allotctl_check(const std::string& region) {
    return test::run_program({ALLOT_ALLOTCTL_PATH, "--runtime-dir", daemon_.runtime_dir().native(),
                              "--region", region, "check"});
  }
  test::DaemonProcess& daemon() { return daemon_; }

 private:
  static test::DaemonProcess::Options options() {
    test::DaemonProcess::Options out;
    out.config = kTwoRegions;
    return out;
  }
  test::DaemonProcess daemon_{ALLOT_ALLOTD_PATH, options()};
};

TEST_F(Regions, AProcessMayBeInBothAndKeepsThemApart) {
  Session first = connect("first");
  Session second = connect("second");
  EXPECT_FALSE(first == second);
  void* const block = first.allocate(100);
  const Handle handle = first.offer(block).value();
  EXPECT_TRUE(refused(second.adopt(handle), Errc::kForeignRegion));
  EXPECT_TRUE(refused(second.resolve(handle), Errc::kForeignRegion));
  EXPECT_EQ(second.free(block), Errc::kNotInRegion);
  EXPECT_EQ(second.usable_size(block), 0U);
  const Handle published = first.publish("name", first.allocate(100)).value();
  EXPECT_TRUE(refused(second.find("name"), Errc::kNameUnknown));
  EXPECT_TRUE(refused(second.unpublish("name", published), Errc::kNameUnknown));
  EXPECT_EQ(check("first").live_blocks, 2U);
  EXPECT_EQ(check("second").live_blocks, 0U);

  test::HeapOracle one(first);
  test::HeapOracle two(second);
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    test::run_random_operations(one, random, 100, 100);
    test::run_random_operations(two, random, 100, 100);
  }
  EXPECT_EQ(check("second").live_blocks, two.size());
  one.free_all();
  two.free_all();
  EXPECT_EQ(first.free(block), Errc::kOk);
}

struct Mapped {
  std::byte* begin = nullptr;
  std::size_t size_bytes = 0;
};

// This process's mappings whose line in /proc/self/maps says `access` and ends like `file`.
std::vector<Mapped> mappings(const std::string& access, const std::string& file) {
  std::vector<Mapped> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(" " + access + " ") == std::string::npos) continue;
    if (line.find(file) == std::string::npos) continue;
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    require(std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) == 2, line);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): what the kernel tells of our own address space.
    found.push_back({reinterpret_cast<std::byte*>(begin), end - begin});
  }
  return found;
}

// Writes random bytes over the whole ledger, again and again, as often as it is told to.
ALLOT_TEST_ROLE(scribbles) {
  Session session = test::connect_as_told(test);
  Random random(test.receive<std::uint64_t>());
  require(session.allocate(100) != nullptr, "no block");
  const auto ledger = mappings("rw-s", ":ledger");
  require(!ledger.empty(), "no ledger");
  while (test.receive_text() != "end") {
    for (const Mapped& piece : ledger) {
      for (std::size_t i = 0; i < piece.size_bytes; i += 8) {
        // Many small numbers: they look more like what belongs there.
        const std::uint64_t word = random.percent(50) ? random.next() : random.below(1U << 28);
        std::memcpy(piece.begin + i, &word, sizeof(word));
      }
    }
    test.send_text("done");
  }
}

// Uses the other region, and sees that all is as it should be.
ALLOT_TEST_ROLE(works) {
  Session session = test::connect_as_told(test);
  test::HeapOracle oracle(session);
  Random random(7);
  while (test.receive_text() != "end") {
    for (int i = 0; i < 500; ++i) {
      if (oracle.size() > 100) oracle.free(random.below(oracle.size()));
      require(oracle.allocate(test::any_size(random)) != nullptr, "no block");
    }
    for (std::size_t i = 0; i < oracle.size(); ++i) {
      require(test::holds_pattern(oracle[i].address, oracle[i].size_bytes, oracle[i].seed),
              "other contents");
    }
    test.send_text("done");
  }
  oracle.free_all();
}

// A client of the damaged region: whatever it gets, the daemon must not mind.
ALLOT_TEST_ROLE(suffers) {
  const std::string socket = test.receive_text();
  auto session = Session::connect(test::options_for(socket, "first"));
  if (!session) return;
  for (const std::size_t size : {16U, 100U, 5000U, 100'000U}) {
    void* const block = session->allocate(size);
    if (block == nullptr) continue;
    if (auto handle = session->offer(block)) (void)session->adopt(*handle);
    if (auto handle = session->publish("x" + std::to_string(size), block)) {
      (void)session->find("x" + std::to_string(size));
      (void)session->unpublish("x" + std::to_string(size), *handle);
    }
    (void)session->free(block);
  }
  (void)session->offers();
  (void)session->trim();
}

TEST_F(Regions, ScribblingOverALedgerHurtsThatRegionOnly) {
  const auto range = test::seeds(5);
  Session watcher = connect("second");
  Agent worker("works");
  (void)test::introduce(worker.link(), daemon(), "second");
  for (std::uint64_t seed = range.first; seed < range.first + range.count; ++seed) {
    const test::SeedScope scope(__FILE__, __LINE__, seed);
    Agent scribbler("scribbles");
    (void)test::introduce(scribbler.link(), daemon(), "first");
    scribbler->send(seed);
    for (int round = 0; round < 5; ++round) {
      scribbler->send_text("go on");
      EXPECT_EQ(scribbler->receive_text(), "done");
      const auto damaged = check("first");
      EXPECT_FALSE(damaged.is_clean);
      EXPECT_GT(damaged.violations, 0U) << damaged.text;
      // Clients may end in any way there, but they come and go.
      Agent victim("suffers");
      victim->send_text(daemon().client_socket().native());
      (void)victim.finish();
      worker->send_text("go on");
      EXPECT_EQ(worker->receive_text(), "done");
      EXPECT_TRUE(check("second").is_clean);
    }
    const auto said = allotctl_check("first");
    EXPECT_EQ(said.exit_status, 1) << said.out << said.err;
    EXPECT_EQ(allotctl_check("second").exit_status, 0);
    scribbler.process().kill();
  }
  worker->send_text("end");
  EXPECT_TRUE(worker.finish());
  const auto untouched = check("second");
  EXPECT_TRUE(untouched.is_clean) << untouched.text;
  void* const block = watcher.allocate(100);
  EXPECT_EQ(watcher.free(block), Errc::kOk);
}

// Writes into its mapping of the directory.
ALLOT_TEST_ROLE(writes_directory) {
  Session session = test::connect_as_told(test);
  require(mappings("rw-s", ":directory").empty(), "the directory can be written");
  const auto directory = mappings("r--s", ":directory");
  require(!directory.empty(), "no directory");
  // Nor can the access be changed: the descriptor it was mapped from is read-only.
  require(::mprotect(directory[0].begin, directory[0].size_bytes, PROT_READ | PROT_WRITE) != 0,
          "mprotect() opens it");
  (void)test.receive_text();
  std::memset(directory[0].begin, 1, 8);
}

TEST_F(Regions, NobodyWritesTheDirectory) {
  Agent agent("writes_directory");
  (void)test::introduce(agent.link(), daemon(), "first");
  agent->send_text("write");
  const int status = agent.process().wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  EXPECT_TRUE(check("first").is_clean);
}

}  // namespace
}  // namespace allot
