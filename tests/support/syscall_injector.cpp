#include "tests/support/syscall_injector.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "tests/support/syscall_errors.hpp"

namespace allot::test {

namespace {

// What is injected; 0 stands for SIGKILL.
constexpr std::array<int, 5> kKinds{0, ENOMEM, EMFILE, ENOSPC, EINTR};

std::size_t kind_of(int error) {
  return static_cast<std::size_t>(std::find(kKinds.begin(), kKinds.end(), error) - kKinds.begin());
}

}  // namespace

struct SyscallInjector::Shared {
  std::atomic<bool> armed{true};
  std::atomic<unsigned> generations{0};
  std::array<std::atomic<std::uint64_t>, kKinds.size()> counted{};  // of each kind
  std::atomic<std::uint64_t> made_at{0};                            // the call's number and 1
};

#if defined(__x86_64__)

namespace {

// The tracer, in a process of its own that was forked from one with threads: nothing here may need a lock.
class Tracer {
 public:
  Tracer(pid_t supervisor, const Injection& injection) noexcept
      : supervisor_(supervisor), injection_(injection) {}

  template <class Shared>
  void run(Shared& shared) noexcept {
    for (;;) {
      int status = 0;
      const pid_t who = ::waitpid(-1, &status, __WALL);
      if (who < 0 && errno == EINTR) continue;
      if (who < 0) return;  // all have ended
      if (WIFSTOPPED(status)) stopped(who, status, shared);
      if (!WIFSTOPPED(status)) forget(who);
    }
  }

 private:
  struct Tracee {
    pid_t pid = 0;            // 0: a free slot
    unsigned generation = 0;  // 0: not known as yet
    bool waits = false;       // until it is known
    bool fails = false;       // the call that it is in
  };

  template <class Shared>
  void stopped(pid_t who, int status, Shared& shared) noexcept {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
      unsigned long child = 0;
      ::ptrace(PTRACE_GETEVENTMSG, who, nullptr, &child);
      was_forked(who, static_cast<pid_t>(child), shared);
      return go_on(who, 0);
    }
    if (event == PTRACE_EVENT_STOP &&
        (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)) {
      ::ptrace(PTRACE_LISTEN, who, nullptr, nullptr);
      return;
    }
    if (who != supervisor_ && slot_of(who).generation == 0) {
      slot_of(who).waits = true;  // its parent's event says what it is
      return;
    }
    if (signal == (SIGTRAP | 0x80)) {
      at_call(who, shared);
      return go_on(who, 0);
    }
    go_on(who, event == 0 ? signal : 0);
  }

  template <class Shared>
  void was_forked(pid_t parent, pid_t child, Shared& shared) noexcept {
    Tracee& tracee = slot_of(child);
    tracee.generation =
        parent == supervisor_ ? shared.generations.fetch_add(1) + 1 : slot_of(parent).generation;
    // It stops before its first instruction, and may have done so already.
    if (std::exchange(tracee.waits, false)) go_on(child, 0);
  }

  void go_on(pid_t who, int signal) noexcept {
    ::ptrace(who == supervisor_ ? PTRACE_CONT : PTRACE_SYSCALL, who, nullptr, signal);
  }

