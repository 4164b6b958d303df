#include "daemon/service_manager.hpp"

#include <fcntl.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "daemon/descriptor_name.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

constexpr std::chrono::seconds kEndPatience{1};

std::uint64_t capacity_by_environment() {
  const char* const value = std::getenv("FDSTORE");
  if (value == nullptr) return 0;
  const std::string_view text(value);
  std::uint64_t capacity = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), capacity);
  return failed == std::errc() && end == text.data() + text.size() ? capacity : 0;
}

}  // namespace

// A pipe: the service manager has the only writing end, and closes it when it gets to it.
struct ServiceManager::Barrier {
  Barrier(boost::asio::io_context& context, Timers& timers, platform::Descriptor reading_end,
          Reached when_reached)
      : end(context, std::move(reading_end)), timer(timers), then(std::move(when_reached)) {}

  AsyncDescriptor end;
  Timer timer;
  Reached then;
};

ServiceManager::ServiceManager(boost::asio::io_context& context, Timers& timers)
    : context_(context),
      timers_(timers),
      socket_(context, timers),
      store_capacity_(socket_.is_connected() ? capacity_by_environment() : 0),
      ping_(timers) {}

ServiceManager::~ServiceManager() = default;

void ServiceManager::ready(const std::string& status) {
  socket_.send("READY=1\nSTATUS=" + status);
  std::uint64_t watchdog_us = 0;
  if (::sd_watchdog_enabled(0, &watchdog_us) <= 0) return;
  interval_ = std::max(std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::microseconds(watchdog_us / 2)),
                       std::chrono::milliseconds(1));
  ping();
}

void ServiceManager::ping() {
  socket_.send("WATCHDOG=1");
  ping_.start(interval_, [this] { ping(); });
}

void ServiceManager::stopping() {
  socket_.send("STOPPING=1\nSTATUS=stopping");
  socket_.flush(std::chrono::steady_clock::now() + kEndPatience);
}

void ServiceManager::store(std::string_view name, int descriptor) {
  assert(is_descriptor_name(name));
  if (!has_store()) return;
  // Without FDPOLL=0 systemd drops what hangs up, such as a socket whose peer is gone.
  socket_.send("FDSTORE=1\nFDNAME=" + std::string(name) + "\nFDPOLL=0", descriptor);
}

void ServiceManager::remove(std::string_view name) {
  assert(is_descriptor_name(name));
  if (!has_store()) return;
  socket_.send("FDSTOREREMOVE=1\nFDNAME=" + std::string(name));
}

void ServiceManager::barrier(Reached then) {
  const std::uint64_t number = next_barrier_++;
  std::array<int, 2> ends{-1, -1};
  Expected<void> made;
  if (has_store() && ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    made = platform::system_error("pipe2");
  }
  platform::Descriptor reading(ends[0]);
  const platform::Descriptor writing(ends[1]);
  auto& barrier = *barriers_
                       .emplace(number, std::make_unique<Barrier>(
                                            context_, timers_, std::move(reading), std::move(then)))
                       .first->second;
  // Never from here, so that a caller meets `then` in one place only.
  const auto soon = [this, number, &barrier](const Expected<void>& result) {
    barrier.end.close();
    barrier.timer.start(std::chrono::milliseconds(0),
                        [this, number, result] { reach(number, result); });
  };
  if (!made || !has_store()) return soon(made);
  if (!barrier.end) return soon(Error(Errc::kSystem, "the event loop refuses a pipe"));
  barrier.end.async_wait_readable([this, number](bool hung_up) {
    if (hung_up) reach(number, {});
  });
  barrier.timer.start(kBarrierPatience, [this, number] {
    reach(number, Error(Errc::kDeadline, "the service manager does not answer on NOTIFY_SOCKET"));
  });
  // The queue may outlast the barrier, which is gone after its deadline.
  socket_.send("BARRIER=1", writing.get(), [this, number, soon](const Error& error) {
    if (!barriers_.contains(number)) return;
    soon(has_store() ? Expected<void>(error) : Expected<void>());
  });
}

void ServiceManager::reach(std::uint64_t number, const Expected<void>& result) {
  const auto barrier = std::move(barriers_.extract(number).mapped());
  barrier->then(result);
}

}  // namespace allot::daemon
