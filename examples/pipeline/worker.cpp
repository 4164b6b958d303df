// The worker: adopts a job and the file's bytes, reads them where they are, and gives all of it on
// with a result.
//
// It may be killed at any instruction. What it owned then is recovered by the daemon; what it had
// not adopted is still the reader's; what the collector adopted is the collector's.

#include <csignal>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <allot/session.hpp>

#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/digest.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/job.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/role.hpp"
#include "examples/pipeline/scratch_list.hpp"

namespace pipeline {

namespace {

template <class T>
T must(allot::Expected<T> value, const char* what) {
  if (!value) throw Failure(ExitCode::kWrong, std::string(what) + ": " + value.error().message());
  return std::move(*value);
}

class Worker {
 public:
  Worker(allot::Session session, const Role& role)
      : session_(std::move(session)),
        reader_(role.reader_fd),
        collector_(role.collector_fd),
        number_(role.worker),
        die_at_(role.die_at) {}

  void say_hello() {
    die_if_at(DieAt::kBeforeHello);
    // If the reader is gone, run() notices.
    (void)send(reader_.get(), WorkerHello{session_.id()});
    die_if_at(DieAt::kAfterHello);
  }

  // Returns when the reader has no more work.
  void run() {
    std::vector<JobTicket> tickets;
    std::vector<ResultTicket> results;
    while (receive_all(reader_.get(), tickets, Patience::kWait) == Reception::kMessage) {
      for (const JobTicket& ticket : tickets) {
        results.push_back({ticket.job, work(allot::Handle::from_bits(ticket.handle)).bits()});
        die_if_at(DieAt::kResultOffered);
      }
      if (!send_all(collector_.get(), results)) {
        throw Failure(ExitCode::kWrong, "the collector is gone");
      }
      die_if_at(DieAt::kResultSent);
    }
  }

 private:
  using Bytes = allot::Owned<std::byte[]>;

  // Does one job; returns the handle of its result, offered with all the job's blocks.
  allot::Handle work(allot::Handle handle) {
    auto job = must(session_.adopt<JobRecord>(handle), "adopting a job");
    die_if_at(DieAt::kJobAdopted);
    if (!job->fits(session_.usable_size(job.get()))) {
      throw Failure(ExitCode::kWrong, "a job of more blocks than it has room for");
    }
    ScratchList<Bytes> bytes;
    adopt_and_read(*job, bytes);
    auto result = session_.make<ResultRecord>();
    if (!result) {
      throw Failure(ExitCode::kWrong, "a result: " + allot::Session::last_error().message());
    }
    result->done = digest_.end();
    result->done.file = job->file;
    result->done.worker = number_;
    result->job_handle = handle.bits();
    die_if_at(DieAt::kResultMade);
    return give_on(bytes.items(), std::move(job), std::move(result));
  }

  void adopt_and_read(JobRecord& job, ScratchList<Bytes>& all) {
    digest_.begin();
    for (const DataBlock& block : job.blocks()) {
      const auto handle = allot::Handle::from_bits(block.handle);
      Bytes bytes = must(session_.adopt<std::byte[]>(handle), "adopting a file's bytes");
      die_if_at(DieAt::kBytesAdopted);
      if (block.size_bytes > bytes.size()) {
        throw Failure(ExitCode::kWrong, "a block smaller than its job says");
      }
      digest_.add(std::span<const std::byte>(bytes.get(), block.size_bytes));
      all.add(std::move(bytes));
    }
  }

  // Once detached, they are ours until the collector adopts them, or recovered at our death.
  static allot::Handle give_on(std::span<Bytes> bytes, allot::Owned<JobRecord> job,
                               allot::Owned<ResultRecord> result) {
    for (Bytes& block : bytes) {
      (void)must(block.offer(), "offering a file's bytes");
      std::move(block).detach();
    }
    (void)must(job.offer(), "offering a job");
    const allot::Handle handle = must(result.offer(), "offering a result");
    std::move(job).detach();
    std::move(result).detach();
    return handle;
  }

  void die_if_at(DieAt point) const {
    if (die_at_ == point) std::raise(SIGKILL);
  }

  allot::Session session_;
  Descriptor reader_;
  Descriptor collector_;
  std::uint32_t number_;
  DieAt die_at_;
  Digest digest_;
};

}  // namespace

int run_worker(Role role) {
  allot::Session session = connect_as("worker " + std::to_string(role.worker));
  Worker worker(session, role);
  worker.say_hello();
  report_ready(role);
  worker.run();
  return 0;
}

}  // namespace pipeline
