// The worker of the variant over pipes: the bytes are copied into its own buffer, and hashed there.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "examples/pipeline/descriptor.hpp"
#include "examples/pipeline/digest.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/role.hpp"

namespace pipeline {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

class PipeWorker {
 public:
  explicit PipeWorker(const Role& role)
      : input_(role.reader_fd),
        output_(role.collector_fd),
        number_(role.worker),
        buffer_(kBufferBytes) {}

  // Returns at the end of the input.
  void run() {
    for (;;) {
      const ssize_t got = ::read(input_.get(), buffer_.data() + filled_, buffer_.size() - filled_);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw system_failure("read from the reader");
      if (got == 0) break;
      filled_ += static_cast<std::size_t>(got);
      consume();
    }
    if (filled_ != 0 || left_bytes_ != 0 || !between_files_) {
      throw Failure(ExitCode::kWrong, "the input ends inside a file");
    }
  }

 private:
  // Takes what the buffer holds; keeps an incomplete header at its start.
  void consume() {
    std::span<const std::byte> rest(buffer_.data(), filled_);
    while (!rest.empty()) {
      if (left_bytes_ > 0) {
        const auto part = rest.first(std::min(rest.size(), left_bytes_));
        digest_.add(part);
        left_bytes_ -= part.size();
        rest = rest.subspan(part.size());
      } else if (rest.size() >= sizeof chunk_) {
        std::memcpy(&chunk_, rest.data(), sizeof chunk_);
        rest = rest.subspan(sizeof chunk_);
        begin_chunk();
      } else {
        break;
      }
      if (left_bytes_ == 0 && chunk_.is_last != 0 && !between_files_) end_file();
    }
    std::memmove(buffer_.data(), rest.data(), rest.size());
    filled_ = rest.size();
  }

  void begin_chunk() {
    if (between_files_) digest_.begin();
    between_files_ = false;
    left_bytes_ = chunk_.size_bytes;
  }

  void end_file() {
    FileDone done = digest_.end();
    done.file = chunk_.file;
    done.worker = number_;
    // Less than PIPE_BUF: whole, though all workers write to one pipe.
    if (::write(output_.get(), &done, sizeof done) != sizeof done) {
      throw system_failure("write to the collector");
    }
    between_files_ = true;
  }

  Descriptor input_;
  Descriptor output_;
  std::uint32_t number_;
  std::vector<std::byte> buffer_;
  std::size_t filled_ = 0;
  PipeChunk chunk_;
  std::size_t left_bytes_ = 0;  // of the chunk
  bool between_files_ = true;
  Digest digest_;
};

}  // namespace

int run_pipe_worker(Role role) {
  PipeWorker worker(role);
  report_ready(role);
  worker.run();
  return 0;
}

}  // namespace pipeline
