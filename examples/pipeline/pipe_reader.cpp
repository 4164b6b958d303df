// The reader of the variant over pipes: reads files into its own buffers and writes them to
// workers.
//
// One thread, as in the region's reader; a worker is served when its pipe has room.

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/file_set.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/role.hpp"

namespace pipeline {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
// Small files go together, so that a write is worth its system call.
constexpr std::size_t kWorthWritingBytes = std::size_t{64} << 10;

struct Lane {
  Descriptor pipe;  // empty: all is written
  Descriptor file;  // the one being read
  std::size_t file_index = 0;
  std::uint64_t left_bytes = 0;  // of the file
  std::vector<std::byte> buffer;
  std::size_t begin = 0;  // of what is not yet written
  std::size_t end = 0;
};

class PipeReader {
 public:
  explicit PipeReader(const Role& role)
      : files_(FileSet::load(role.list_path)), control_(role.control_fd) {
    for (const int fd : role.worker_fds) {
      Lane& lane = lanes_.emplace_back();
      lane.pipe = Descriptor(fd);
      lane.buffer.resize(kBufferBytes);
      // As much as an ordinary user may have; the default does as well, more slowly.
      (void)::fcntl(fd, F_SETPIPE_SZ, static_cast<int>(kBufferBytes));
      if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) throw system_failure("fcntl(O_NONBLOCK)");
    }
  }

  void run() {
    Go go;
    if (receive(control_.get(), go, Patience::kWait) != Reception::kMessage) return;
    while (
        std::any_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return !!lane.pipe; })) {
      std::vector<pollfd> entries;
      for (const Lane& lane : lanes_) entries.push_back({lane.pipe.get(), POLLOUT, 0});
      if (::poll(entries.data(), entries.size(), -1) < 0) throw system_failure("poll");
      for (std::size_t i = 0; i < lanes_.size(); ++i) {
        if (entries[i].revents != 0) serve(lanes_[i]);
      }
    }
    tell({.kind = ReaderNote::Kind::kFinished, .files = loaded_files_, .bytes = loaded_bytes_});
  }

 private:
  void serve(Lane& lane) {
    if (lane.begin == lane.end) refill(lane);
    if (lane.begin == lane.end) {
      lane.pipe.reset();  // no more files: the worker sees the end
      return;
    }
    const ssize_t put =
        ::write(lane.pipe.get(), lane.buffer.data() + lane.begin, lane.end - lane.begin);
    if (put >= 0) {
      lane.begin += static_cast<std::size_t>(put);
    } else if (errno != EAGAIN && errno != EINTR) {
      throw system_failure("write to a worker");
    }
  }

  void refill(Lane& lane) {
    lane.begin = 0;
    lane.end = 0;
    while (lane.end < kWorthWritingBytes && (lane.file || open_next(lane))) add_chunk(lane);
  }

  // Opens the next file that can be; false if there is none.
  bool open_next(Lane& lane) {
    for (; next_file_ < files_.files().size(); ++next_file_) {
      const char* const path = files_.files()[next_file_].path.c_str();
      lane.file = Descriptor(::open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      struct stat status {};
      if (lane.file && ::fstat(lane.file.get(), &status) == 0) {
        lane.left_bytes = static_cast<std::uint64_t>(status.st_size);
        lane.file_index = next_file_++;
        ++loaded_files_;
        return true;
      }
      tell({.kind = ReaderNote::Kind::kSkipped,
            .file = next_file_,
            .error = static_cast<std::uint64_t>(errno)});
    }
    lane.file.reset();
    return false;
  }

  void add_chunk(Lane& lane) {
    std::byte* const header = lane.buffer.data() + lane.end;
    const std::size_t room = lane.buffer.size() - lane.end - sizeof(PipeChunk);
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(room, lane.left_bytes));
    ssize_t got = 0;
    if (want > 0) got = ::read(lane.file.get(), header + sizeof(PipeChunk), want);
    if (got < 0) throw system_failure("read " + files_.files()[lane.file_index].path);
    lane.left_bytes -= static_cast<std::uint64_t>(got);
    loaded_bytes_ += static_cast<std::uint64_t>(got);
    const bool is_last = got == 0 || lane.left_bytes == 0;
    const PipeChunk chunk{.file = static_cast<std::uint32_t>(lane.file_index),
                          .size_bytes = static_cast<std::uint32_t>(got),
                          .is_last = is_last ? 1U : 0U};
    std::memcpy(header, &chunk, sizeof chunk);
    lane.end += sizeof chunk + static_cast<std::size_t>(got);
    if (is_last) lane.file.reset();
  }

  void tell(const ReaderNote& note) {
    if (!send(control_.get(), note)) throw Failure(ExitCode::kWrong, "the orchestrator is gone");
  }

  FileSet files_;
  Descriptor control_;
  std::vector<Lane> lanes_;
  std::size_t next_file_ = 0;
  std::uint64_t loaded_files_ = 0;
  std::uint64_t loaded_bytes_ = 0;
};

}  // namespace

int run_pipe_reader(Role role) {
  PipeReader reader(role);
  report_ready(role);
  reader.run();
  return 0;
}

}  // namespace pipeline
