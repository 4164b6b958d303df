#include "daemon/supervisor.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigprocmask, kill
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "daemon/async_descriptor.hpp"
#include "daemon/daemon_messages.hpp"
#include "daemon/inherited_descriptors.hpp"
#include "daemon/notification.hpp"
#include "daemon/notify_socket.hpp"
#include "daemon/restart_policy.hpp"
#include "daemon/runtime_dir.hpp"
#include "daemon/supervised_child.hpp"
#include "daemon/timers.hpp"
#include "shared/platform/pidfd.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kEndPatience{10000};
constexpr std::chrono::milliseconds kFlushPatience{1000};

std::string how_it_ended(int wait_status) {
  if (WIFEXITED(wait_status))
    return "ended with status " + std::to_string(WEXITSTATUS(wait_status));
  const int signal = WTERMSIG(wait_status);
  return "was killed by signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")";
}

Expected<platform::Descriptor> take_signals() {
  sigset_t ours;
  ::sigemptyset(&ours);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&ours, signal);
  if (::sigprocmask(SIG_BLOCK, &ours, nullptr) != 0) return platform::system_error("sigprocmask");
  platform::Descriptor signals(::signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return platform::system_error("signalfd");
  return signals;
}

class Supervisor {
 public:
  Supervisor(boost::asio::io_context& context, Timers& timers, ChildProgram program,
             platform::Descriptor listener, platform::Descriptor signals, RestartPolicy policy)
      : context_(context),
        program_(std::move(program)),
        own_manager_(context, timers),
        messages_(context, std::move(listener), own_manager_, [this] { is_ready(); }),
        signals_(context, std::move(signals)),
        pause_(timers),
        patience_(timers),
        steady_(timers),
        policy_(policy) {}

  Expected<int> run(InheritedDescriptors inherited) {
    if (!messages_ || !signals_) return Error(Errc::kSystem, "the event loop refuses a descriptor");
    if (const auto& shortage = own_manager_.shortage()) return *shortage;
    for (const std::string& name : inherited.names()) {
      if (auto one = inherited.take(name)) messages_.keep(name, std::move(*one));
    }
    messages_.wait();
    wait_for_signals();
    start();
    say_as_supervisor("pid " + std::to_string(::getpid()) + " keeps the descriptors of " +
                      program_.path.native() + ", started as pid " + std::to_string(child_));
    context_.run();
    own_manager_.flush(Clock::now() + kFlushPatience);
    return exit_status_;
  }

 private:
  // ---- The daemon's life

  void start() {
    pause_.cancel();
    wants_restart_ = false;
    started_ = Clock::now();
    if (const auto started = try_to_start(); !started) {
      say_as_supervisor("cannot start the daemon: " + started.error().message() + "; trying again");
      pause_.start(RestartPolicy::kLongestPause, [this] { start(); });
    }
  }

  Expected<void> try_to_start() {
    const auto child = start_child(program_, messages_.store());
    if (!child) return child.error();
    auto pidfd = platform::pidfd_open(*child);
    if (pidfd) exit_.emplace(context_, std::move(*pidfd));
    if (!pidfd || !*exit_) {  // nobody would notice its end
      ::kill(*child, SIGKILL);
      ::waitpid(*child, nullptr, 0);
      return pidfd ? Error(Errc::kSystem, "the event loop refuses a pidfd") : pidfd.error();
    }
    child_ = *child;
    messages_.listen_to(child_);
    exit_->async_wait_readable([this](bool ended) {
      if (ended) reap();
    });
    return {};
  }

  void is_ready() {
    policy_.was_ready();
    steady_.start(RestartPolicy::kShortLife, [this] { policy_.is_steady(); });
  }

  void reap() {
    // What it said before it died counts, and a barrier's descriptor among it is not left open.
    messages_.drain();
    messages_.listen_to(0);
    int status = 0;
    ::waitpid(child_, &status, 0);
    const pid_t pid = std::exchange(child_, 0);
    exit_.reset();
    patience_.cancel();
    steady_.cancel();
    if (is_ending_) return end(0);
    const std::string who = "the daemon (pid " + std::to_string(pid) + ") " + how_it_ended(status);
    if (wants_restart_) {
      say_as_supervisor(who + "; starting it again, as SIGHUP asked");
      return start();
    }
    decide(who, policy_.ended(status, std::chrono::duration_cast<std::chrono::milliseconds>(
                                          Clock::now() - started_)));
  }

