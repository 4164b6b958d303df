#include "tests/support/bystander.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>
#include <string>

#include "shared/platform/seqpacket.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/heap_oracle.hpp"

namespace allot::test {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::array<std::size_t, 5> kSizes{40, 700, 9'000, 100'000, 3U << 20};

class Worker {
 public:
  Worker(const std::filesystem::path& socket, Bystander::Late late)
      : giver_(connect_again(socket, 0)), taker_(connect_again(socket, 1)), late_(late) {}

  void round() {
    const auto begun = Clock::now();
    for (const std::size_t size : kSizes) hand_over(size);
    // A name that may have been taken too late is nobody's to hide.
    if (late_ == Bystander::Late::kNever) publish();
    (void)giver_.trim();
    (void)taker_.trim();
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun);
    work_.longest_round_us =
        std::max(work_.longest_round_us, static_cast<std::uint64_t>(took.count()));
    ++work_.rounds;
  }
  [[nodiscard]] const Bystander::Work& work() const noexcept { return work_; }

 private:
  [[nodiscard]] void* allocate(std::size_t size) {
    void* const block = giver_.allocate(size);
    if (block != nullptr) return block;
    const Error& why = Session::last_error();
    require(late_ == Bystander::Late::kCounted && why == Errc::kDeadline,
            "allocate " + std::to_string(size) + ": " + why.message());
    ++work_.late_calls;
    return nullptr;
  }

  void hand_over(std::size_t size) {
    void* const block = allocate(size);
    if (block == nullptr) return;
    fill_block(block, size, ++seed_);
    void* const taken = taker_.adopt(giver_.offer(block).value()).value();
    require(holds_pattern(taken, size, seed_), "other contents");
    require(taker_.free(taken) == Errc::kOk, "not ours");
  }

  void publish() {
    void* const block = allocate(kSizes[0]);
    const std::string name = "bystander/" + std::to_string(giver_.id().session);
    const Handle handle = giver_.publish(name, block).value();
    require(taker_.find(name).value().handle == handle, "another block");
    taker_.unpin(handle).value();
    giver_.unpublish(name, handle).value();
  }

  Session giver_;
  Session taker_;
  Bystander::Late late_;
  Bystander::Work work_;
  std::uint64_t seed_ = 0;
};

}  // namespace

Session connect_again(const std::filesystem::path& socket, std::size_t which) {
  auto path = socket.parent_path();
  for (std::size_t i = 0; i < which; ++i) path /= ".";
  return Session::connect(options_for(path / socket.filename())).value();
}

ALLOT_TEST_ROLE(works_on) {
  const std::string socket = test.receive_text();
  Worker worker(socket, test.receive<Bystander::Late>());
  test.send(worker.work());
  auto order = Bystander::Order::kWork;
  while (order != Bystander::Order::kEnd) {
    worker.round();
    if (!platform::wait_readable(test.socket(), Clock::now())) continue;
    order = test.receive<Bystander::Order>();
    worker.round();
    test.send(worker.work());
  }
}

Bystander::Bystander(const std::filesystem::path& socket, Late late) {
  agent_->send_text(socket.native());
  agent_->send(late);
  (void)agent_->receive<Work>();
}

Bystander::Work Bystander::ask(Order order) {
  agent_->send(order);
  return agent_->receive<Work>();
}

Bystander::Work Bystander::finish() {
  const Work work = ask(Order::kEnd);
  if (!agent_.finish()) throw std::runtime_error("the bystander ends with a failure");
  return work;
}

}  // namespace allot::test
