// RuntimeDir: a private directory of this run, removed with everything in it at the end.
#pragma once

#include <filesystem>

namespace pipeline {

class RuntimeDir {
 public:
  /// Makes one, mode 0700, where temporary files go, with a path short enough for sockets.
  RuntimeDir();
  RuntimeDir(const RuntimeDir&) = delete;
  RuntimeDir& operator=(const RuntimeDir&) = delete;
  ~RuntimeDir();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace pipeline