  template <class Shared>
  void at_call(pid_t who, Shared& shared) noexcept {
    Tracee& tracee = slot_of(who);
    __ptrace_syscall_info info{};
    if (tracee.generation != injection_.generation ||
        ::ptrace(PTRACE_GET_SYSCALL_INFO, who, sizeof(info), &info) <= 0) {
      return;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT && tracee.fails) {
      tracee.fails = false;
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, who, nullptr, &registers);
      registers.rax = static_cast<std::uint64_t>(-std::int64_t{injection_.error});
      ::ptrace(PTRACE_SETREGS, who, nullptr, &registers);
    }
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !shared.armed.load()) return;
    bool is_it = false;
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
      if (kKinds[kind] != 0 &&
          !may_end_with(kKinds[kind], who, info.entry.nr, &info.entry.args[0])) {
        continue;
      }
      const std::uint64_t count = shared.counted[kind].fetch_add(1) + 1;
      is_it = is_it || (kKinds[kind] == injection_.error && count == injection_.at);
    }
    if (!is_it) return;
    shared.made_at = info.entry.nr + 1;
    if (injection_.error == 0) {
      ::kill(who, SIGKILL);
      return;
    }
    tracee.fails = true;
    user_regs_struct registers{};
    ::ptrace(PTRACE_GETREGS, who, nullptr, &registers);
    registers.orig_rax = ~std::uint64_t{0};  // no call
    ::ptrace(PTRACE_SETREGS, who, nullptr, &registers);
  }

  Tracee& slot_of(pid_t who) noexcept {
    const auto of = [this](pid_t pid) {
      return std::find_if(tracees_.begin(), tracees_.end(),
                          [&](const Tracee& one) { return one.pid == pid; });
    };
    auto found = of(who);
    if (found == tracees_.end()) {
      found = of(0);
      if (found == tracees_.end()) ::_exit(1);
      *found = Tracee{who};
    }
    return *found;
  }

  void forget(pid_t who) noexcept { slot_of(who) = Tracee(); }

  pid_t supervisor_;
  Injection injection_;
  std::array<Tracee, 64> tracees_{};
};

}  // namespace

#endif

SyscallInjector::SyscallInjector(const Injection& injection) : injection_(injection) {
  void* const page =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::runtime_error("no page for the tracer");
  shared_ = new (page) Shared();
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::runtime_error("no socket for the tracer");
  }
  link_ = platform::Descriptor(ends[0]);
  const platform::Descriptor tracers(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t tracer = ::fork();
  if (tracer == 0) run_tracer(parent, tracers.get());
  tracer_ = ChildProcess(tracer);
}

SyscallInjector::~SyscallInjector() {
  tracer_ = ChildProcess();  // kills it
  ::munmap(shared_, sizeof(Shared));
}

#if defined(__x86_64__)

void SyscallInjector::run_tracer(pid_t parent, int link) const {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  // Nothing that the test has open stays so because of this process.
  if (link != 0) ::dup2(link, 0);
  ::close_range(1, ~0U, 0);
  pid_t supervisor = 0;
  if (::read(0, &supervisor, sizeof(supervisor)) != sizeof(supervisor)) ::_exit(1);
  constexpr int kOptions = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
                           PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL;
  const int failed =
      ::ptrace(PTRACE_SEIZE, supervisor, nullptr, kOptions) == 0 ? 0 : static_cast<int>(errno);
  if (::write(0, &failed, sizeof(failed)) != sizeof(failed)) ::_exit(1);
  ::close(0);
  if (failed == 0) Tracer(supervisor, injection_).run(*shared_);
  ::_exit(0);
}

#else

void SyscallInjector::run_tracer(pid_t, int) const { ::_exit(1); }

#endif

void SyscallInjector::trace_this_process() const {
  ::prctl(PR_SET_PTRACER, tracer_.pid(), 0, 0, 0);
  const pid_t supervisor = ::getpid();
  int failed = -1;
  if (::write(link_.get(), &supervisor, sizeof(supervisor)) == sizeof(supervisor) &&
      ::read(link_.get(), &failed, sizeof(failed)) == sizeof(failed) && failed == 0) {
    return;
  }
  constexpr char kWhy[] = "the supervisor cannot be traced\n";
  (void)!::write(STDERR_FILENO, &kWhy[0], sizeof(kWhy) - 1);
  ::_exit(126);
}

void SyscallInjector::arm(bool on) const { shared_->armed = on; }

std::uint64_t SyscallInjector::counted(int error) const {
  return shared_->counted.at(kind_of(error));
}

unsigned SyscallInjector::generations() const { return shared_->generations; }

bool SyscallInjector::was_made() const { return shared_->made_at != 0; }

std::string SyscallInjector::what() const {
  const std::uint64_t at = shared_->made_at;
  std::string out = injection_.error == 0 ? "SIGKILL" : ::strerrorname_np(injection_.error);
  out += " at call " + std::to_string(injection_.at) + " of generation " +
         std::to_string(injection_.generation);
  if (at == 0) return out + ", which did not come";
  const char* const name = name_of_call(at - 1);
  return out + (name != nullptr ? std::string(": ") + name : ": number " + std::to_string(at - 1));
}

}  // namespace allot::test
