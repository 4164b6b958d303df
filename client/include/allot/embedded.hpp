// EmbeddedRegion: a region without a daemon.
//
// Runs the daemon's core inside this process: the same allocators, handles and audit over a region
// that dies with the process. For tests and for users who want no daemon. Link allot::embedded
// instead of allot::allot.
#pragma once

#include <cstdint>
#include <memory>

#include <allot/session.hpp>

namespace allot {

namespace detail {
struct EmbeddedService;
}  // namespace detail

struct EmbeddedOptions {
  std::uint64_t size_bytes = std::uint64_t{64} << 30;          // reserved address space
  std::uint64_t commit_limit_bytes = std::uint64_t{16} << 30;  // granted at most
};

/// What the audit of an embedded region found.
struct EmbeddedAudit {
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t live_blocks = 0;
  std::uint64_t violations = 0;
};

class ALLOT_EXPORT EmbeddedRegion {
 public:
  /// Makes a region in this process. Errors as Session::connect().
  [[nodiscard]] static Expected<EmbeddedRegion> create(const EmbeddedOptions& options = {});

  EmbeddedRegion(EmbeddedRegion&&) noexcept;
  EmbeddedRegion& operator=(EmbeddedRegion&&) noexcept;
  /// Close all its sessions first. In a forked child nothing happens, as with sessions.
  ~EmbeddedRegion();

  /// A new session in the region; several may exist side by side, as if in several processes.
  /// kForked in a forked child: the region is its parent's. `debug` and kBadArgument as with
  /// Session::connect().
  [[nodiscard]] Expected<Session> connect(const DebugOptions& debug = {});

  /// Recovers ended sessions (as do connect() and a grant that would be refused) and audits the
  /// region. No other thread may use it meanwhile. In a forked child it finds nothing.
  [[nodiscard]] EmbeddedAudit audit();

 private:
  explicit EmbeddedRegion(std::unique_ptr<detail::EmbeddedService> service) noexcept;
  std::unique_ptr<detail::EmbeddedService> service_;
};

}  // namespace allot
