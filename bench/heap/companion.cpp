#include "bench/heap/companion.hpp"

#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <iostream>
#include <system_error>
#include <utility>
#include <vector>

#include "bench/processors.hpp"

namespace allot::bench {

namespace {

// Asked once, before anything is pinned.
const std::vector<int>& processors() {
  static const std::vector<int> kProcessors = usable_processors();
  return kProcessors;
}

bool do_pinned(const std::function<void()>& work, const std::function<void()>& failed) {
  try {
    pin_to_processor(1);
    work();
    return true;
  } catch (const std::exception& error) {
    std::cerr << "companion: " << error.what() << '\n';
    failed();
    return false;
  }
}

}  // namespace

void pin_to_processor(std::size_t n) {
  const std::vector<int>& all = processors();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(all[n % all.size()]), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    throw std::system_error(errno, std::generic_category(), "sched_setaffinity");
  }
}

Companion::Companion(Kind kind, std::function<void()> work, std::function<void()> failed) {
  pin_to_processor(0);
  if (kind == Kind::kThread) {
    thread_ = std::thread(
        [work = std::move(work), failed = std::move(failed)] { do_pinned(work, failed); });
    return;
  }
  const pid_t parent = getpid();
  child_ = fork();
  if (child_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child_ > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  _exit(do_pinned(work, failed) ? 0 : 1);
}

Companion::~Companion() {
  if (thread_.joinable()) thread_.join();
  if (child_ > 0) waitpid(child_, nullptr, 0);
}

void* map_shared(std::size_t size_bytes) {
  void* const memory =
      mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  return memory;
}

void unmap_shared(void* memory, std::size_t size_bytes) noexcept { munmap(memory, size_bytes); }

}  // namespace allot::bench
