#include "examples/pipeline/runtime_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <system_error>
#include <vector>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestBaseBytes = 64;  // sun_path has 108, the sockets' names need some
constexpr const char* kNameStart = "allot-pipeline-";

// The directory, locked; empty if it is not there, not ours, or locked by a run that lives.
Descriptor lock_directory(const fs::path& path) {
  Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!directory || ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0 ||
      ::fstat(directory.get(), &status) != 0 || status.st_uid != ::geteuid() ||
      status.st_nlink == 0) {
    return {};
  }
  return directory;
}

void remove_those_of_the_dead(const fs::path& base) {
  std::error_code error;
  std::vector<fs::path> found;
  for (fs::directory_iterator it(base, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().native().starts_with(kNameStart)) found.push_back(it->path());
  }
  for (const fs::path& path : found) {
    if (const Descriptor lock = lock_directory(path)) fs::remove_all(path, error);
  }
}

}  // namespace

RuntimeDir::RuntimeDir() {
  std::error_code error;
  fs::path base = fs::temp_directory_path(error);
  if (error || base.native().size() > kLongestBaseBytes) base = "/tmp";
  remove_those_of_the_dead(base);
  // Until it is locked another run may take it for a dead one's.
  while (!lock_) {
    std::string name = (base / (std::string(kNameStart) + "XXXXXX")).native();
    if (::mkdtemp(name.data()) == nullptr) throw system_failure("mkdtemp " + name);
    path_ = name;
    lock_ = lock_directory(path_);
  }
}

RuntimeDir::~RuntimeDir() {
  std::error_code ignored;  // a file left in a temporary directory is no reason to fail
  fs::remove_all(path_, ignored);
}

}  // namespace pipeline
