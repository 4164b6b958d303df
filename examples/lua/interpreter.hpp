// Interpreter: one run of one script on one allocator, timed or measured.
#pragma once

#include <cstddef>
#include <string>

#include "examples/lua/allocators.hpp"

namespace lua {

struct Script {
  std::string path;
  int scale = 1;  // its argument: how much it does
};

struct Outcome {
  std::string value;  // what the script returned, or why it did not
  bool ok = false;
  double seconds = 0;          // from an interpreter's first byte to its last
  std::size_t peak_bytes = 0;  // of run_measured()
};

/// Nothing between Lua and the allocator.
[[nodiscard]] Outcome run_timed(const Script& script, Allocator& allocator);
/// Counts what is in use; its time means nothing.
[[nodiscard]] Outcome run_measured(const Script& script, Allocator& allocator);

}  // namespace lua
