#include "client/background_trim.hpp"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "client/signals_blocked.hpp"

namespace allot {

Expected<std::unique_ptr<BackgroundTrim>> BackgroundTrim::start(std::chrono::milliseconds period,
                                                                std::function<void()> trim) {
  // No clock reaches as far as the longest durations.
  period = std::min<std::chrono::milliseconds>(period, std::chrono::years(1));
  std::unique_ptr<BackgroundTrim> self(new BackgroundTrim());
  const SignalsBlocked blocked;
  try {
    self->thread_ = std::jthread([self = self.get(), period,
                                  trim = std::move(trim)](const std::stop_token& stop) {
      std::unique_lock lock(self->mutex_);
      while (!self->stopped_.wait_for(lock, stop, period, [&] { return stop.stop_requested(); })) {
        trim();
      }
    });
  } catch (const std::system_error& failure) {
    return Error(Errc::kSystem, std::string("a thread that trims: ") + failure.what());
  }
  return self;
}

}  // namespace allot
