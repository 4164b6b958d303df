#include "examples/pipeline/runtime_dir.hpp"

#include <cstdlib>
#include <string>
#include <system_error>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

namespace {

constexpr std::size_t kLongestBaseBytes = 64;  // sun_path has 108, the sockets' names need some

}  // namespace

RuntimeDir::RuntimeDir() {
  std::error_code error;
  std::filesystem::path base = std::filesystem::temp_directory_path(error);
  if (error || base.native().size() > kLongestBaseBytes) base = "/tmp";
  std::string name = (base / "allot-pipeline-XXXXXX").native();
  if (::mkdtemp(name.data()) == nullptr) throw system_failure("mkdtemp " + name);
  path_ = name;
}

RuntimeDir::~RuntimeDir() {
  std::error_code ignored;  // a file left in a temporary directory is no reason to fail
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace pipeline
