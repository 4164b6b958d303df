// Assignments: which files wait, which worker has which job, and what to do again when one dies.
//
// Used by the reader. Pure: no I/O, no region. A *job* is one attempt at one file by one worker; a
// file may have several, of which one result counts.
//
// 1. A file is done when the collector has its result; it stays done.
// 2. A file that is not done waits, or has a job. So nothing is lost whatever dies.
// 3. A worker has at most kMaxJobsPerWorker jobs, and at most kMaxBytesPerWorker unless it is one
//    job: that bounds the memory in use, whatever the number of files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include <allot/handle.hpp>

namespace pipeline {

inline constexpr std::size_t kMaxJobsPerWorker = 64;
inline constexpr std::uint64_t kMaxBytesPerWorker = std::uint64_t{4} << 20;

struct Job {
  std::size_t file = 0;
  std::size_t worker = 0;
  std::uint64_t size_bytes = 0;
  std::vector<allot::Handle> offered;  // the job block and the data blocks
};

class Assignments {
 public:
  Assignments(std::size_t files, std::size_t workers);

  /// From now on the worker may be given jobs; after stop() no more. Its jobs stay its own until
  /// they end or are taken back.
  void start(std::size_t worker);
  void stop(std::size_t worker);

  /// The next file to load, if one waits.
  [[nodiscard]] std::optional<std::size_t> next_file();
  /// Puts back what next_file() gave: it could not be assigned now.
  void put_back(std::size_t file);
  /// The worker with the fewest bytes among those that may have `size_bytes` more.
  [[nodiscard]] std::optional<std::size_t> worker_for(std::uint64_t size_bytes) const;
  /// Records a job; returns its number.
  std::uint64_t assign(Job job);

  /// The collector has a result of `file`, by `job`, which may have been taken back meanwhile.
  void finish(std::uint64_t job, std::size_t file);
  /// Marks a file done that has no job: it cannot be read.
  void give_up(std::size_t file);
  /// The job's result is lost: the file waits again, unless it is done. nullopt if there is no
  /// such job (any more).
  std::optional<Job> take_back(std::uint64_t job);
  /// The same for every job of a worker.
  std::vector<Job> take_back_all(std::size_t worker);

  [[nodiscard]] bool all_done() const { return done_count_ == done_.size() && jobs_.empty(); }
  [[nodiscard]] bool nothing_in_flight() const { return jobs_.empty(); }
  /// False when no worker may be given jobs.
  [[nodiscard]] bool may_work() const;
  /// How often the file was assigned.
  [[nodiscard]] std::uint32_t attempts(std::size_t file) const { return attempts_.at(file); }

 private:
  struct Worker {
    bool started = false;
    std::size_t jobs = 0;
    std::uint64_t size_bytes = 0;
  };

  Job remove(std::map<std::uint64_t, Job>::iterator position);
  void mark_done(std::size_t file);

  std::deque<std::size_t> waiting_;
  std::vector<bool> done_;
  std::vector<std::uint32_t> attempts_;
  std::size_t done_count_ = 0;
  std::vector<Worker> workers_;
  std::map<std::uint64_t, Job> jobs_;
  std::uint64_t next_job_ = 1;
};

}  // namespace pipeline
