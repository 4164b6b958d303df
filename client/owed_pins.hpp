// OwedPins: ends of pins that could not be sent when they came, each of one find.
//
// A destructor that cannot have the session's mutex in time leaves the handle here; whoever next
// has the mutex and talks to the service takes it over (SessionState::book_late_answers_locked()).
// The mutex in here is held for a few instructions only, and taken after the session's. A fork does
// not wait for it: it waits for daemons while it has the sessions' mutexes, and destructors would
// wait for it. So a forked child must not touch what it inherits of this. Any thread.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include <allot/handle.hpp>

namespace allot::detail {

class OwedPins {
 public:
  void add(Handle handle) {
    const std::lock_guard lock(mutex_);
    handles_.push_back(handle);
  }
  /// All, each handed out once.
  [[nodiscard]] std::vector<Handle> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(handles_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Handle> handles_;
};

}  // namespace allot::detail
