#include "shared/platform/runtime_dir.hpp"

#include <cstdlib>
#include <optional>

namespace allot::platform {

namespace {

std::optional<std::filesystem::path> path_from_environment(const char* variable) {
  const char* const value = std::getenv(variable);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::filesystem::path(value);
}

}  // namespace

std::vector<std::filesystem::path> candidate_runtime_dirs() {
  if (auto chosen = path_from_environment("ALLOT_RUNTIME_DIR")) return {*chosen};
  std::vector<std::filesystem::path> found = {"/run/allot"};
  if (auto of_user = path_from_environment("XDG_RUNTIME_DIR")) {
    found.push_back(*of_user / "allot");
  }
  return found;
}

}  // namespace allot::platform
