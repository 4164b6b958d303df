#include "examples/pipeline/supervisor.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/scratch_list.hpp"
#include "examples/pipeline/text.hpp"

namespace pipeline {

Supervisor::Supervisor(Crew crew, const FileSet& files, SupervisorPlan plan,
                       const Deadline& deadline)
    : crew_(std::move(crew)),
      files_(files),
      plan_(std::move(plan)),
      deadline_(deadline),
      progress_(plan_.stage, files.files().size(), files.size_bytes()) {
  result_.results.resize(files.files().size());
  result_.workers.resize(crew_.workers.size());
}

VariantResult Supervisor::run() {
  start();
  bool said_end = false;
  while (is_running()) {
    wait_for_events();
    hear_collector();
    hear_reader();
    check_processes();
    if (!said_end && !crew_.reader.running() && !any_worker_runs()) {
      said_end = true;
      hear_collector();
      // The collector of the region is about to print; that of the pipes may still be at work.
      if (has_everything()) progress_.finish();
      // Tells the collector to print and end; what it has to say can still be heard.
      ::shutdown(crew_.collector_control.get(), SHUT_WR);
    }
  }
  hear_collector();
  hear_reader();
  if (!has_everything()) {
    throw Failure(ExitCode::kWrong, "results of " + grouped(result_.files) + " files, not of " +
                                        grouped(files_.files().size()));
  }
  return std::move(result_);
}

void Supervisor::start() {
  // Each process holds an end of this pipe until it is ready or dead.
  std::array<pollfd, 1> entry{pollfd{crew_.ready.get(), POLLIN, 0}};
  wait_for(entry, deadline_);
  began_ns_ = monotonic_ns();
  // If the reader is dead already, check_processes() says so.
  (void)send(crew_.reader_control.get(), Go{});
}

void Supervisor::wait_for_events() {
  ScratchList<pollfd> entries;
  entries.add({crew_.reader_control.get(), POLLIN, 0});
  entries.add({crew_.collector_control.get(), POLLIN, 0});
  const auto add = [&entries](const Child& child) {
    if (child.running()) entries.add({child.exit_fd(), POLLIN, 0});
  };
  add(crew_.reader);
  add(crew_.collector);
  for (const Child& worker : crew_.workers) add(worker);
  if (plan_.daemon != nullptr) add(*plan_.daemon);
  wait_for(entries.items(), deadline_);
}

bool Supervisor::any_worker_runs() const {
  return std::any_of(crew_.workers.begin(), crew_.workers.end(),
                     [](const Child& worker) { return worker.running(); });
}

bool Supervisor::is_running() const {
  return crew_.reader.running() || crew_.collector.running() || any_worker_runs();
}

bool Supervisor::has_everything() const {
  return result_.files + result_.skipped.size() == files_.files().size();
}

void Supervisor::hear_reader() {
  if (!crew_.reader_control) return;
  ReaderNote note;
  for (;;) {
    switch (receive(crew_.reader_control.get(), note, Patience::kNoWait)) {
      case Reception::kNothing: return;
      case Reception::kClosed: crew_.reader_control.reset(); return;
      case Reception::kMessage: break;
    }
    switch (note.kind) {
      case ReaderNote::Kind::kSkipped:
        result_.skipped.push_back({files_.files().at(note.file).path,
                                   std::generic_category().message(static_cast<int>(note.error))});
        break;
      case ReaderNote::Kind::kMemoryBack: note_memory_back(note); break;
      case ReaderNote::Kind::kFinished:
        result_.read_files = note.files;
        result_.read_bytes = note.bytes;
        break;
    }
  }
}

void Supervisor::hear_collector() {
  while (crew_.collector_control && hear_results()) {
  }
}

// One message of the collector; false if there is none now.
bool Supervisor::hear_results() {
  const bool in_region = !plan_.runtime_dir.empty();
  std::vector<FileDone> sent;
  ResultsGrew grew;
  const int fd = crew_.collector_control.get();
  switch (in_region ? receive(fd, grew, Patience::kNoWait)
                    : receive_all(fd, sent, Patience::kNoWait)) {
    case Reception::kNothing: return false;
    case Reception::kClosed: crew_.collector_control.reset(); return false;
    case Reception::kMessage: break;
  }
  if (in_region && !region_results_) region_results_.emplace(plan_.runtime_dir);
  for (const FileDone& done :
       in_region ? region_results_->fresh() : std::span<const FileDone>(sent)) {
    note_result(done);
    kill_if_due();
  }
  return true;
}

// A copy: what is in the region is others' to change.
void Supervisor::note_result(FileDone done) {
  auto& result = result_.results.at(done.file);
  if (result) throw Failure(ExitCode::kWrong, "the collector counts a file twice");
  result = done;
  ++result_.files;
  result_.size_bytes += done.size_bytes;
  WorkerShare& share = result_.workers.at(done.worker);
  ++share.files;
  share.size_bytes += done.size_bytes;
  result_.seconds = static_cast<double>(monotonic_ns() - began_ns_) * 1e-9;
  progress_.update(result_.files, result_.size_bytes);
}

void Supervisor::kill_if_due() {
  if (!plan_.kill || result_.kill || progress_.fraction() < plan_.kill->at_fraction) return;
  const Child& victim = crew_.workers.at(plan_.kill->worker);
  if (!victim.running() || result_.files == files_.files().size()) return;
  result_.kill = KillRecord{
      .worker = plan_.kill->worker, .at_fraction = progress_.fraction(), .time_ns = monotonic_ns()};
  victim.signal(SIGKILL);
  progress_.say("killed worker " + std::to_string(plan_.kill->worker) + " at " +
                fixed(progress_.fraction() * 100, 1) + " % of the work");
}

void Supervisor::note_memory_back(const ReaderNote& note) {
  // Of a worker that ended uncalled-for there is no time to count from.
  if (!result_.kill) result_.kill = KillRecord{.worker = note.worker};
  KillRecord& kill = *result_.kill;
  if (kill.worker != note.worker) return;
  kill.redone_files = note.files;
  kill.redone_bytes = note.bytes;
  if (kill.time_ns != 0) kill.memory_back_ns = note.time_ns - kill.time_ns;
  progress_.say("the memory of worker " + std::to_string(note.worker) + " is back; " +
                std::to_string(note.files) + " of its files are done again");
}

void Supervisor::check_processes() {
  if (plan_.daemon != nullptr && plan_.daemon->try_reap()) {
    throw Failure(ExitCode::kWrong, "allotd ended during the run");
  }
  for (std::size_t i = 0; i < crew_.workers.size(); ++i) check_worker(i);
  require_success(crew_.reader);
  require_success(crew_.collector);
}

void Supervisor::check_worker(std::size_t worker) {
  Child& child = crew_.workers[worker];
  const bool was_running = child.running();
  const auto status = child.try_reap();
  if (!was_running || !status || status->succeeded()) return;
  result_.workers[worker].ending = status->describe();
  const bool is_ours = result_.kill && result_.kill->time_ns != 0;
  const bool is_expected =
      status->signal == SIGKILL &&
      ((is_ours && result_.kill->worker == worker) || (plan_.first_worker_dies && worker == 0));
  if (!is_expected) result_.faults.push_back(child.name() + " ended with " + status->describe());
}

void Supervisor::require_success(Child& child) {
  const auto status = child.try_reap();
  if (status && !status->succeeded()) {
    throw Failure(ExitCode::kWrong, child.name() + " ended with " + status->describe());
  }
}

}  // namespace pipeline
