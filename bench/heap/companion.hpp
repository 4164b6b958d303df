// Companion: what takes part in a benchmark beside its main thread: a thread or a forked process,
// pinned to the second processor, while the main thread is pinned to the first.
//
// Shared<T> is an object that a forked process sees too.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <new>
#include <thread>

namespace allot::bench {

enum class Kind { kThread, kProcess };

/// Runs the calling thread on the n-th of the processors that this process may use; n wraps around.
void pin_to_processor(std::size_t n);

class Companion {
 public:
  /// Starts `work`, whose owner makes it return before the destructor, and pins the caller. An
  /// exception of `work` goes to `failed`.
  Companion(Kind kind, std::function<void()> work, std::function<void()> failed);
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;
  /// Waits for it to return.
  ~Companion();

 private:
  std::thread thread_;
  pid_t child_ = -1;
};

/// Anonymous memory that stays shared over fork().
[[nodiscard]] void* map_shared(std::size_t size_bytes);
void unmap_shared(void* memory, std::size_t size_bytes) noexcept;

template <class T>
class Shared {
 public:
  Shared() : object_(new (map_shared(sizeof(T))) T()) {}
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { unmap_shared(object_, sizeof(T)); }

  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }

 private:
  static_assert(std::is_trivially_destructible_v<T>);
  T* object_;
};

}  // namespace allot::bench
