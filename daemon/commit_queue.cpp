#include "daemon/commit_queue.hpp"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

namespace allot::daemon {

namespace {

std::uint64_t bytes_left(const core::PendingCommit& pending, std::size_t range,
                         std::uint64_t done_bytes) {
  std::uint64_t bytes = 0;
  for (std::size_t i = range; i < pending.ranges.size(); ++i)
    bytes += pending.ranges[i].length_bytes;
  return bytes - done_bytes;
}

}  // namespace

void CommitQueue::add(core::PendingCommit pending) {
  Job job{std::move(pending)};
  pending_bytes_ += bytes_left(job.pending, 0, 0);
  Expected<void> result;
  if (run_slice(job, result)) {
    actions_.finished(job.pending, result);
    return;
  }
  jobs_.push_back(std::move(job));
  post_turn();
}

bool CommitQueue::run_slice(Job& job, Expected<void>& result) {
  const core::PendingCommit& pending = job.pending;
  std::uint64_t budget = kSliceBytes;
  while (budget > 0 && job.range < pending.ranges.size()) {
    core::FileRange slice = pending.ranges[job.range];
    slice.offset_bytes += job.done_bytes;
    slice.length_bytes = std::min(slice.length_bytes - job.done_bytes, budget);
    result = actions_.commit(*pending.region, slice);
    if (!result) {
      pending_bytes_ -= bytes_left(pending, job.range, job.done_bytes);
      return true;
    }
    budget -= std::min(budget, std::max(slice.length_bytes, kLeastCostBytes));
    pending_bytes_ -= slice.length_bytes;
    job.done_bytes += slice.length_bytes;
    if (job.done_bytes == pending.ranges[job.range].length_bytes) {
      ++job.range;
      job.done_bytes = 0;
    }
  }
  if (job.range < pending.ranges.size()) return false;
  result = actions_.open(pending);
  return true;
}

void CommitQueue::post_turn() {
  if (turn_posted_ || jobs_.empty()) return;
  turn_posted_ = true;
  boost::asio::post(context_, [this] { turn(); });
}

void CommitQueue::turn() {
  turn_posted_ = false;
  if (jobs_.empty()) return;
  Job job = std::move(jobs_.front());
  jobs_.pop_front();
  Expected<void> result;
  if (!actions_.is_wanted(job.pending)) {
    give_up(job);
  } else if (run_slice(job, result)) {
    actions_.finished(job.pending, result);
  } else {
    jobs_.push_back(std::move(job));
  }
  post_turn();
}

void CommitQueue::give_up(const Job& job) {
  pending_bytes_ -= bytes_left(job.pending, job.range, job.done_bytes);
  actions_.finished(job.pending, Error(Errc::kClosed));
}

void CommitQueue::abandon(core::ConnectionId connection) {
  std::deque<Job> abandoned;
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    if (it->pending.connection == connection) {
      abandoned.push_back(std::move(*it));
      it = jobs_.erase(it);
    } else {
      ++it;
    }
  }
  for (const Job& job : abandoned) give_up(job);
}

std::size_t CommitQueue::pending_of(core::ConnectionId connection) const noexcept {
  return static_cast<std::size_t>(std::count_if(jobs_.begin(), jobs_.end(), [&](const Job& job) {
    return job.pending.connection == connection;
  }));
}

}  // namespace allot::daemon
