#include "client/process.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "client/heap_table.hpp"
#include "client/immortal.hpp"
#include "client/library_scope.hpp"
#include "client/session_state.hpp"
#include "client/timed_lock.hpp"

namespace allot::process {

namespace {

// Order of locking: connect_mutex, local_mutex, mutex, that of parking, those of a session, those of
// the private heap, that of idle heaps. All but those of a session are held while a session's is
// waited for only before a fork: what a thread needs that ends is never held for long. Who holds
// one is in a LibraryScope, so that an operator new over the private heap asks for no other.
struct Registry {
  std::mutex mutex;
  std::array<detail::SessionState*, detail::kMaxSessionsPerProcess> sessions{};
  std::array<bool, detail::kMaxSessionsPerProcess> slot_used{};
  std::map<std::string, std::weak_ptr<detail::SessionState>> by_key;
  std::timed_mutex connect_mutex;  // one connect at a time; waits for a daemon
  std::mutex local_mutex;          // held while the private heap is made
  detail::SessionState* local = nullptr;
  std::uint32_t fork_count = 0;  // changes in a child that has one thread
};

// Never destroyed: threads may end after static destructors have run.
Registry& registry() {
  static Immortal<Registry> all;
  return all.get();
}

void before_fork() {
  LibraryScope::enter();
  Registry& all = registry();
  all.connect_mutex.lock();
  all.local_mutex.lock();
  all.mutex.lock();
  heap_table::lock_parking_for_fork();
  for (detail::SessionState* const session : all.sessions) {
    if (session != nullptr) session->lock_for_fork();
  }
  if (all.local != nullptr) all.local->lock_for_fork();
  heap_table::lock_idle_for_fork();
}

void unlock_all() {
  Registry& all = registry();
  heap_table::unlock_idle_after_fork();
  if (all.local != nullptr) all.local->unlock_after_fork();
  for (detail::SessionState* const session : all.sessions) {
    if (session != nullptr) session->unlock_after_fork();
  }
  heap_table::unlock_parking_after_fork();
  all.mutex.unlock();
  all.local_mutex.unlock();
  all.connect_mutex.unlock();
}

void in_parent() {
  unlock_all();
  LibraryScope::leave();
}

// The child has none of the mappings. Its copies of the sessions say so; their slots stay taken
// until their last handles are gone, so that none of these ever meets a session from after the
// fork. The private heap is copied with all its memory.
void in_child() {
  Registry& all = registry();
  ++all.fork_count;
  for (detail::SessionState*& session : all.sessions) {
    if (session != nullptr) session->become_forked();
  }
  heap_table::empty_this_threads();
  if (all.local != nullptr) all.local->go_on_in_child();
  unlock_all();
  all.sessions.fill(nullptr);
  all.by_key.clear();
  LibraryScope::leave();
}

// When the library is loaded, before the process has threads that use it: one that forked while
// another was in here for the first time would have a child for which nobody ends this. Before all
// other initialisers, which may allocate already.
[[gnu::constructor(101)]] void install_fork_hooks() noexcept {
  (void)::pthread_atfork(before_fork, in_parent, in_child);
}

}  // namespace

Expected<std::size_t> add_session(detail::SessionState* state) {
  Registry& all = registry();
  const LibraryScope inside;
  const std::lock_guard lock(all.mutex);
  for (std::size_t slot = 0; slot < all.slot_used.size(); ++slot) {
    if (all.slot_used.at(slot)) continue;
    all.slot_used.at(slot) = true;
    all.sessions.at(slot) = state;
    return slot;
  }
  // What in_child() left in its slot.
  const auto inherited = std::count(all.sessions.begin(), all.sessions.end(), nullptr);
  std::string detail = std::to_string(all.slot_used.size()) + " sessions in this process";
  if (inherited > 0) {
    detail += ", " + std::to_string(inherited) +
              " of them from before a fork: drop their handles, and what holds one";
  }
  return Error(Errc::kTooManySessions, detail);
}

void remove_session(std::size_t slot) noexcept {
  Registry& all = registry();
  const LibraryScope inside;
  const std::lock_guard lock(all.mutex);
  all.slot_used.at(slot) = false;
  all.sessions.at(slot) = nullptr;
}

Expected<std::shared_ptr<detail::SessionState>> find_or_make(
    const std::string& key, detail::CallDeadline& deadline,
    const std::function<Expected<std::shared_ptr<detail::SessionState>>()>& make) {
  Registry& all = registry();
  const LibraryScope inside;
  const auto lock = detail::lock_before(all.connect_mutex, deadline);
  if (!lock.owns_lock()) return Error(Errc::kDeadline, "another thread connects");
  if (const auto found = all.by_key.find(key); found != all.by_key.end()) {
    if (auto session = found->second.lock(); session && session->is_connected(deadline))
      return session;
  }
  auto made = make();
  if (made) all.by_key[key] = *made;
  return made;
}

void add_local(detail::SessionState* state) {
  Registry& all = registry();
  const LibraryScope inside;
  const std::lock_guard lock(all.mutex);
  all.local = state;
}

void make_local(const std::function<void()>& make) {
  Registry& all = registry();
  const LibraryScope inside;
  const std::lock_guard lock(all.local_mutex);
  make();
}

std::uint32_t fork_count() noexcept { return registry().fork_count; }

}  // namespace allot::process
