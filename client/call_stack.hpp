// CallStack: who called, as return addresses; CallStacks: each different one kept once.
//
// Used by DebugState and the heap profile. A stack is taken without a lock, kept under its owner's.
#pragma once

#include <array>
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace allot::detail {

/// The innermost caller first. The library's own frames at the top are left out where it is a
/// shared object; linked into the program they cannot be told from it.
using CallStack = std::vector<const void*>;

class TakenStack {
 public:
  /// Takes the stack of the calling thread: some microseconds.
  [[gnu::noinline]] void take() noexcept;
  // Not in braces: these would make a list of two.
  [[nodiscard]] CallStack frames() const { return CallStack(begin_, end_); }

 private:
  static constexpr std::size_t kMostFrames = 32;
  std::array<void*, kMostFrames> frames_;
  void** begin_ = nullptr;
  void** end_ = nullptr;
};

/// Makes the first take() as cheap as the others, and free of locks that a thread might hold.
void prepare_stacks() noexcept;

/// "program+0x1234 library.so+0x56": offsets as addr2line(1) takes them.
[[nodiscard]] std::string places_text(const CallStack& frames, std::size_t most);

class CallStacks {
 public:
  /// The one that is like `frames`; it stays where it is as long as this lives.
  [[nodiscard]] const CallStack* keep(CallStack frames) {
    return &*stacks_.insert(std::move(frames)).first;
  }
  void clear() noexcept { stacks_.clear(); }

 private:
  std::set<CallStack> stacks_;
};

}  // namespace allot::detail
