// Where this process has mapped ledgers to write to: what a StoreTrace of a client watches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <ios>
#include <sstream>
#include <string>

#include "tests/support/store_trace.hpp"

namespace allot::test {

[[nodiscard]] inline Areas ledger_areas() {
  Areas areas;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(":ledger") == std::string::npos) continue;
    std::istringstream fields(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::string access;
    fields >> std::hex >> begin >> dash >> end >> access;
    auto* const first = reinterpret_cast<std::byte*>(begin);  // NOLINT(performance-no-int-to-ptr)
    if (access == "rw-s") areas.emplace_back(first, end - begin);
  }
  return areas;
}

}  // namespace allot::test
