// RegionUnderTest: a region that may be embedded or served by a real allotd, for tests that hold
// for both.
//
// connect() makes a new session each time; several in one process behave as if in several, each
// with its own mapping. (For one daemon a process has one session per region and socket path, so
// each path is spelt anew: run/client.sock, run/./client.sock, ...)
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <allot/session.hpp>

namespace allot::test {

enum class Backend : std::uint8_t { kEmbedded, kDaemon };
std::ostream& operator<<(std::ostream& out, Backend backend);

struct RegionLimits {
  std::uint64_t size_bytes = std::uint64_t{4} << 30;
  std::uint64_t commit_limit_bytes = std::uint64_t{1} << 30;
  // Of the daemon only; embedded regions use commit_limit_bytes.
  std::optional<std::uint64_t> session_quota_bytes = {};
  std::optional<std::uint64_t> uid_quota_bytes = {};
  std::optional<std::uint32_t> max_heaps = {};
};

/// What an audit found. All threads must be at rest.
struct RegionSums {
  std::uint64_t violations = 0;
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t live_blocks = 0;
  std::string text;  // more about it, where there is more
};

class RegionUnderTest {
 public:
  /// `allotd`: the program to run for Backend::kDaemon.
  [[nodiscard]] static std::unique_ptr<RegionUnderTest> make(Backend backend,
                                                             const std::string& allotd,
                                                             const RegionLimits& limits = {});
  RegionUnderTest() = default;
  RegionUnderTest(const RegionUnderTest&) = delete;
  RegionUnderTest& operator=(const RegionUnderTest&) = delete;
  virtual ~RegionUnderTest() = default;

  [[nodiscard]] virtual Expected<Session> try_connect(const DebugOptions& debug = {}) = 0;
  /// The same where it must work.
  [[nodiscard]] Session connect(const DebugOptions& debug = {}) {
    return try_connect(debug).value();
  }
  /// Closes `session` and waits until all it held is recovered.
  virtual void end(Session& session) = 0;
  [[nodiscard]] virtual RegionSums audit() = 0;
};

}  // namespace allot::test