  void decide(const std::string& who, const RestartPolicy::Decision& decision) {
    switch (decision.fate) {
      case RestartPolicy::Fate::kEnd: return end(decision.exit_status);
      case RestartPolicy::Fate::kHold:
        return say_as_supervisor(who + ": " + what_to_do(decision.exit_status) +
                                 ", then kill -HUP " + std::to_string(::getpid()) + "; " +
                                 std::to_string(messages_.store().size()) +
                                 " descriptors are kept");
      case RestartPolicy::Fate::kRestart: break;
    }
    say_as_supervisor(who + "; starting it again" +
                      (decision.pause.count() > 0
                           ? " in " + std::to_string(decision.pause.count()) + " ms"
                           : ""));
    if (decision.pause.count() == 0) return start();
    pause_.start(decision.pause, [this] { start(); });
  }

  static std::string what_to_do(int exit_status) {
    return exit_status == kExitOtherLayout
               ? "it is of another layout than the stored regions; install the build that made them"
               : "its options or its configuration are wrong; correct them";
  }

  void end(int exit_status) {
    exit_status_ = exit_status;
    context_.stop();
  }

  // ---- Signals

  void wait_for_signals() {
    signals_.async_wait_readable([this](bool readable) {
      if (!readable) return;
      signalfd_siginfo signal{};
      while (::read(signals_.get().get(), &signal, sizeof(signal)) == sizeof(signal)) {
        if (signal.ssi_signo == SIGHUP) {
          start_anew();
        } else {
          end_daemon();
        }
      }
      wait_for_signals();
    });
  }

  void end_daemon() {
    if (child_ == 0) return end(0);
    if (std::exchange(is_ending_, true)) {
      ::kill(child_, SIGKILL);
      return;
    }
    messages_.expect_end();
    ask_to_end();
  }

  void start_anew() {
    if (is_ending_) return;
    if (child_ == 0) {
      say_as_supervisor("SIGHUP: starting the daemon");
      return start();
    }
    if (!std::exchange(wants_restart_, true)) ask_to_end();
  }

  void ask_to_end() {
    ::kill(child_, SIGTERM);
    patience_.start(kEndPatience, [this] {
      say_as_supervisor("the daemon (pid " + std::to_string(child_) + ") does not end; killing it");
      ::kill(child_, SIGKILL);
    });
  }

  boost::asio::io_context& context_;
  ChildProgram program_;
  NotifySocket own_manager_;
  DaemonMessages messages_;
  AsyncDescriptor signals_;
  Timer pause_;     // before the next start
  Timer patience_;  // until it is killed
  Timer steady_;    // until it has served for a while
  RestartPolicy policy_;
  pid_t child_ = 0;  // 0: none
  std::optional<AsyncDescriptor> exit_;
  Clock::time_point started_;
  bool wants_restart_ = false;
  bool is_ending_ = false;
  int exit_status_ = 0;
};

bool asks_for_supervisor(const std::string& argument) {
  return argument == "--supervise" || argument.starts_with("--supervise=");
}

}  // namespace

Expected<int> supervise(const SupervisorOptions& options) {
  auto inherited = InheritedDescriptors::from_environment();
  if (!inherited) return inherited.error();
  const auto directory = RuntimeDir::prepare(options.runtime_dir);
  if (!directory) return directory.error();
  ChildProgram program;
  program.path = path_of_this_program(options.arguments.front());
  program.arguments = options.arguments;
  std::erase_if(program.arguments, asks_for_supervisor);
  // Of its own name: the lock that keeps a second daemon out of the directory is the daemon's.
  program.notify_socket = *directory / ("notify-" + std::to_string(::getpid()));

  auto listener = listen_for_notifications(program.notify_socket);
  if (!listener) return listener.error();
  auto signals = take_signals();
  if (!signals) return signals.error();
  boost::asio::io_context context(1);
  auto timers = Timers::create(context);
  if (!timers) return timers.error();
  const auto socket = program.notify_socket;
  Supervisor supervisor(context, **timers, std::move(program), std::move(*listener),
                        std::move(*signals), RestartPolicy(options.longest_pause));
  auto status = supervisor.run(std::move(*inherited));
  ::unlink(socket.c_str());
  return status;
}

}  // namespace allot::daemon
