// Place: a line of source, as a default argument gives it.
//
// Used by arenas and scopes, which remember where they were made, and by the reports that name both
// lines of a mistake. clang 14 has no std::source_location; these builtins give the caller's line.
#pragma once

namespace allot {

struct Place {
  const char* file = "?";
  int line = 0;

  /// The line of the call that uses this as a default argument. Static storage; any thread.
  [[nodiscard]] static constexpr Place here(const char* file = __builtin_FILE(),
                                            int line = __builtin_LINE()) noexcept {
    return {file, line};
  }
};

}  // namespace allot
