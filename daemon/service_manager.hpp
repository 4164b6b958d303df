// ServiceManager: what the daemon tells systemd, or whoever set NOTIFY_SOCKET, and gives it to keep.
//
// Used by Daemon. Without a service manager each call does nothing. Pings of the watchdog come from
// the event loop, so a daemon that hangs is found; they run only if WATCHDOG_USEC asks for them.
//
// The descriptor store: descriptors under names, which come back to the next process of the service
// (InheritedDescriptors). FDSTORE says how many there may be; systemd sets it from version 254 on,
// the unit does for older ones, the supervisor always. What is stored is safe once a barrier() that
// was asked for later has been reached.
//
// One thread. Nothing blocks, but stopping().
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include <allot/expected.hpp>

#include "daemon/notify_socket.hpp"
#include "daemon/timers.hpp"

namespace allot::daemon {

class ServiceManager {
 public:
  using Reached = std::function<void(const Expected<void>&)>;
  static constexpr std::chrono::seconds kBarrierPatience{5};

  ServiceManager(boost::asio::io_context& context, Timers& timers);
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  /// Why it cannot be reached just now, though it may be there: a daemon that goes on without it would
  /// lose all it has when it ends.
  [[nodiscard]] const std::optional<Error>& shortage() const noexcept { return socket_.shortage(); }

  void ready(const std::string& status);
  /// Call it once, when the loop has ended or is about to: blocks at most a second, so that what
  /// was stored before arrives.
  void stopping();

  /// Whether descriptors can be stored: somebody listens, and FDSTORE is a number above 0. False from
  /// when the service manager is seen to have ended: what it kept is gone.
  [[nodiscard]] bool has_store() const noexcept {
    return store_capacity_ > 0 && !socket_.is_abandoned();
  }
  /// How many descriptors it keeps; 0 without a store.
  [[nodiscard]] std::uint64_t store_capacity() const noexcept { return store_capacity_; }

  /// Gives a duplicate of `descriptor` to the store. Several may have one name: 1 to 255 characters
  /// of A-Z, a-z, 0-9, '.', '_' and '-'. Does nothing without a store.
  void store(std::string_view name, int descriptor);
  /// Takes all descriptors of this name out of the store.
  void remove(std::string_view name);

  /// Calls `then` from the loop once the service manager has dealt with all that was sent before.
  /// With an error if a message since the last barrier was refused, and with Errc::kDeadline after
  /// kBarrierPatience. Without a store: with success. Not called if this object ends before.
  void barrier(Reached then);

 private:
  struct Barrier;

  void ping();
  void reach(std::uint64_t number, const Expected<void>& result);

  boost::asio::io_context& context_;
  Timers& timers_;
  NotifySocket socket_;
  std::uint64_t store_capacity_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Barrier>> barriers_;  // those not yet reached
  std::uint64_t next_barrier_ = 1;
  Timer ping_;
  std::chrono::milliseconds interval_{0};
};

}  // namespace allot::daemon
