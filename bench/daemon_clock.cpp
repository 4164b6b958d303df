#include "bench/daemon_clock.hpp"

#include <sys/types.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace allot::bench {

clockid_t clock_of_daemon() {
  const char* const directory = std::getenv("ALLOT_RUNTIME_DIR");
  if (directory == nullptr) throw std::runtime_error("no ALLOT_RUNTIME_DIR");
  std::ifstream lock(std::filesystem::path(directory) / "allotd.lock");
  pid_t pid = 0;
  clockid_t clock{};
  if (!(lock >> pid) || clock_getcpuclockid(pid, &clock) != 0) {
    throw std::runtime_error("no daemon in ALLOT_RUNTIME_DIR");
  }
  return clock;
}

}  // namespace allot::bench
