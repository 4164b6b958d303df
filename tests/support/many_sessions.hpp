// ManySessions: some processes with sixteen sessions each, all with live memory.
//
// Used by the tests of a crowded daemon. A process that fails says why on stderr, and what waits for
// it throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

#include <allot/session.hpp>

#include "tests/support/agent.hpp"

namespace allot::test {

class ManySessions {
 public:
  static constexpr std::size_t kOfOneProcess = 16;
  static constexpr std::size_t kBlocksOfOne = 25;  // live, of each session

  /// Starts so many processes; returns when all sessions have their blocks.
  ManySessions(const std::filesystem::path& socket, std::size_t processes);

  [[nodiscard]] std::size_t size() const noexcept { return ids_.size(); }
  [[nodiscard]] const std::vector<SessionId>& ids() const noexcept { return ids_; }

  /// Each session looks at its blocks, is granted more and gives it back, and hands a block to its
  /// neighbour. Returns when all have.
  void go_on();
  /// SIGKILL to all, before any of them is waited for.
  void kill();

 private:
  std::vector<Agent> agents_;
  std::vector<SessionId> ids_;
};

}  // namespace allot::test
