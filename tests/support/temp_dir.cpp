#include "tests/support/temp_dir.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

namespace allot::test {

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "allot.XXXXXX").native();
  if (::mkdtemp(name.data()) == nullptr) {
    std::perror("mkdtemp");
    std::abort();
  }
  path_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace allot::test
