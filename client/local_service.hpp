// LocalService: what the daemon is to its clients, for the process's private heap.
//
// The daemon's core over a private region, whose one mapping it shares with the one session there
// is. No descriptors, no presence: the session ends with the process. A forked child has a copy of
// all of it and goes on. What a session returns goes back to the system at once; to keep some is the
// session's business.
//
// Used by any thread of the process, through the session's channel.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include <allot/expected.hpp>

#include "client/session_state.hpp"
#include "daemon/core/service.hpp"
#include "shared/region/audit_report.hpp"
#include "shared/region/region_files.hpp"

namespace allot {

class LocalService {
 public:
  /// A region of `size_bytes`, all of which may be granted. kAddressSpace if there is no room.
  [[nodiscard]] static Expected<std::shared_ptr<LocalService>> make(std::uint64_t size_bytes);

  /// The parts of its session, which is there from now on; once. They keep the service alive.
  [[nodiscard]] static Expected<detail::SessionState::Parts> connect(
      const std::shared_ptr<LocalService>& service);

  [[nodiscard]] Expected<protocol::Body> request(const protocol::Body& body);
  void post(const protocol::Body& body);
  void lock_for_fork() { mutex_.lock(); }
  void unlock_after_fork() { mutex_.unlock(); }

  [[nodiscard]] std::byte* data() const noexcept { return mapping_->data(); }
  /// Addresses from data() on that are the region's and nobody else's.
  [[nodiscard]] std::uint64_t reserved_bytes() const noexcept {
    return mapping_->reserved_data_bytes();
  }
  /// Audits the region; no other thread may use it meanwhile. `lost_heaps`: how many heaps' threads
  /// are gone over a fork, each of which may have counted one operation on one side only.
  [[nodiscard]] region::AuditReport audit(std::uint64_t lost_heaps = 0);

 private:
  [[nodiscard]] Expected<protocol::Body> ask_locked(const protocol::Body& body);
  [[nodiscard]] Expected<void> run(const core::PendingCommit& pending);
  void give_back_locked();
  void punch(const core::FileRange& range) const;

  std::mutex mutex_;
  std::shared_ptr<region::RegionMapping> mapping_;
  core::Service service_;
  core::ConnectionId connection_ = 0;
};

/// The service of the process's private heap; nullptr while there is none.
[[nodiscard]] LocalService* local_service() noexcept;

}  // namespace allot
