// BackgroundTrim: calls a session's trim() again and again, from a thread of its own.
//
// What a session keeps for later then goes back although none of its threads calls it. The thread
// sleeps between calls and takes no signals.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <allot/expected.hpp>

namespace allot {

class BackgroundTrim {
 public:
  /// Calls `trim` every `period` from now on. kSystem if there can be no thread.
  [[nodiscard]] static Expected<std::unique_ptr<BackgroundTrim>> start(
      std::chrono::milliseconds period, std::function<void()> trim);
  BackgroundTrim(const BackgroundTrim&) = delete;
  BackgroundTrim& operator=(const BackgroundTrim&) = delete;
  /// Waits for the call that is being made. Not in a forked child, where there is no thread: there
  /// the object must be leaked.
  ~BackgroundTrim() = default;

 private:
  BackgroundTrim() = default;

  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;  // last, so that it ends before what it uses
};

}  // namespace allot
