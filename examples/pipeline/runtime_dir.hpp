// RuntimeDir: a private directory of this run, removed with everything in it at the end.
//
// Locked with flock() while its run lives: what a killed run could not remove, the next one does.
#pragma once

#include <filesystem>

#include "examples/pipeline/descriptor.hpp"

namespace pipeline {

class RuntimeDir {
 public:
  /// Makes one, mode 0700, where temporary files go, with a path short enough for sockets. Removes
  /// those of runs that are dead.
  RuntimeDir();
  RuntimeDir(const RuntimeDir&) = delete;
  RuntimeDir& operator=(const RuntimeDir&) = delete;
  ~RuntimeDir();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
  Descriptor lock_;
};

}  // namespace pipeline
