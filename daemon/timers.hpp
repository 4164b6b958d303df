// Timers: callbacks after a while, from one timerfd that is armed only while somebody waits.
//
// Used by the daemon's adapters. Not Asio's own timers: once one of those has fired, Asio wakes the
// loop every five minutes for good, and an idle daemon shall not wake up at all.
//
// Invariants
// 1. The timerfd is armed for the earliest waiting Timer, and not armed if there is none.
// 2. A callback runs from the event loop, never from start(); its Timer is not running then, so it
//    may start it again or destroy it.
//
// Timers must outlive every Timer made from it. One thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include <boost/asio/io_context.hpp>

#include <allot/expected.hpp>

#include "daemon/async_descriptor.hpp"

namespace allot::daemon {

class Timer;

class Timers {
 public:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] static Expected<std::unique_ptr<Timers>> create(boost::asio::io_context& context);

 private:
  friend class Timer;
  using Queue = std::multimap<Clock::time_point, Timer*>;

  Timers(boost::asio::io_context& context, platform::Descriptor timer);
  void arm();
  void wait();
  void run_due();

  AsyncDescriptor timer_;
  Queue queue_;
  Clock::time_point armed_for_{};  // the epoch: not armed
};

class Timer {
 public:
  explicit Timer(Timers& timers) noexcept : timers_(timers) {}
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { cancel(); }

  /// Runs `callback` once, `delay` from now. A Timer that runs already starts anew.
  void start(std::chrono::milliseconds delay, std::function<void()> callback);
  void cancel();
  [[nodiscard]] bool is_running() const noexcept { return running_; }

 private:
  friend class Timers;

  Timers& timers_;
  std::function<void()> callback_;
  Timers::Queue::iterator place_{};
  bool running_ = false;
};

}  // namespace allot::daemon
