// Clients with little address space, little memory to lock, or other limits of their own.

#include <sys/mman.h>
#include <sys/resource.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "shared/platform/page_size.hpp"
#include "tests/support/heap_oracle.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::require;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

struct Outcome {
  bool connected = false;
  Errc refused = Errc::kOk;  // why the connection, or the last allocation, was refused
  std::uint64_t allocated_bytes = 0;
};

// From now on this process may reserve that much more address space than it has.
void limit_address_space(std::uint64_t more_bytes) {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  const std::uint64_t most = pages * platform::page_size_bytes() + more_bytes;
  const rlimit limit{most, most};
  require(pages != 0 && ::setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
}

// Connects and allocates until it is refused, then works with what it has.
ALLOT_TEST_ROLE(fills_its_address_space) {
  Outcome outcome;
  const std::string socket = test.receive_text();
  const auto most = test.receive<std::uint64_t>();
  limit_address_space(test.receive<std::uint64_t>());
  auto session = Session::connect(test::options_for(socket));
  if (!session) {
    outcome.refused = session.error().errc();
    test.send(outcome);
    return;
  }
  outcome.connected = true;
  std::vector<void*> blocks;
  while (outcome.allocated_bytes < most) {
    void* const block = session->allocate(kMiB);
    if (block == nullptr) {
      outcome.refused = Session::last_error().errc();
      break;
    }
    test::fill_block(block, kMiB, outcome.allocated_bytes);
    blocks.push_back(block);
    outcome.allocated_bytes += kMiB;
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    require(test::holds_pattern(blocks[i], kMiB, i * kMiB), "other contents");
    require(session->free(blocks[i]) == Errc::kOk, "free");
  }
  if (!blocks.empty()) require(session->free(session->allocate(kMiB)) == Errc::kOk, "again");
  test.send(outcome);
}

class AddressSpace : public test::ServedRegion {
 protected:
  Outcome fill(std::uint64_t limit_bytes, std::uint64_t most_bytes) {
    Agent agent("fills_its_address_space");
    agent->send_text(daemon().client_socket().native());
    agent->send(most_bytes);
    agent->send(limit_bytes);
    const auto outcome = agent->receive<Outcome>();
    EXPECT_TRUE(agent.finish());
    return outcome;
  }
};

TEST_F(AddressSpace, OneThatIsTooSmallIsAnErrorOrASmallerWindow) {
  for (const std::uint64_t limit_mib :
       {80U, 120U, 200U, 300U, 500U, 1000U, 2000U, 6000U, 20'000U}) {
    const Outcome outcome = fill(limit_mib * kMiB, 256 * kMiB);
    if (!outcome.connected) {
      EXPECT_EQ(outcome.refused, Errc::kAddressSpace) << limit_mib << " MiB";
    } else if (outcome.allocated_bytes < 256 * kMiB) {
      EXPECT_EQ(outcome.refused, Errc::kAddressSpace) << limit_mib << " MiB";
    }
    // Half of it may go to the window of own words, much to the program itself.
    if (limit_mib >= 2000) {
      EXPECT_GE(outcome.allocated_bytes, 64 * kMiB) << limit_mib << " MiB";
    }
    RecordProperty("allocated_at_" + std::to_string(limit_mib) + "_MiB",
                   std::to_string(outcome.allocated_bytes / kMiB));
  }
  expect_live(0);
}

// Adopts a block of another that lies beyond what this process has room for.
ALLOT_TEST_ROLE(adopts_beyond_its_window) {
  limit_address_space(test.receive<std::uint64_t>());
  Session session = test::connect_as_told(test);
  const auto handle = test.receive<Handle>();
  auto adopted = session.adopt(handle);
  test.send(adopted ? Errc::kOk : adopted.error().errc());
  auto resolved = session.resolve(handle);
  test.send(resolved ? Errc::kOk : resolved.error().errc());
}

TEST_F(AddressSpace, ABlockBeyondTheWindowCannotBeAdopted) {
  Agent agent("adopts_beyond_its_window");
  agent->send(1500 * kMiB);
  (void)test::introduce(agent.link(), daemon());
  void* const first = session().allocate(1024 * kMiB);
  ASSERT_NE(first, nullptr) << Session::last_error().message();
  void* const block = session().allocate(kMiB);
  const Handle handle = session().offer(block).value();
  agent->send(handle);
  EXPECT_EQ(agent->receive<Errc>(), Errc::kAddressSpace);
  EXPECT_EQ(agent->receive<Errc>(), Errc::kAddressSpace);
  EXPECT_TRUE(agent.finish());
  EXPECT_EQ(session().retract(handle).value(), block) << "nothing was adopted";
  EXPECT_EQ(session().free(block), Errc::kOk);
  EXPECT_EQ(session().free(first), Errc::kOk);
}

// Locks all its memory, now and to come: it commits its window at most, or is refused.
ALLOT_TEST_ROLE(locks_its_memory) {
  if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
    test.send(false);
    return;
  }
  test.send(true);
  auto session = Session::connect(test::options_for(test.receive_text()));
  test.send(session ? Errc::kOk : session.error().errc());
  if (session) require(session->free(session->allocate(kMiB)) == Errc::kOk, "no block");
  (void)test.receive_text();
}

TEST_F(AddressSpace, OneThatLocksItsMemoryCommitsItsWindowAtMost) {
  EXPECT_EQ(session().free(session().allocate(100)), Errc::kOk);
  Agent agent("locks_its_memory");
  if (!agent->receive<bool>()) GTEST_SKIP() << "mlockall() is not allowed here";
  agent->send_text(daemon().client_socket().native());
  const auto connected = agent->receive<Errc>();
  EXPECT_TRUE(connected == Errc::kOk || connected == Errc::kAddressSpace) << describe(connected);
  const auto stats = test::ask_control_socket(daemon().control_socket(), R"({"request":"stats"})");
  const auto at = stats.find("\"total_bytes\":");
  ASSERT_NE(at, std::string::npos) << stats;
  const std::uint64_t committed = std::stoull(stats.substr(at + 14));
  EXPECT_LT(committed, 128 * kMiB) << "the region reserves 64 GiB";
  agent->send_text("end");
  EXPECT_TRUE(agent.finish());
}

}  // namespace
}  // namespace allot
