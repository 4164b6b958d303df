// TracedRegion: clients of a region whose daemon's core answers in this process, so that each store of a
// client to shared memory, and each answer to it, is a place to kill it.
//
// Used by tests of what a client's death leaves. Between two stores shared memory does not change: the
// states after each are those after all of its instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <allot/session.hpp>

#include "daemon/core/service.hpp"
#include "shared/region/region_files.hpp"
#include "tests/support/guarded_bytes.hpp"
#include "tests/support/memory_region.hpp"
#include "tests/support/store_trace.hpp"

namespace allot::test {

class TracedRegion {
 public:
  TracedRegion();
  TracedRegion(const TracedRegion&) = delete;
  TracedRegion& operator=(const TracedRegion&) = delete;
  ~TracedRegion() = default;

  /// As of another process each time. Close it before the region ends.
  [[nodiscard]] Session connect();
  /// Recovers the dead, whose sessions are closed, and sweeps.
  void settle();

  /// Runs `operation`, calls by `client` alone, and at each of its states checks what is left if the
  /// client is killed then, and the daemon with it. Of a long walk over neighbouring words it checks
  /// the beginning and each 64th, unless ALLOT_TEST_EVERY_STATE is set. Ends at the first failure.
  void kill_everywhere(const Session& client, const std::function<void()>& operation);
  [[nodiscard]] std::uint64_t states() const noexcept { return states_; }

 private:
  class DirectChannel;
  struct Member {
    core::SessionKey key;
    core::ConnectionId connection = 0;
    platform::Descriptor presence;
  };

  [[nodiscard]] std::vector<protocol::Message> ask(core::ConnectionId connection,
                                                   const protocol::Message& message);
  [[nodiscard]] Expected<void> commit(const core::PendingCommit& pending);
  [[nodiscard]] core::Instant now();
  /// Where clients have mapped what they may write.
  [[nodiscard]] Areas client_areas() const;
  void check();
  void check_after(const StoredBytes& store);

  region::RegionFiles files_;
  region::RegionMapping mapping_;
  GuardedBytes vault_;
  core::Service service_;
  std::vector<Member> members_;
  MemoryRegion image_;
  MemoryRegion scratch_;
  std::uint32_t dying_ = 0;  // the session that is killed; 0: nobody is
  std::uint64_t states_ = 0;
  bool checks_walks_ = false;
  StoredBytes latest_;
  std::uint64_t walk_ = 0;  // stores, each next to the one before
  std::uint64_t now_ns_ = 1;
};

}  // namespace allot::test
