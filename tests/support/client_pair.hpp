// ClientPair: two PairedClients, and a process that starts them, stops and kills them as the test says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

#include <allot/session.hpp>

#include "tests/support/agent.hpp"

namespace allot::test {

class ClientPair {
 public:
  enum class State : std::uint8_t { kStopped, kEnded, kKilled, kFailed };

  /// Of the daemon at `socket`; none is started.
  explicit ClientPair(const std::filesystem::path& socket);

  /// Starts client `side`, 0 or 1, and returns when it is prepared and has stopped; it is to stop again
  /// after store number `stop_at` of its life. If the other has ended, too, nothing of theirs is known.
  SessionId start(std::size_t side, std::uint64_t stop_at);
  /// Continues it.
  void go_on(std::size_t side);
  /// Waits until it stops or ends.
  [[nodiscard]] State wait(std::size_t side);
  [[nodiscard]] State run(std::size_t side) {
    go_on(side);
    return wait(side);
  }
  /// Kills it and waits for its end.
  [[nodiscard]] State kill(std::size_t side);
  /// The stores of its life, which has ended.
  [[nodiscard]] std::uint64_t stores(std::size_t side);
  /// Both have ended; so does what started them. False if it failed.
  [[nodiscard]] bool finish();

 private:
  Agent agent_;
};

}  // namespace allot::test
