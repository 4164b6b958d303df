// The collector of the variant over pipes.

#include <cstddef>

#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/file_table.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/role.hpp"

namespace pipeline {

namespace {

// Reads one result; false at the end of the pipe.
bool read_result(int fd, FileDone& done) {
  auto* const bytes = reinterpret_cast<std::byte*>(&done);
  std::size_t filled = 0;
  while (filled < sizeof done) {
    const ssize_t got = ::read(fd, bytes + filled, sizeof done - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_failure("read from the workers");
    if (got == 0 && filled == 0) return false;
    if (got == 0) throw Failure(ExitCode::kWrong, "the pipe ends inside a result");
    filled += static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

int run_pipe_collector(Role role) {
  const Descriptor control(role.control_fd);
  const Descriptor workers(role.reader_fd);
  FileTable table(role.list_path);
  report_ready(role);
  FileDone done;
  while (read_result(workers.get(), done)) {
    if (table.add(done) && !send(control.get(), done)) {
      throw Failure(ExitCode::kWrong, "the orchestrator is gone");
    }
  }
  return 0;
}

}  // namespace pipeline
