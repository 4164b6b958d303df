// Tens of thousands of frees into spans of the dead: each may tell the daemon, and none of that may
// keep this process, or the daemon, from its work.

#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/heap_oracle.hpp"
#include "tests/support/served_region.hpp"

namespace allot {
namespace {

using test::Agent;
using test::ExitNotice;

constexpr std::size_t kHandlesPerMessage = 500;
constexpr std::size_t kMessages = 80;
using Handles = std::array<Handle, kHandlesPerMessage>;

ALLOT_TEST_ROLE(gives_many) {
  Session session = test::connect_as_told(test);
  for (std::size_t i = 0; i < kMessages; ++i) {
    Handles handles;
    for (Handle& handle : handles) handle = session.offer(session.allocate(64)).value();
    test.send(handles);
  }
  (void)test.receive_text();
}

class Flood : public test::ServedRegion {};

TEST_F(Flood, OfFreesIntoOrphansKeepsNobodyFromTheDaemon) {
  Agent agent("gives_many");
  const SessionId id = test::introduce(agent.link(), daemon());
  const ExitNotice exit(session(), id);
  std::vector<void*> blocks;
  for (std::size_t i = 0; i < kMessages; ++i) {
    for (const Handle handle : agent->receive<Handles>()) {
      blocks.push_back(session().adopt(handle).value());
    }
  }
  agent.process().kill();
  ASSERT_TRUE(exit.wait());
  EXPECT_GT(check().orphans, 0U);
  expect_live(blocks.size());

  test::HeapOracle oracle(session());
  std::size_t freed = 0;
  for (void* const block : blocks) {
    ASSERT_EQ(session().free(block), Errc::kOk);
    // Now and then something that needs the daemon.
    if (++freed % 1000 == 0) {
      ASSERT_NE(oracle.allocate(freed * 100), nullptr) << freed;
    }
  }
  (void)session().publish("still/there", session().allocate(64)).value();
  (void)session().unpublish("still/there", session().find("still/there").value().handle).value();
  oracle.free_all();
  // The orphans go by themselves: at the last free's message, or at the next sweep.
  const auto begun = std::chrono::steady_clock::now();
  while (check().orphans > 0 && std::chrono::steady_clock::now() - begun < test::kPatience) {
  }
  const auto found = check();
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.orphans, 0U);
}

}  // namespace
}  // namespace allot
