// DebugState: what a session with a debug mode on knows of its blocks.
//
// Owned by a SessionState, private memory; there is none while no mode is on. Used by the slow paths
// of every thread, under a mutex of its own, which is taken after any of the session's and held for
// no call that leaves this class. It is told of every block that this session takes, adopts and
// frees, and of every range that goes out of use; of what others do with their blocks it hears
// nothing.
//
// Invariants
// D1. What is said of a free block's bytes (filled, unusable) is said only of a block that this
//     session freed into a span of its own: nobody but this session's heaps hands it out again.
//     Elsewhere another session may, and this process may then look at it by handle or name.
// D2. Both are said before the own word is moved to free, while nobody else may move it, and
//     unsaid after it was moved from free, before the block reaches its user.
// D3. What is said of a range ends before the range is returned.
// D4. That a sampled block is live is a hint: its own word is the truth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

#include <allot/debug.hpp>

#include "client/call_stack.hpp"
#include "client/library_scope.hpp"

namespace allot::detail {

struct DebuggedBlock {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  std::uint32_t generation = 0;
};

class DebugState {
 public:
  /// Null if `options` switches nothing on.
  [[nodiscard]] static std::unique_ptr<DebugState> make(const DebugOptions& options);
  explicit DebugState(const DebugOptions& options);

  [[nodiscard]] const DebugOptions& options() const noexcept { return options_; }
  /// To whom the options say. No lock is held.
  void report(const Misuse& misuse) const;

  struct Places {
    CallStack allocated;
    CallStack freed;
  };
  struct Write {  // after a free
    std::size_t offset_bytes = 0;
    Places places;
  };
  /// This session has taken the block from free, and its user has not seen it as yet. Says what
  /// somebody wrote into it while it was free.
  [[nodiscard]] std::optional<Write> allocated(const DebuggedBlock& block);
  /// This session owns another session's block from now on.
  void adopted(const DebuggedBlock& block);
  /// Others may write into the block from now on.
  void exposed(const DebuggedBlock& block) const;
  /// The range is no block of ours from now on, or not any more.
  void forget(std::byte* base, std::size_t bytes);
  /// The session ends.
  void forget_all();
  /// The same in a forked child, whose thread has locked it.
  void forget_all_locked();
  [[nodiscard]] Places places_of(std::byte* base);

  struct Sample {
    std::size_t bytes = 0;
    CallStack allocated;
  };
  /// Of the sampled blocks those that `is_ours` says are live and this session's; the others are
  /// forgotten. `is_ours` takes no lock.
  [[nodiscard]] std::vector<Sample> samples(
      const std::function<bool(const DebuggedBlock&)>& is_ours);

  // fork().
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  friend class DebuggedFree;
  struct Record {
    std::size_t bytes = 0;
    std::uint32_t generation = 0;
    bool is_free = false;
    bool is_filled = false;  // with kFreedByte
    bool is_unusable = false;
    bool is_sampled = false;
    const CallStack* allocated = nullptr;
    const CallStack* freed = nullptr;
  };
  using Records = std::map<std::byte*, Record>;

  [[nodiscard]] bool wants_sample(std::size_t bytes);
  void remember(const DebuggedBlock& block, bool sampled);
  void forget_locked(std::byte* base, std::size_t bytes);
  [[nodiscard]] Records::iterator first_overlapping(std::byte* base);

  const DebugOptions options_;
  std::mutex mutex_;
  Records records_;
  CallStacks stacks_;
  std::mt19937_64 random_;
  std::exponential_distribution<double> distance_;
  double until_sample_bytes_ = 0;
};

/// One call of this thread into a session with a mode on. Ends the program, with a line on standard
/// error, if the thread is in the middle of another one: only a signal handler comes there.
class DebuggedCall {
 public:
  /// `state` may be null: then it costs nothing.
  explicit DebuggedCall(const DebugState* state) noexcept;
  DebuggedCall(const DebuggedCall&) = delete;
  DebuggedCall& operator=(const DebuggedCall&) = delete;
  ~DebuggedCall();

 private:
  const DebugState* state_;
};

/// One free of a block, from the look at its own word until the word is moved: of two threads that
/// free one block the second sees that it is free, and nobody fills what is somebody else's by then.
class DebuggedFree {
 public:
  /// Holds the state's mutex until it ends.
  explicit DebuggedFree(DebugState& state);
  DebuggedFree(const DebuggedFree&) = delete;
  DebuggedFree& operator=(const DebuggedFree&) = delete;
  /// Unless it is done, the block is as if it had not begun, but for what was in it.
  ~DebuggedFree();

  /// Nobody but this thread may move the block's own word, which is to be moved to free now. May be
  /// called again.
  void begin(const DebuggedBlock& block, bool in_own_span);
  /// The word was moved.
  void done() noexcept;

 private:
  DebugState& state_;
  TakenStack here_;
  ScopedLock<std::mutex> lock_;
  std::byte* begun_ = nullptr;
  DebugState::Record before_;
};

}  // namespace allot::detail
