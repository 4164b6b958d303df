// TempDir: a directory of the test's own, removed with all that is in it.
#pragma once

#include <filesystem>

namespace allot::test {

class TempDir {
 public:
  /// Makes a fresh directory, mode 0700, under the system's place for temporary files. Its path is
  /// short enough for a socket's. Aborts the test program if it cannot.
  TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir();

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace allot::test
