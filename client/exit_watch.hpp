// ExitWatch: calls back when another session of the region has ended.
//
// One per session, with a connection and a thread of its own, both made at the first watch(). The
// thread blocks all signals and sleeps in poll(). Callbacks run on it, one after the other; they
// may use the session, close it, and drop its last handle: what the thread works with is shared
// with it, so that it may outlive the ExitWatch.
//
// When the daemon has died the thread connects to the next one, as long as the session lives, and
// asks it for all that it was asked for. One that does not know the session itself serves another
// region, and what it says of others means nothing.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <allot/session.hpp>

#include "client/call_deadline.hpp"

namespace allot {

class ExitWatch {
 public:
  /// `own`: the session that it belongs to.
  ExitWatch(std::vector<std::filesystem::path> sockets, std::string region, const SessionId& own);
  ExitWatch(const ExitWatch&) = delete;
  ExitWatch& operator=(const ExitWatch&) = delete;
  /// stop()s.
  ~ExitWatch();

  /// Calls `callback` once after `other` has ended, soon if it has already. On an error it is never
  /// called. Inside a callback it does not wait for the daemon's answer. kClosed after stop().
  [[nodiscard]] Expected<void> watch(const SessionId& other, std::function<void()> callback,
                                     detail::CallDeadline& deadline);
  /// Waits for the callback that runs, unless this is called in it; callbacks that were not called
  /// never are.
  void stop() noexcept;
  /// In a forked child: the thread does not exist here.
  void abandon() noexcept;

 private:
  class Watcher;

  [[nodiscard]] Expected<void> start(detail::CallDeadline& deadline);

  std::vector<std::filesystem::path> sockets_;
  std::string region_;
  SessionId own_;
  std::timed_mutex start_mutex_;  // of all below; may be held for as long as a connect takes
  bool stopped_ = false;
  std::thread thread_;
  std::shared_ptr<Watcher> watcher_;  // with the thread
};

}  // namespace allot
