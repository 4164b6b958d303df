// Bystander: a process that goes on working with two sessions of its own while a test does something
// to the daemon.
//
// It allocates from the one, hands each block to the other, which frees it, gives all back so that the
// next round needs grants again, and publishes, finds and hides a name. Any call that fails ends it,
// with the reason on stderr; work() and finish() then throw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include <allot/session.hpp>

#include "tests/support/agent.hpp"

namespace allot::test {

/// Session number `which` of this process with the daemon behind `socket`, as if of another process:
/// the path is spelt otherwise. 16 at most.
[[nodiscard]] Session connect_again(const std::filesystem::path& socket, std::size_t which);

class Bystander {
 public:
  /// Whether calls may come too late (kDeadline). They are counted, and what they asked for is not
  /// waited for.
  enum class Late : std::uint8_t { kNever, kCounted };
  static constexpr std::uint64_t kSessions = 2;

  /// What the test says to it.
  enum class Order : std::uint8_t { kWork, kEnd };

  struct Work {
    std::uint64_t rounds = 0;
    std::uint64_t late_calls = 0;
    std::uint64_t longest_round_us = 0;
  };

  explicit Bystander(const std::filesystem::path& socket, Late late = Late::kNever);

  /// What it has done, after one more round that began when this was called.
  Work work() { return ask(Order::kWork); }
  /// The same; then it is at its end, and has nothing any more.
  Work finish();

 private:
  Work ask(Order order);

  Agent agent_{"works_on"};
};

}  // namespace allot::test
