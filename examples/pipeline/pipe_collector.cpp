// The collector of the variant over pipes.

#include <cerrno>
#include <cstddef>
#include <vector>

#include "examples/pipeline/channel.hpp"
#include "examples/pipeline/failure.hpp"
#include "examples/pipeline/file_table.hpp"
#include "examples/pipeline/messages.hpp"
#include "examples/pipeline/role.hpp"

namespace pipeline {

namespace {

// Reads the results that are there, at least one; false at the end of the pipe.
bool read_results(int fd, std::vector<FileDone>& results) {
  results.resize(kMessagesPerDatagram);
  auto* const bytes = reinterpret_cast<std::byte*>(results.data());
  std::size_t filled = 0;
  do {
    const ssize_t got = ::read(fd, bytes + filled, results.size() * sizeof(FileDone) - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw system_failure("read from the workers");
    if (got == 0 && filled == 0) return false;
    if (got == 0) throw Failure(ExitCode::kWrong, "the pipe ends inside a result");
    filled += static_cast<std::size_t>(got);
  } while (filled % sizeof(FileDone) != 0 || filled == 0);
  results.resize(filled / sizeof(FileDone));
  return true;
}

}  // namespace

int run_pipe_collector(Role role) {
  const Descriptor control(role.control_fd);
  const Descriptor workers(role.reader_fd);
  FileTable table(role.list_path);
  report_ready(role);
  std::vector<FileDone> results;
  while (read_results(workers.get(), results)) {
    std::erase_if(results, [&table](const FileDone& done) { return !table.add(done); });
    if (!send_all(control.get(), results)) {
      throw Failure(ExitCode::kWrong, "the orchestrator is gone");
    }
  }
  return 0;
}

}  // namespace pipeline
