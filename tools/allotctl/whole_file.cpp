#include "tools/allotctl/whole_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "shared/platform/descriptor.hpp"

namespace allot::ctl {

namespace {

Error error_of(const std::string& path) {
  return Error(std::error_code(errno, std::generic_category()), "cannot write " + path);
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// The mode that a file made by open() would have.
mode_t usual_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

}  // namespace

Expected<void> write_whole(const std::string& path, std::string_view text) {
  struct stat there {};
  const bool exists = ::stat(path.c_str(), &there) == 0;
  if (exists && !S_ISREG(there.st_mode)) {
    const platform::Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file || !write_all(file.get(), text)) return error_of(path);
    return {};
  }
  // A symbolic link stays one: what it leads to is replaced.
  std::error_code failed;
  const std::string target = exists ? std::filesystem::canonical(path, failed).native() : path;
  if (failed) return Error(failed, "cannot write " + path);
  std::string beside = target + ".XXXXXX";
  const platform::Descriptor file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file) return error_of(path);
  const mode_t mode = exists ? there.st_mode & 07777 : usual_mode();
  if (write_all(file.get(), text) && ::fchmod(file.get(), mode) == 0 &&
      ::rename(beside.c_str(), target.c_str()) == 0) {
    return {};
  }
  const Error error = error_of(path);
  ::unlink(beside.c_str());
  return error;
}

}  // namespace allot::ctl
