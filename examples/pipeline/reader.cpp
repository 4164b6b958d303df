#include "examples/pipeline/reader.hpp"

#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/scratch_list.hpp"
#include "examples/pipeline/wait.hpp"

namespace pipeline {

namespace {

constexpr std::uint32_t kMaxAttempts = 20;

std::optional<std::size_t> first_with_bytes(const FileSet& files) {
  for (std::size_t i = 0; i < files.files().size(); ++i) {
    if (files.files()[i].size_bytes > 0) return i;
  }
  return std::nullopt;
}

}  // namespace

Reader::Reader(allot::Session session, const Role& role)
    : session_(std::move(session)),
      files_(FileSet::load(role.list_path)),
      collector_(role.collector_fd),
      control_(role.control_fd),
      memory_back_(make_pipe()),
      assignments_(files_.files().size(), role.worker_fds.size()) {
  for (const int fd : role.worker_fds) workers_.emplace_back().socket = Descriptor(fd);
  if (role.plant == Plant::kCorruptOneByte) file_to_corrupt_ = first_with_bytes(files_);
}

void Reader::run() {
  Go go;
  if (receive(control_.get(), go, Patience::kWait) != Reception::kMessage) return;
  for (;;) {
    assign_all();
    for (Worker& worker : workers_) send_tickets(worker);
    if (finished()) break;
    require_a_worker();
    wait_for_events();
  }
  tell({.kind = ReaderNote::Kind::kFinished, .files = loaded_files_, .bytes = loaded_bytes_});
}

bool Reader::finished() const {
  return assignments_.all_done() &&
         std::none_of(workers_.begin(), workers_.end(),
                      [](const Worker& worker) { return !worker.socket && worker.has_memory; });
}

void Reader::require_a_worker() const {
  const bool has_one = std::any_of(workers_.begin(), workers_.end(), [](const Worker& worker) {
    return worker.socket || worker.has_memory;
  });
  if (!has_one) throw Failure(ExitCode::kWrong, "no worker is left");
}

// Gives work to everyone who may have some.
void Reader::assign_all() {
  while (assignments_.may_work()) {
    const auto file = assignments_.next_file();
    if (!file) return;
    const auto worker = assignments_.worker_for(files_.files()[*file].size_bytes);
    if (!worker || !load_and_send(*file, *worker)) {
      assignments_.put_back(*file);
      return;
    }
  }
}

bool Reader::load_and_send(std::size_t file, std::size_t worker) {
  LoadedFile loaded = load_file(session_, files_.files()[file].path);
  if (loaded.outcome == LoadedFile::Outcome::kUnreadable) {
    assignments_.give_up(file);
    tell({.kind = ReaderNote::Kind::kSkipped,
          .file = file,
          .error = static_cast<std::uint64_t>(loaded.error)});
    return true;
  }
  allot::Owned<JobRecord> job;
  if (loaded.outcome == LoadedFile::Outcome::kLoaded) {
    job = make_job(session_, file, loaded.blocks.size());
  }
  if (!job) {
    // The workers' jobs will free some; without any, nothing will.
    if (assignments_.nothing_in_flight()) {
      throw Failure(ExitCode::kWrong, "no memory for " + files_.files()[file].path + ": " +
                                          allot::Session::last_error().message());
    }
    return false;
  }
  if (file_to_corrupt_ == file) loaded.blocks.front()[0] ^= std::byte{1};
  send_job(file, worker, std::move(loaded), std::move(job));
  return true;
}

void Reader::send_job(std::size_t file, std::size_t worker, LoadedFile loaded,
                      allot::Owned<JobRecord> job) {
  if (assignments_.attempts(file) >= kMaxAttempts) {
    throw Failure(ExitCode::kWrong, "given up after " + std::to_string(kMaxAttempts) +
                                        " attempts: " + files_.files()[file].path);
  }
  Job open{.file = file, .worker = worker, .size_bytes = loaded.size_bytes, .offered = {}};
  for (std::size_t i = 0; i < loaded.blocks.size(); ++i) {
    const allot::Handle handle = loaded.blocks[i].offer().value();
    job->blocks()[i] = {handle.bits(), loaded.blocks[i].size()};
    open.offered.push_back(handle);
  }
  // Last, so that who adopts the job finds all of its blocks offered.
  const allot::Handle handle = job.offer().value();
  open.offered.push_back(handle);
  // Offered blocks stay ours until adopted, but must outlive this scope.
  for (auto& block : loaded.blocks) std::move(block).detach();
  std::move(job).detach();

  ++loaded_files_;
  loaded_bytes_ += loaded.size_bytes;
  const std::uint64_t number = assignments_.assign(std::move(open));
  Worker& receiver = workers_[worker];
  receiver.tickets.push_back({number, handle.bits()});
  receiver.ticket_bytes += loaded.size_bytes;
  if (receiver.tickets.size() == kMessagesPerDatagram ||
      receiver.ticket_bytes >= kBytesPerDatagram) {
    send_tickets(receiver);
  }
}

void Reader::send_tickets(Worker& worker) {
  worker.ticket_bytes = 0;
  // To a dead worker: its end, which is coming, takes the jobs back.
  (void)send_all(worker.socket.get(), worker.tickets);
}

void Reader::wait_for_events() {
  ScratchList<pollfd> list;
  list.add({collector_.get(), POLLIN, 0});
  list.add({memory_back_.first.get(), POLLIN, 0});
  for (const Worker& worker : workers_) list.add({worker.socket.get(), POLLIN, 0});
  const std::span<pollfd> entries = list.items();
  if (::poll(entries.data(), entries.size(), -1) < 0) {
    if (errno == EINTR) return;
    throw system_failure("poll");
  }
  if (entries[0].revents != 0) hear_collector();
  if (entries[1].revents != 0) {
    MemoryBack back;
    if (::read(memory_back_.first.get(), &back, sizeof back) == sizeof back) memory_is_back(back);
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (entries[i + 2].revents != 0) hear_worker(i);
  }
}

void Reader::hear_worker(std::size_t worker) {
  if (!workers_[worker].socket) return;  // its memory came back in this round
  WorkerHello hello;
  switch (receive(workers_[worker].socket.get(), hello, Patience::kNoWait)) {
    case Reception::kMessage: worker_said_hello(worker, hello); return;
    case Reception::kClosed: worker_ended(worker); return;
    case Reception::kNothing: return;
  }
}

void Reader::worker_said_hello(std::size_t worker, const WorkerHello& hello) {
  Worker& one = workers_[worker];
  one.said_hello = true;
  one.has_memory = true;
  const int fd = memory_back_.second.get();
  const auto watched = session_.on_exit(hello.session, [fd, worker] {
    const MemoryBack back{worker, monotonic_ns()};
    (void)!::write(fd, &back, sizeof back);  // 16 bytes: whole or not, and the pipe is never full
  });
  one.is_watched = watched.has_value();
  assignments_.start(worker);
}

void Reader::worker_ended(std::size_t worker) {
  Worker& one = workers_[worker];
  one.socket.reset();
  assignments_.stop(worker);
  if (one.has_memory && !one.is_watched) memory_is_back({worker, monotonic_ns()});
}

void Reader::hear_collector() {
  std::vector<JobEnd> ends;
  for (;;) {
    switch (receive_all(collector_.get(), ends, Patience::kNoWait)) {
      case Reception::kNothing: return;
      case Reception::kClosed: throw Failure(ExitCode::kWrong, "the collector is gone");
      case Reception::kMessage: break;
    }
    for (const JobEnd& end : ends) {
      if (end.has_result != 0) {
        assignments_.finish(end.job, end.file);
      } else if (const auto job = assignments_.take_back(end.job)) {
        free_what_is_ours(*job);
        Worker& worker = workers_.at(job->worker);
        ++worker.lost_files;
        worker.lost_bytes += job->size_bytes;
      }
    }
  }
}

void Reader::memory_is_back(const MemoryBack& back) {
  Worker& worker = workers_.at(back.worker);
  if (!worker.has_memory) return;  // told twice
  worker.has_memory = false;
  worker.socket.reset();
  assignments_.stop(back.worker);
  ReaderNote note{.kind = ReaderNote::Kind::kMemoryBack,
                  .worker = static_cast<std::uint32_t>(back.worker),
                  .time_ns = back.time_ns,
                  .files = worker.lost_files,
                  .bytes = worker.lost_bytes};
  for (const Job& job : assignments_.take_back_all(back.worker)) {
    free_what_is_ours(job);
    ++note.files;
    note.bytes += job.size_bytes;
  }
  tell(note);
}

void Reader::free_what_is_ours(const Job& job) {
  for (const allot::Handle handle : job.offered) {
    // Refused if the worker adopted it: then it was recovered, or the collector frees it.
    if (const auto block = session_.retract(handle)) session_.free(*block);
  }
}

void Reader::tell(const ReaderNote& note) {
  if (!send(control_.get(), note)) throw Failure(ExitCode::kWrong, "the orchestrator is gone");
}

int run_reader(Role role) {
  allot::Session session = connect_as("reader");
  Reader reader(session, role);
  report_ready(role);
  reader.run();
  return 0;
}

}  // namespace pipeline
