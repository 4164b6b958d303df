// Loop: one allocator under the pair loop (allocate, write a byte, free).
//
// Made once per runner process; the driver asks for rounds of it. The virtual call is made once a
// round; the loop inside is compiled once per allocator. The size is known before the round, not
// at compile time, for every allocator alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

namespace allot::bench {

/// Processor time of the calling thread.
[[nodiscard]] inline std::uint64_t thread_time_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_nsec);
}

class Loop {
 public:
  virtual ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// `pairs` times: allocates `size_bytes`, writes a byte, frees.
  virtual void run(std::uint64_t pairs, std::size_t size_bytes) = 0;
  /// The clock that rounds are measured by: processor time of this thread, unless others work for
  /// the loop, or a part of it does not count.
  [[nodiscard]] virtual std::uint64_t time_ns() const { return thread_time_ns(); }

 protected:
  Loop() = default;
};

/// How to make a loop, by the name that the driver asks for it.
using LoopTable = std::map<std::string, std::function<std::unique_ptr<Loop>()>>;

/// Session::allocate() and free(), calls into liballot.
[[nodiscard]] std::unique_ptr<Loop> make_allot_loop();
/// fast::allocate() and free(), compiled into the loop.
[[nodiscard]] std::unique_ptr<Loop> make_allot_inline_loop();

/// Makes the compiler believe that somebody reads the block and all memory.
[[gnu::always_inline]] inline void escape(void* block) {
  asm volatile("" : : "r"(block) : "memory");
}

/// The loop itself. `allocate` returns nullptr on failure.
template <class Allocate, class Free>
[[gnu::always_inline]] inline void run_pairs(std::uint64_t pairs, Allocate allocate, Free free) {
  for (std::uint64_t i = 0; i < pairs; ++i) {
    void* const block = allocate();
    if (block == nullptr) [[unlikely]]
      throw std::runtime_error("an allocation failed");
    *static_cast<unsigned char*>(block) = 1;
    escape(block);
    free(block);
  }
}

}  // namespace allot::bench
