#include "tests/support/many_sessions.hpp"

#include <csignal>
#include <deque>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "tests/support/bystander.hpp"
#include "tests/support/heap_oracle.hpp"

namespace allot::test {

namespace {

using Ids = std::array<SessionId, ManySessions::kOfOneProcess>;

constexpr std::size_t kLargeBytes = 1U << 20;  // more than a session has in reserve

struct Holder {
  explicit Holder(Session own) : session(std::move(own)), oracle(session) {}
  Session session;
  HeapOracle oracle;
};

void go_on(Holder& one, Holder& neighbour) {
  one.oracle.check();
  require(!testing::Test::HasFailure(), "a block has lost its contents");
  void* const large = one.session.allocate(kLargeBytes);
  require(large != nullptr, "no memory: " + Session::last_error().message());
  require(one.session.free(large) == Errc::kOk, "not ours");
  (void)one.session.trim();
  void* const gift = one.session.allocate(700);
  require(gift != nullptr, "no memory: " + Session::last_error().message());
  fill_block(gift, 700, 1);
  void* const taken = neighbour.session.adopt(one.session.offer(gift).value()).value();
  require(holds_pattern(taken, 700, 1), "other contents");
  require(neighbour.session.free(taken) == Errc::kOk, "not ours");
}

}  // namespace

ALLOT_TEST_ROLE(has_many_sessions) {
  const std::string socket = test.receive_text();
  std::deque<Holder> holders;
  Ids ids;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    Holder& one = holders.emplace_back(connect_again(socket, i));
    ids.at(i) = one.session.id();
    for (std::size_t block = 0; block < ManySessions::kBlocksOfOne; ++block) {
      require(one.oracle.allocate(block % 5 == 0 ? 5000 : 64) != nullptr, "no memory");
    }
  }
  test.send(ids);
  for (;;) {
    (void)test.receive<char>();
    for (std::size_t i = 0; i < ids.size(); ++i) go_on(holders[i], holders[(i + 1) % ids.size()]);
    test.send('!');
  }
}

ManySessions::ManySessions(const std::filesystem::path& socket, std::size_t processes) {
  for (std::size_t i = 0; i < processes; ++i) {
    agents_.emplace_back("has_many_sessions")->send_text(socket.native());
  }
  for (Agent& agent : agents_) {
    const auto ids = agent->receive<Ids>();
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }
}

void ManySessions::go_on() {
  for (Agent& agent : agents_) agent->send('?');
  for (Agent& agent : agents_) (void)agent->receive<char>();
}

void ManySessions::kill() {
  for (Agent& agent : agents_) agent.process().signal(SIGKILL);
  agents_.clear();  // reaps them
}

}  // namespace allot::test
