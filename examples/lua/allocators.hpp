// Memory for an interpreter: each kind is one lua_Alloc with its state.
//
// Lua takes all its memory through that one function: a new block, a block resized, a block freed,
// and it knows the old size. A resize to less must not fail.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <lua.hpp>

#include <allot/expected.hpp>

namespace lua {

class Allocator {
 public:
  Allocator() = default;
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;
  virtual ~Allocator() = default;

  /// What lua_newstate() takes.
  [[nodiscard]] virtual lua_Alloc function() const = 0;
  [[nodiscard]] virtual void* state() { return nullptr; }

  /// False: nothing is reused before free_all(), so that collecting garbage is no use.
  [[nodiscard]] virtual bool collects() const { return true; }
  /// Ends an interpreter.
  virtual void free_all(lua_State* interpreter) { lua_close(interpreter); }

  /// Bytes that a block takes, its header and its rounding up included.
  [[nodiscard]] virtual std::size_t taken_bytes(void* block) const = 0;
  /// Bytes in use where blocks that take `taken_bytes` are out.
  [[nodiscard]] virtual std::size_t in_use_bytes(std::size_t taken_bytes) const {
    return taken_bytes;
  }
};

/// What lauxlib gives to every program that asks for nothing else: realloc() and free().
[[nodiscard]] std::unique_ptr<Allocator> make_default(bool collects);
/// The heap of the default region. An error if no daemon answers.
[[nodiscard]] allot::Expected<std::unique_ptr<Allocator>> make_heap();
/// An arena of at most `limit_bytes`: free() takes back the last block only, realloc() grows the
/// last one in place, and the end of the interpreter is one clear().
[[nodiscard]] std::unique_ptr<Allocator> make_arena(std::size_t limit_bytes);

}  // namespace lua
