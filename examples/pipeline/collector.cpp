// The collector: adopts results, frees them and the blocks that came with them, appends the first
// of each file to the array of results, prints a table.
//
// A result counts from the moment its block is adopted. If the worker died before that, the block
// is recovered and its handle stale: the reader is told and does the file again. So may come two
// results of one file; the first one counts.

#include <poll.h>

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <allot/session.hpp>

#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/file_table.hpp"
#include "examples/pipeline/job.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/results.hpp"
#include "examples/pipeline/role.hpp"
#include "examples/pipeline/scratch_list.hpp"

namespace pipeline {

namespace {

class Collector {
 public:
  Collector(allot::Session session, const Role& role)
      : session_(std::move(session)),
        table_(role.list_path),
        results_(session_, table_.file_count()),
        reader_(role.reader_fd),
        control_(role.control_fd) {
    for (const int fd : role.worker_fds) workers_.emplace_back(fd);
  }

  // Returns when the orchestrator has heard enough.
  void run() {
    for (;;) {
      ScratchList<pollfd> list;
      list.add({control_.get(), POLLIN, 0});
      for (const Descriptor& worker : workers_) list.add({worker.get(), POLLIN, 0});
      const std::span<pollfd> entries = list.items();
      if (::poll(entries.data(), entries.size(), -1) < 0) {
        if (errno == EINTR) continue;
        throw system_failure("poll");
      }
      for (std::size_t i = 0; i < workers_.size(); ++i) {
        if (entries[i + 1].revents != 0) hear_worker(workers_[i]);
      }
      if (entries[0].revents != 0) return;  // says nothing: this is its end
    }
  }

  void print_table(int fd) {
    table_.print(fd, results_.all());
    results_.unpublish();
  }

 private:
  void hear_worker(Descriptor& worker) {
    for (;;) {
      switch (receive_all(worker.get(), tickets_, Patience::kNoWait)) {
        case Reception::kNothing: return;
        case Reception::kClosed: worker.reset(); return;
        case Reception::kMessage: break;
      }
      for (const ResultTicket& ticket : tickets_) take(ticket);
      if (std::exchange(grew_, false) && !send(control_.get(), ResultsGrew{})) {
        throw Failure(ExitCode::kWrong, "the orchestrator is gone");
      }
      // The reader may be gone when the last word on a dead worker's job comes.
      (void)send_all(reader_.get(), ends_);
    }
  }

  void take(const ResultTicket& ticket) {
    JobEnd end{.job = ticket.job, .file = 0, .has_result = 0};
    if (const auto result = adopt_result(allot::Handle::from_bits(ticket.handle))) {
      free_job(allot::Handle::from_bits(result->job_handle));
      end.has_result = 1;
      end.file = result->done.file;
      if (table_.add(result->done)) {
        results_.add(result->done);
        grew_ = true;
      }
    }
    ends_.push_back(end);
  }

  // A copy of the result; its block is freed. Nothing if it died with the worker.
  std::optional<ResultRecord> adopt_result(allot::Handle handle) {
    auto result = session_.adopt<ResultRecord>(handle);
    if (result) return **result;
    if (result.error() == allot::Errc::kStaleHandle) return std::nullopt;
    throw Failure(ExitCode::kWrong, "adopting a result: " + result.error().message());
  }

  // What is stale was recovered: the worker has died since it sent the result.
  void free_job(allot::Handle handle) {
    auto job = session_.adopt<JobRecord>(handle);
    if (!job) {
      require_stale(job.error(), "adopting a job");
      return;
    }
    JobRecord& record = **job;
    if (!record.fits(session_.usable_size(&record))) {
      throw Failure(ExitCode::kWrong, "a job of more blocks than it has room for");
    }
    for (const DataBlock& block : record.blocks()) {
      const auto bytes = session_.adopt(allot::Handle::from_bits(block.handle));
      if (bytes) {
        session_.free(*bytes);
      } else {
        require_stale(bytes.error(), "adopting a file's bytes");
      }
    }
  }

  static void require_stale(const allot::Error& error, const char* what) {
    if (error == allot::Errc::kStaleHandle) return;
    throw Failure(ExitCode::kWrong, std::string(what) + ": " + error.message());
  }

  allot::Session session_;
  FileTable table_;
  ResultWriter results_;
  Descriptor reader_;
  Descriptor control_;
  std::vector<Descriptor> workers_;
  std::vector<ResultTicket> tickets_;
  bool grew_ = false;         // to be told
  std::vector<JobEnd> ends_;  // to be sent
};

// A published block outlives its session: the run must notice that a byte is still held.
void leave_a_block_behind(allot::Session& session) {
  void* const block = session.allocate(64);
  if (block == nullptr || !session.publish("left-behind", block)) {
    throw Failure(ExitCode::kWrong, "cannot plant a block");
  }
}

}  // namespace

int run_collector(Role role) {
  allot::Session session = connect_as("collector");
  if (role.plant == Plant::kHoldOneBlock) leave_a_block_behind(session);
  Collector collector(session, role);
  report_ready(role);
  collector.run();
  collector.print_table(role.table_fd);
  return 0;
}

}  // namespace pipeline
