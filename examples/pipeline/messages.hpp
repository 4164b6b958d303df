// What the processes say to each other. One type a direction:
//
//   reader  -> worker        JobTicket     a job block in the region: where the bytes are
//   worker  -> reader        WorkerHello   once, before anything else
//   worker  -> collector     ResultTicket  a result block in the region
//   collector -> reader      JobEnd        the job needs nothing more, or its result is lost
//   collector -> orchestrator  ResultsGrew   more results are in the region (results.hpp)
//   reader  -> orchestrator  ReaderNote
//   orchestrator -> reader   Go            once every process is ready
//
// The pipes have PipeChunk (and its bytes) and FileDone instead of the first five.
#pragma once

#include <array>
#include <cstdint>

#include <allot/session.hpp>

namespace pipeline {

using Sha256 = std::array<std::uint8_t, 32>;

/// Tickets of as many bytes of files are worth a datagram, however few they are.
inline constexpr std::uint64_t kBytesPerDatagram = std::uint64_t{1} << 20;

struct Go {
  std::uint64_t reserved = 0;
};

struct WorkerHello {
  allot::SessionId session;
};

struct JobTicket {
  std::uint64_t job = 0;
  std::uint64_t handle = 0;  // of a JobRecord
};

struct ResultTicket {
  std::uint64_t job = 0;
  std::uint64_t handle = 0;  // of a ResultRecord
};

struct JobEnd {
  std::uint64_t job = 0;
  std::uint64_t file = 0;        // if has_result
  std::uint64_t has_result = 0;  // 0: the worker's result was recovered with it; do the file again
};

struct FileDone {
  std::uint64_t file = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t lines = 0;
  std::uint32_t worker = 0;
  std::uint32_t reserved = 0;
  Sha256 digest{};
};

struct ResultsGrew {
  std::uint64_t reserved = 0;
};

struct ReaderNote {
  enum class Kind : std::uint32_t {
    kSkipped,     // `file` could not be read: `error` is its errno
    kMemoryBack,  // what `worker` held is recovered, at `time_ns`; `files` are done again
    kFinished,    // everything is done; `files` were loaded, `bytes` read
  };
  Kind kind = Kind::kSkipped;
  std::uint32_t worker = 0;
  std::uint64_t file = 0;
  std::uint64_t error = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

/// Precedes `size_bytes` of a file's bytes in a pipe; the file's last chunk may be empty.
struct PipeChunk {
  std::uint32_t file = 0;
  std::uint32_t size_bytes = 0;
  std::uint32_t is_last = 0;
  std::uint32_t reserved = 0;
};

}  // namespace pipeline
