#include "daemon/daemon.hpp"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigaction's names
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <allot/version.hpp>

#include "daemon/clock.hpp"
#include "daemon/control_server.hpp"
#include "daemon/inherited_descriptors.hpp"
#include "daemon/log.hpp"
#include "daemon/runtime_dir.hpp"
#include "daemon/server.hpp"
#include "daemon/service_manager.hpp"
#include "daemon/sockets.hpp"
#include "daemon/timers.hpp"

namespace allot::daemon {

namespace {

constexpr std::uint64_t kDescriptorsPerConnection = 3;  // socket, pidfd, presence file
constexpr std::uint64_t kOtherDescriptors = 64 + 4 * kMaxRegions;

void warn_of_few_descriptors(const ServerLimits& limits) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  const std::uint64_t wanted = limits.max_connections * kDescriptorsPerConnection +
                               limits.max_control_connections + kOtherDescriptors;
  if (files.rlim_cur >= wanted) return;
  log_warning("max_connections = " + std::to_string(limits.max_connections) + " may need " +
              std::to_string(wanted) + " descriptors, RLIMIT_NOFILE allows " +
              std::to_string(files.rlim_cur) + "; raise LimitNOFILE= or ulimit -n");
}

// They stay in the store, for a build that knows them.
void report_unknown(const InheritedDescriptors& inherited) {
  for (const std::string& name : inherited.names()) {
    log_warning("closed a descriptor that systemd passed, named '" + one_line(name) +
                "': nothing here has this name");
  }
}

class Daemon {
 public:
  Daemon(boost::asio::io_context& context, Timers& timers, ServiceManager& manager,
         const DaemonOptions& options, const RuntimeDir& directory)
      : context_(context),
        signals_(context),
        manager_(manager),
        server_(context, timers, options.config.limits, options.forced, manager),
        control_(context, timers, options.config.limits, control_context(directory)) {}

  Expected<void> serve(const DaemonOptions& options, ListeningSockets sockets,
                       InheritedDescriptors inherited) {
    if (auto added = server_.add_regions(options.config.regions, inherited); !added) {
      return added.error();
    }
    report_unknown(inherited);
    inherited = {};
    boost::system::error_code failed;
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
      if (!failed) signals_.add(signal, failed);
    }
    if (failed) return Error(failed, "signals");
    wait_for_signal();
    if (auto served = server_.serve(std::move(sockets.client)); !served) return served;
    if (auto served = control_.serve(std::move(sockets.control)); !served) return served;
    manager_.ready("serving " + std::to_string(options.config.regions.size()) + " regions");
    log_info("allotd " ALLOT_VERSION_STRING " serves " + options.runtime_dir.native());
    context_.run();
    return {};
  }

 private:
  void wait_for_signal() {
    signals_.async_wait([this](const boost::system::error_code& failed, int signal) {
      if (failed) return;
      if (signal == SIGHUP) {
        log_info("SIGHUP ignored: restart allotd to read its configuration again");
        return wait_for_signal();
      }
      log_info(signal == SIGTERM ? "stopping: SIGTERM" : "stopping: SIGINT");
      manager_.stopping();
      control_.stop();
      server_.stop();
      context_.stop();
    });
  }

  ControlContext control_context(const RuntimeDir& directory) {
    return {
        .service = &server_.service(),
        .status =
            [this, path = directory.path().native()] {
              return ServerStatus{started_unix_ns_, server_.connection_count(),
                                  server_.bad_peer_count(), path};
            },
        .committed_bytes =
            [this](const core::RegionCore& region, core::RegionFile file) {
              return server_.host(region).committed_bytes(file);
            },
        .window_granules =
            [this](const core::RegionCore& region) {
              return server_.host(region).window_granules();
            },
        .heap_window =
            [this](const core::RegionCore& region) { return server_.host(region).window_heaps(); },
        .changed = [this] { server_.region_changed(); },
    };
  }

  boost::asio::io_context& context_;
  boost::asio::signal_set signals_;
  ServiceManager& manager_;
  std::uint64_t started_unix_ns_ = unix_now_ns();
  Server server_;
  ControlServer control_;
};

}  // namespace

void harden_process() {
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::umask(077);
  // A peer that is gone, and a file beyond RLIMIT_FSIZE, are errors and not signals.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
}

Expected<void> run_daemon(const DaemonOptions& options) {
  auto directory = RuntimeDir::take(options.runtime_dir);
  if (!directory) return directory.error();
  auto inherited = InheritedDescriptors::from_environment();
  if (!inherited) return inherited.error();

  // One thread: Asio needs no locks of its own, and the order here is the order of destruction.
  boost::asio::io_context context(1);
  auto timers = Timers::create(context);
  if (!timers) return timers.error();
  ServiceManager manager(context, **timers);
  if (const auto& shortage = manager.shortage()) return *shortage;
  auto sockets = ListeningSockets::take(*directory, *inherited, manager);
  if (!sockets) return sockets.error();
  const auto made = sockets->made;
  warn_of_few_descriptors(options.config.limits);
  Expected<void> served;
  {
    Daemon daemon(context, **timers, manager, options, *directory);
    served = daemon.serve(options, std::move(*sockets), std::move(*inherited));
  }
  // Still under the lock: no other daemon can have made its own meanwhile.
  for (const auto& socket : made) (void)RuntimeDir::remove_stale_socket(socket);
  return served;
}

}  // namespace allot::daemon
