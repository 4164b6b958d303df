#include "examples/lua/allocators.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <allot/arena.hpp>
#include <allot/fast.hpp>
#include <allot/session.hpp>

namespace lua {

namespace {

class Default final : public Allocator {
 public:
  explicit Default(bool collects) : collects_(collects) {
    lua_State* const interpreter = luaL_newstate();  // only to ask it for its function
    if (interpreter == nullptr) return;
    function_ = lua_getallocf(interpreter, &state_);
    lua_close(interpreter);
  }
  [[nodiscard]] lua_Alloc function() const override { return function_; }
  [[nodiscard]] void* state() override { return state_; }
  [[nodiscard]] bool collects() const override { return collects_; }
  [[nodiscard]] std::size_t taken_bytes(void* block) const override {
    return ::malloc_usable_size(block) + sizeof(std::size_t);
  }

 private:
  bool collects_;
  lua_Alloc function_ = nullptr;
  void* state_ = nullptr;
};

class Heap final : public Allocator {
 public:
  explicit Heap(allot::Session session) : session_(std::move(session)) {}
  [[nodiscard]] lua_Alloc function() const override { return &reallocate; }
  [[nodiscard]] void* state() override { return this; }
  [[nodiscard]] std::size_t taken_bytes(void* block) const override {
    return session_.usable_size(block);
  }

 private:
  static void* reallocate(void* self, void* block, std::size_t old_bytes, std::size_t new_bytes) {
    allot::Session& session = static_cast<Heap*>(self)->session_;
    if (new_bytes == 0) {
      (void)allot::fast::free(session, block);
      return nullptr;
    }
    if (block == nullptr) return allot::fast::allocate(session, new_bytes);
    // A shrunk block keeps its place while it uses half of it.
    const bool fits = new_bytes <= old_bytes ? new_bytes * 2 >= old_bytes
                                             : new_bytes <= session.usable_size(block);
    if (fits) return block;
    void* const moved = allot::fast::allocate(session, new_bytes);
    if (moved == nullptr) return new_bytes <= old_bytes ? block : nullptr;
    std::memcpy(moved, block, std::min(old_bytes, new_bytes));
    (void)allot::fast::free(session, block);
    return moved;
  }

  allot::Session session_;
};

// Everything is pushed until the interpreter ends, then gone as a whole. What is freed in between
// stays, unless it was the last push: memory for a script is the sum of all that it ever allocates,
// not the most that it has at once. So the arena has a limit; at it the script gets "not enough
// memory".
class InArena final : public Allocator {
 public:
  explicit InArena(std::size_t limit_bytes)
      : arena_(allot::Arena::reserve(limit_bytes, {.name = "lua", .limit_bytes = limit_bytes})) {}
  [[nodiscard]] lua_Alloc function() const override { return &reallocate; }
  [[nodiscard]] void* state() override { return this; }
  [[nodiscard]] bool collects() const override { return false; }
  void free_all(lua_State* /*interpreter*/) override { (void)arena_.clear(); }
  [[nodiscard]] std::size_t taken_bytes(void* /*block*/) const override { return 0; }
  [[nodiscard]] std::size_t in_use_bytes(std::size_t /*taken_bytes*/) const override {
    return arena_.used_bytes();
  }

 private:
  static void* reallocate(void* self, void* block, std::size_t old_bytes, std::size_t new_bytes) {
    auto& memory = *static_cast<InArena*>(self);
    if (block == nullptr) return new_bytes == 0 ? nullptr : memory.push(new_bytes);
    if (new_bytes > old_bytes) return memory.grow(block, old_bytes, new_bytes);
    auto* const rest = static_cast<std::byte*>(block) + new_bytes;
    if (memory.arena_.pop_last(rest, old_bytes - new_bytes) == allot::Errc::kOk) memory.end_ = rest;
    return new_bytes == 0 ? nullptr : block;
  }

  void* push(std::size_t size_bytes) {
    auto* const block = static_cast<std::byte*>(arena_.push(size_bytes));
    if (block != nullptr) end_ = block + size_bytes;
    return block;
  }

  void* grow(void* block, std::size_t old_bytes, std::size_t new_bytes) {
    if (static_cast<std::byte*>(block) + old_bytes == end_) {
      if (arena_.push(new_bytes - old_bytes, 1) == nullptr) return nullptr;
      end_ += new_bytes - old_bytes;
      return block;
    }
    void* const moved = push(new_bytes);
    if (moved != nullptr) std::memcpy(moved, block, old_bytes);
    return moved;
  }

  allot::Arena arena_;
  std::byte* end_ = nullptr;  // where the next push begins: a virtual arena is contiguous
};

}  // namespace

std::unique_ptr<Allocator> make_default(bool collects) {
  return std::make_unique<Default>(collects);
}

allot::Expected<std::unique_ptr<Allocator>> make_heap() {
  auto session = allot::Session::connect();
  if (!session) return session.error();
  return std::unique_ptr<Allocator>(std::make_unique<Heap>(*std::move(session)));
}

std::unique_ptr<Allocator> make_arena(std::size_t limit_bytes) {
  return std::make_unique<InArena>(limit_bytes);
}

}  // namespace lua
