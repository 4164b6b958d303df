#include "examples/pipeline/assignments.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace pipeline {

Assignments::Assignments(std::size_t files, std::size_t workers)
    : waiting_(files), done_(files), attempts_(files), workers_(workers) {
  std::iota(waiting_.begin(), waiting_.end(), std::size_t{0});
}

void Assignments::start(std::size_t worker) { workers_.at(worker).started = true; }
void Assignments::stop(std::size_t worker) { workers_.at(worker).started = false; }

std::optional<std::size_t> Assignments::next_file() {
  while (!waiting_.empty()) {
    const std::size_t file = waiting_.front();
    waiting_.pop_front();
    // Its first attempt may have ended well after all while it waited for the second.
    if (!done_.at(file)) return file;
  }
  return std::nullopt;
}

void Assignments::put_back(std::size_t file) { waiting_.push_front(file); }

std::optional<std::size_t> Assignments::worker_for(std::uint64_t size_bytes) const {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Worker& one = workers_[i];
    if (!one.started || one.jobs >= kMaxJobsPerWorker) continue;
    if (one.jobs > 0 && one.size_bytes + size_bytes > kMaxBytesPerWorker) continue;
    if (!best || one.size_bytes < workers_[*best].size_bytes) best = i;
  }
  return best;
}

std::uint64_t Assignments::assign(Job job) {
  Worker& worker = workers_.at(job.worker);
  ++worker.jobs;
  worker.size_bytes += job.size_bytes;
  ++attempts_.at(job.file);
  jobs_.emplace(next_job_, std::move(job));
  return next_job_++;
}

void Assignments::finish(std::uint64_t job, std::size_t file) {
  const auto found = jobs_.find(job);
  if (found != jobs_.end()) remove(found);
  mark_done(file);
}

void Assignments::give_up(std::size_t file) { mark_done(file); }

std::optional<Job> Assignments::take_back(std::uint64_t job) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return std::nullopt;
  Job taken = remove(found);
  if (!done_.at(taken.file)) waiting_.push_front(taken.file);
  return taken;
}

std::vector<Job> Assignments::take_back_all(std::size_t worker) {
  std::vector<Job> taken;
  for (auto it = jobs_.begin(); it != jobs_.end();) {
    const auto current = it++;
    if (current->second.worker != worker) continue;
    taken.push_back(remove(current));
    if (!done_.at(taken.back().file)) waiting_.push_front(taken.back().file);
  }
  return taken;
}

bool Assignments::may_work() const {
  return std::any_of(workers_.begin(), workers_.end(),
                     [](const Worker& worker) { return worker.started; });
}

Job Assignments::remove(std::map<std::uint64_t, Job>::iterator position) {
  Job job = std::move(position->second);
  jobs_.erase(position);
  Worker& worker = workers_.at(job.worker);
  --worker.jobs;
  worker.size_bytes -= job.size_bytes;
  return job;
}

void Assignments::mark_done(std::size_t file) {
  if (!done_.at(file)) ++done_count_;
  done_.at(file) = true;
}

}  // namespace pipeline
