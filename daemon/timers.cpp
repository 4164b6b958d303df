#include "daemon/timers.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "shared/platform/system_error.hpp"

namespace allot::daemon {

Expected<std::unique_ptr<Timers>> Timers::create(boost::asio::io_context& context) {
  platform::Descriptor timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return platform::system_error("timerfd_create");
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<Timers> timers(new Timers(context, std::move(timer)));
  if (!timers->timer_) return Error(Errc::kSystem, "the event loop refuses the timer");
  timers->wait();
  return timers;
}

Timers::Timers(boost::asio::io_context& context, platform::Descriptor timer)
    : timer_(context, std::move(timer)) {}

void Timers::wait() {
  timer_.async_wait_readable([this](bool ready) {
    if (!ready) return;
    std::uint64_t expirations = 0;
    // What it counts does not matter: the queue says what is due.
    const auto got = ::read(timer_.get().get(), &expirations, sizeof(expirations));
    if (got == sizeof(expirations)) {
      armed_for_ = {};
      run_due();
      arm();
    }
    wait();
  });
}

void Timers::arm() {
  const Clock::time_point wanted = queue_.empty() ? Clock::time_point{} : queue_.begin()->first;
  if (wanted == armed_for_) return;
  armed_for_ = wanted;
  itimerspec when{};
  if (!queue_.empty()) {
    // The steady clock is CLOCK_MONOTONIC. Zero would disarm: a past deadline becomes 1 ns.
    const auto since_boot =
        std::max<std::chrono::nanoseconds>(wanted.time_since_epoch(), std::chrono::nanoseconds(1));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    when.it_value.tv_sec = seconds.count();
    when.it_value.tv_nsec = (since_boot - seconds).count();
  }
  ::timerfd_settime(timer_.get().get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Timers::run_due() {
  const Clock::time_point now = Clock::now();
  while (!queue_.empty() && queue_.begin()->first <= now) {
    Timer& due = *queue_.begin()->second;
    queue_.erase(queue_.begin());
    due.running_ = false;
    const std::function<void()> callback = std::exchange(due.callback_, nullptr);
    callback();  // may destroy `due`
  }
}

void Timer::start(std::chrono::milliseconds delay, std::function<void()> callback) {
  if (running_) timers_.queue_.erase(place_);
  callback_ = std::move(callback);
  place_ = timers_.queue_.emplace(Timers::Clock::now() + delay, this);
  running_ = true;
  timers_.arm();
}

void Timer::cancel() {
  if (!running_) return;
  running_ = false;
  timers_.queue_.erase(place_);
  callback_ = nullptr;
  timers_.arm();
}

}  // namespace allot::daemon
