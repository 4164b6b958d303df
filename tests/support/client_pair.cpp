#include "tests/support/client_pair.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <new>
#include <string>

#include "tests/support/paired_client.hpp"

namespace allot::test {

namespace {

struct Order {
  enum class Kind : std::uint8_t { kStart, kGoOn, kWait, kKill, kTellStores, kEnd };
  Kind kind = Kind::kEnd;
  std::size_t side = 0;
  std::uint64_t stop_at = 0;
};

Mailbox& make_mailbox() {
  void* const memory =
      ::mmap(nullptr, sizeof(Mailbox), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "no memory for a mailbox");
  return *new (memory) Mailbox();
}

// In the process that starts the two.
class Parent {
 public:
  explicit Parent(Link& test) : test_(test), socket_(test.receive_text()) {}

  // False at the last order.
  bool follow(const Order& order) {
    const std::size_t side = order.side;
    switch (order.kind) {
      case Order::Kind::kStart: start(order); break;
      case Order::Kind::kGoOn: ::kill(pids_.at(side), SIGCONT); break;
      case Order::Kind::kWait: test_.send(wait(side)); break;
      case Order::Kind::kKill:
        mailbox_.sides.at(side).leaves = true;
        ::kill(pids_.at(side), SIGKILL);
        test_.send(wait(side));
        break;
      case Order::Kind::kTellStores: test_.send(mailbox_.sides.at(side).stores); break;
      case Order::Kind::kEnd: return false;
    }
    return true;
  }

 private:
  void start(const Order& order) {
    if (pids_[0] == 0 && pids_[1] == 0) new (&mailbox_) Mailbox();
    const pid_t child = ::fork();
    if (child == 0) play_paired_client(socket_, mailbox_, order.side, order.stop_at);
    pids_.at(order.side) = child;
    require(wait(order.side) == ClientPair::State::kStopped, "a client is not prepared");
    test_.send(mailbox_.sides.at(order.side).id);
  }
  ClientPair::State wait(std::size_t side) {
    int status = 0;
    ::waitpid(pids_.at(side), &status, WUNTRACED);
    if (WIFSTOPPED(status)) return ClientPair::State::kStopped;
    pids_.at(side) = 0;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) return ClientPair::State::kKilled;
    const bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return is_good ? ClientPair::State::kEnded : ClientPair::State::kFailed;
  }

  Link& test_;
  std::string socket_;
  Mailbox& mailbox_ = make_mailbox();
  std::array<pid_t, 2> pids_{};  // 0: there is none
};

ALLOT_TEST_ROLE(parent_of_a_pair) {
  Parent parent(test);
  while (parent.follow(test.receive<Order>())) {
  }
}

}  // namespace

ClientPair::ClientPair(const std::filesystem::path& socket) : agent_("parent_of_a_pair") {
  agent_->send_text(socket.native());
}

SessionId ClientPair::start(std::size_t side, std::uint64_t stop_at) {
  agent_->send(Order{Order::Kind::kStart, side, stop_at});
  return agent_->receive<SessionId>();
}

void ClientPair::go_on(std::size_t side) { agent_->send(Order{Order::Kind::kGoOn, side}); }

ClientPair::State ClientPair::wait(std::size_t side) {
  agent_->send(Order{Order::Kind::kWait, side});
  return agent_->receive<State>();
}

ClientPair::State ClientPair::kill(std::size_t side) {
  agent_->send(Order{Order::Kind::kKill, side});
  return agent_->receive<State>();
}

std::uint64_t ClientPair::stores(std::size_t side) {
  agent_->send(Order{Order::Kind::kTellStores, side});
  return agent_->receive<std::uint64_t>();
}

bool ClientPair::finish() {
  agent_->send(Order{});
  return agent_.finish();
}

}  // namespace allot::test
