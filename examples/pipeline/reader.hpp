// Reader: loads files into the region and gives their handles to the workers.
//
// One process, one thread (the library's own calls back when a worker has ended, and only writes
// to a pipe). It waits for events: a worker's hello or end, the collector's word that a job has
// ended, a dead worker's memory being back.
//
// 1. What a worker has is known from its first message on; before that it is given nothing. So a
//    worker may die at any point: its socket ends, then the library says that its memory is back,
//    then its jobs are taken back and their files wait again.
// 2. A job is taken back once. Its blocks are the reader's (retracted and freed), the collector's
//    (it frees them), or were recovered with the worker.
// 3. The reader ends when each file is done and no job is open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <allot/session.hpp>

#include "examples/pipeline/assignments.hpp"
#include "examples/pipeline/block_loader.hpp"
#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/role.hpp"

namespace pipeline {

class Reader {
 public:
  Reader(allot::Session session, const Role& role);

  /// Returns when every file is done.
  void run();

 private:
  struct Worker {
    Descriptor socket;               // empty: it has ended
    std::vector<JobTicket> tickets;  // not yet sent
    std::uint64_t ticket_bytes = 0;  // of their files
    std::uint64_t lost_files = 0;    // whose results were recovered with it, as the collector saw
    std::uint64_t lost_bytes = 0;
    bool said_hello = false;
    bool is_watched = false;  // on_exit() will tell
    bool has_memory = false;  // it may hold blocks: from its hello until they are back
  };
  struct MemoryBack {
    std::uint64_t worker = 0;
    std::uint64_t time_ns = 0;
  };

  [[nodiscard]] bool finished() const;
  void require_a_worker() const;
  void assign_all();
  /// False if it has to wait for memory.
  [[nodiscard]] bool load_and_send(std::size_t file, std::size_t worker);
  void send_job(std::size_t file, std::size_t worker, LoadedFile loaded,
                allot::Owned<JobRecord> job);
  void send_tickets(Worker& worker);
  void wait_for_events();
  void hear_worker(std::size_t worker);
  void worker_said_hello(std::size_t worker, const WorkerHello& hello);
  void worker_ended(std::size_t worker);
  void hear_collector();
  void memory_is_back(const MemoryBack& back);
  void free_what_is_ours(const Job& job);
  void tell(const ReaderNote& note);

  allot::Session session_;
  FileSet files_;
  std::vector<Worker> workers_;
  Descriptor collector_;
  Descriptor control_;
  DescriptorPair memory_back_;
  Assignments assignments_;
  std::optional<std::size_t> file_to_corrupt_;  // --plant
  std::uint64_t loaded_files_ = 0;
  std::uint64_t loaded_bytes_ = 0;
};

}  // namespace pipeline
