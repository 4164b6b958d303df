// Upkeep: the daemon's work that no message asks for: recovery, sweeps, giving memory back.
//
// Used by the server, which calls wake() after each event. Recovery runs a slice a turn of the loop
// until it is done; sweeps run on a timer while some region wants them; free pages are punched a
// slice a turn, once their delay has passed. Nothing runs and no timer is armed when no region
// wants anything: an idle daemon sleeps. One thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "daemon/core/service.hpp"
#include "daemon/timers.hpp"

namespace allot::daemon {

class Upkeep {
 public:
  static constexpr std::uint64_t kRecoveryWords = 262'144;  // about 0.3 ms
  static constexpr std::uint32_t kPunchGranules = 16;       // 1 MiB of data
  // While nothing but sweeps happens, the time between them doubles up to the longest.
  static constexpr std::chrono::milliseconds kSweepInterval{100};
  static constexpr std::chrono::milliseconds kLongestSweepInterval{1000};

  struct Actions {
    std::function<core::Instant()> now;
    std::function<void(const std::vector<core::Send>&)> deliver;
    std::function<void(const core::SessionKey&)> ended;  // recovered, and its id free
    std::function<void(core::RegionCore&, const core::FileRange&)> punch;
  };

  Upkeep(boost::asio::io_context& context, Timers& timers, core::Service& service, Actions actions);

  /// Something has happened: starts whatever is wanted now and does not run yet.
  void wake();

 private:
  void start_what_is_wanted();
  void recover();
  void schedule_sweep();
  void sweep();
  void punch();
  void post_punch();
  void start_punch_timer();

  boost::asio::io_context& context_;
  core::Service& service_;
  Actions actions_;
  Timer sweep_timer_;
  Timer punch_timer_;
  bool recovery_posted_ = false;
  bool punch_posted_ = false;
  std::size_t next_to_punch_ = 0;
  std::chrono::milliseconds sweep_interval_ = kSweepInterval;
};

}  // namespace allot::daemon
