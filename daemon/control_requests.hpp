// ControlRequest: one question asked over the control socket, answered in slices.
//
// Used by the control adapter: it reads a line, calls parse(), then step() from the event loop
// until there is an answer, and writes that. A request and its answer are one line of JSON each
// (docs/control.md). The line comes from a peer and may be anything: what makes no sense gets an
// answer that names what is wrong, never an exception and never an assertion.
//
// Invariants
// 1. Only requests that an administrator may make change anything.
// 2. One step() takes about 1 ms at most, however large the region.
// 3. A request reads the region through its core's view, below the window; it never writes.
//
// A request holds pointers into the service: end it before the service. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/core/service.hpp"

namespace allot::daemon {

/// What the adapters know of the daemon itself.
struct ServerStatus {
  std::uint64_t started_unix_ns = 0;
  std::uint64_t connections = 0;  // open now
  std::uint64_t bad_peers = 0;    // refused, dropped or noted since the start
  std::string runtime_dir;
};

/// What a request may ask of the daemon. No member has a default: who forgets one does not compile.
struct ControlContext {
  core::Service* service;
  std::function<ServerStatus()> status;
  /// Bytes that a file of the region holds now (st_blocks).
  std::function<std::uint64_t(const core::RegionCore&, core::RegionFile)> committed_bytes;
  /// Granules of the daemon's own mapping that may be touched.
  std::function<std::uint64_t(const core::RegionCore&)> window_granules;
  /// Heaps whose ledgers are committed and mapped.
  std::function<std::uint32_t(const core::RegionCore&)> heap_window;
  /// Called when a request has changed a region: the upkeep may have something to do.
  std::function<void()> changed;
};

/// Longest request line, without its newline; a longer one is refused with Errc::kBadMessage, and
/// nothing after it is read.
inline constexpr std::size_t kMaxControlLineBytes = 4096;

class ControlRequest {
 public:
  /// Never nullptr. `line` is without its newline; `administrator`: the peer may change things.
  [[nodiscard]] static std::unique_ptr<ControlRequest> parse(std::string_view line,
                                                             const core::Peer& peer,
                                                             bool administrator,
                                                             ControlContext context);
  virtual ~ControlRequest() = default;
  ControlRequest(const ControlRequest&) = delete;
  ControlRequest& operator=(const ControlRequest&) = delete;

  /// One slice of work. Nothing: call again. Else the answer, ending with '\n'; not called again.
  [[nodiscard]] virtual std::optional<std::string> step() = 0;

 protected:
  ControlRequest() = default;
};

}  // namespace allot::daemon
