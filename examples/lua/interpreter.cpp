#include "examples/lua/interpreter.hpp"

#include <algorithm>
#include <chrono>

namespace lua {

namespace {

using Clock = std::chrono::steady_clock;

// An allocator, and what is out of it.
struct Meter {
  Allocator& allocator;
  std::size_t taken_bytes = 0;
  std::size_t peak_bytes = 0;

  static void* reallocate(void* self, void* block, std::size_t old_bytes, std::size_t new_bytes) {
    auto& meter = *static_cast<Meter*>(self);
    const std::size_t before = block == nullptr ? 0 : meter.allocator.taken_bytes(block);
    void* const after =
        meter.allocator.function()(meter.allocator.state(), block, old_bytes, new_bytes);
    if (after != nullptr || new_bytes == 0) {
      meter.taken_bytes += after == nullptr ? 0 : meter.allocator.taken_bytes(after);
      meter.taken_bytes -= before;
    }
    meter.peak_bytes = std::max(meter.peak_bytes, meter.allocator.in_use_bytes(meter.taken_bytes));
    return after;
  }
};

// In the protection of lua_pcall(), which takes errors by longjmp(): nothing here has a destructor.
int run_protected(lua_State* state) {
  const auto& script = *static_cast<const Script*>(lua_touserdata(state, 1));
  luaL_openlibs(state);
  if (luaL_loadfile(state, script.path.c_str()) != LUA_OK) return lua_error(state);
  lua_pushinteger(state, script.scale);
  lua_call(state, 1, 1);
  luaL_tolstring(state, -1, nullptr);
  return 1;
}

Outcome run(const Script& script, Allocator& allocator, lua_Alloc function, void* memory) {
  Outcome outcome;
  const auto begun = Clock::now();
  lua_State* const state = lua_newstate(function, memory);
  if (state == nullptr) {
    outcome.value = "no memory for an interpreter";
    return outcome;
  }
  if (!allocator.collects()) lua_gc(state, LUA_GCSTOP);
  // These two take no memory.
  lua_pushcfunction(state, &run_protected);
  lua_pushlightuserdata(state, const_cast<Script*>(&script));
  outcome.ok = lua_pcall(state, 1, 1, 0) == LUA_OK;
  const char* const text = lua_isstring(state, -1) != 0 ? lua_tostring(state, -1) : nullptr;
  outcome.value = text != nullptr ? text : "an error that is no text";
  allocator.free_all(state);
  outcome.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  return outcome;
}

}  // namespace

Outcome run_timed(const Script& script, Allocator& allocator) {
  return run(script, allocator, allocator.function(), allocator.state());
}

Outcome run_measured(const Script& script, Allocator& allocator) {
  Meter meter{allocator};
  Outcome outcome = run(script, allocator, &Meter::reallocate, &meter);
  outcome.peak_bytes = meter.peak_bytes;
  return outcome;
}

}  // namespace lua
