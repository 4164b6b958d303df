// recovery: how long the memory of a killed process is away.
//
// A worker with 64 MiB of live blocks is killed. Three instants are seen from outside: the kernel
// has ended the process (its pidfd), the daemon has sealed its presence file (seen through a
// descriptor of the same file), the daemon has told those who watch the session that everything is
// recovered. The kernel alone decides how long it takes from the kill to the first two, so the
// claim counts from the seal. The seal is dated by the last look that did not see it.

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <allot/session.hpp>

#include "bench/daemon.hpp"
#include "bench/family.hpp"

namespace allot::bench {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kHeldBytes = std::uint64_t{64} << 20;
constexpr timespec kBetweenLooks{0, 20'000};

/// The presence files that a process has open, as paths under /proc.
std::set<std::filesystem::path> presence_files_of(pid_t pid) {
  std::set<std::filesystem::path> files;
  const std::filesystem::path directory = "/proc/" + std::to_string(pid) + "/fd";
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::error_code closed_meanwhile;
    const auto target = std::filesystem::read_symlink(entry.path(), closed_meanwhile);
    if (target.string().find("presence") != std::string::npos) files.insert(entry.path());
  }
  return files;
}

/// What the library's thread tells about the end of a session. It may be told after a failure here,
/// so the callback shares it.
struct Notice {
  Descriptor event{eventfd(0, EFD_CLOEXEC), "eventfd"};
  std::atomic<Clock::time_point> at{};

  void give() {
    at.store(Clock::now());
    eventfd_write(event.get(), 1);
  }
};

/// A session in another process, with everything needed to watch its end.
class Worker {
 public:
  Worker(const Daemon& daemon, Session& watcher, std::size_t block_bytes)
      : before_(presence_files_of(daemon.pid())),
        child_({{ALLOT_BENCH_RUNNER, "--loop", "hold", "--size", std::to_string(block_bytes),
                 "--blocks", std::to_string(kHeldBytes / block_bytes)},
                {daemon.environment()}}) {
    std::istringstream held(child_.read_line());
    std::string word;
    SessionId id;
    if (!(held >> word >> id.session >> id.incarnation) || word != "held") {
      throw std::runtime_error("the worker says: " + held.str());
    }
    for (const auto& file : presence_files_of(daemon.pid())) {
      if (before_.contains(file)) continue;
      presence_ = Descriptor(open(file.c_str(), O_RDONLY | O_CLOEXEC), file.c_str());
    }
    watcher.on_exit(id, [notice = recovered_] { notice->give(); }).value();
  }

  struct Times {
    double exit_ms = 0;       // from the kill to the end of the process
    double seal_ms = 0;       // from the kill to the seal
    double recovered_ms = 0;  // from the kill to the recovery
  };

  /// Kills the worker and waits until its memory is back.
  [[nodiscard]] Times kill_and_watch() {
    const Clock::time_point killed = Clock::now();
    child_.send_signal(SIGKILL);
    std::optional<Clock::time_point> exited;
    std::optional<Clock::time_point> sealed;
    Clock::time_point looked = killed;
    for (;;) {
      const Clock::time_point now = Clock::now();
      if (now - killed > kDeadline) throw std::runtime_error("no recovery in time");
      if (!exited && is_readable(child_.pidfd())) exited = now;
      if (!sealed && is_sealed()) sealed = looked;
      looked = now;
      if (wait_recovered() && sealed && exited) break;
    }
    return {ms(*exited - killed), ms(*sealed - killed), ms(recovered_->at.load() - killed)};
  }

 private:
  static double ms(Clock::duration duration) {
    return std::chrono::duration<double, std::milli>(duration).count();
  }

  static bool is_readable(const Descriptor& descriptor) {
    return wait_readable({descriptor.get()}, std::chrono::milliseconds{0});
  }

  [[nodiscard]] bool is_sealed() const {
    const int seals = fcntl(presence_.get(), F_GET_SEALS);
    if (seals < 0) throw std::system_error(errno, std::generic_category(), "F_GET_SEALS");
    return (seals & F_SEAL_WRITE) != 0;
  }

  /// Waits for the recovery, but not longer than until the next look.
  [[nodiscard]] bool wait_recovered() const {
    pollfd polled{recovered_->event.get(), POLLIN, 0};
    return ppoll(&polled, 1, &kBetweenLooks, nullptr) > 0;
  }

  std::set<std::filesystem::path> before_;
  Child child_;
  Descriptor presence_;
  std::shared_ptr<Notice> recovered_ = std::make_shared<Notice>();
};

Measurement measure_blocks(const Daemon& daemon, Session& watcher, std::size_t block_bytes,
                           const std::string& case_name, const Effort& effort) {
  Sample from_seal;
  Sample exited;
  Sample sealed;
  Sample from_kill;
  for (int round = 0; round < effort.rounds; ++round) {
    Worker worker(daemon, watcher, block_bytes);
    const Worker::Times times = worker.kill_and_watch();
    from_seal.add(times.recovered_ms - times.seal_ms);
    exited.add(times.exit_ms);
    sealed.add(times.seal_ms);
    from_kill.add(times.recovered_ms);
  }
  return {"recovery",
          case_name,
          "ms",
          from_seal,
          {},
          {{"kill to exit", exited}, {"kill to seal", sealed}, {"kill to recovered", from_kill}}};
}

}  // namespace

std::vector<Measurement> measure_recovery(const Effort& effort) {
  const Daemon daemon;
  ConnectOptions options;
  options.socket_path = daemon.runtime_dir() / "client.sock";
  Session watcher = Session::connect(options).value();
  std::vector<Measurement> measurements;
  measurements.push_back(
      measure_blocks(daemon, watcher, 1024, "64 MiB: seal to recovered", effort));
  measurements.push_back(measure_blocks(daemon, watcher, 64, "64 MiB of 64 B", effort));
  watcher.close();
  return measurements;
}

}  // namespace allot::bench
