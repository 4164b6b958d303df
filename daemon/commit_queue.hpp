// CommitQueue: memory that grants wait for, committed in slices.
//
// Used by the server. A slice is at most 1 MiB; the first one runs in add(), so that a small grant
// is answered in the turn that asked for it; the rest run one a turn of the loop, in turn among all
// that wait, so that a large grant holds up nobody. A job that nobody wants any more is given up.
//
// Invariants
// 1. Each PendingCommit that is added is finished exactly once: `finished` is called with it.
// 2. pending_bytes() == sum over waiting jobs of what is not yet committed.
//
// `finished` may add further jobs. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>

#include <boost/asio/io_context.hpp>

#include <allot/expected.hpp>

#include "daemon/core/service.hpp"

namespace allot::daemon {

class CommitQueue {
 public:
  static constexpr std::uint64_t kSliceBytes = std::uint64_t{1} << 20;
  // What a system call for a range takes off a slice even if the range is shorter.
  static constexpr std::uint64_t kLeastCostBytes = std::uint64_t{16} << 10;

  struct Actions {
    std::function<Expected<void>(const core::RegionCore&, const core::FileRange&)> commit;
    /// Opens the daemon's mapping as far as the job says.
    std::function<Expected<void>(const core::PendingCommit&)> open;
    std::function<void(const core::PendingCommit&, const Expected<void>&)> finished;
    /// Asked before each slice but the first: false once nobody waits for the answer.
    std::function<bool(const core::PendingCommit&)> is_wanted;
  };

  CommitQueue(boost::asio::io_context& context, Actions actions)
      : context_(context), actions_(std::move(actions)) {}

  void add(core::PendingCommit pending);

  /// Finishes what waits for this connection, with an error.
  void abandon(core::ConnectionId connection);

  [[nodiscard]] std::uint64_t pending_bytes() const noexcept { return pending_bytes_; }
  [[nodiscard]] std::size_t pending_of(core::ConnectionId connection) const noexcept;

 private:
  struct Job {
    core::PendingCommit pending;
    std::size_t range = 0;         // index of the range that is being committed
    std::uint64_t done_bytes = 0;  // of that range
  };

  /// One slice; true once the job is complete or has failed (`result`).
  bool run_slice(Job& job, Expected<void>& result);
  void give_up(const Job& job);
  void post_turn();
  void turn();

  boost::asio::io_context& context_;
  Actions actions_;
  std::deque<Job> jobs_;
  std::uint64_t pending_bytes_ = 0;
  bool turn_posted_ = false;
};

}  // namespace allot::daemon
