#include "daemon/runtime_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <utility>

#include "daemon/log.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

// systemd may name several directories, with colons between.
std::string first_of_list(const char* list) {
  const std::string text(list);
  return text.substr(0, text.find(':'));
}

bool is_set(const char* value) { return value != nullptr && *value != '\0'; }

std::string holder_of(const platform::Descriptor& lock) {
  std::array<char, 32> text{};
  const auto size = ::pread(lock.get(), text.data(), text.size() - 1, 0);
  std::string pid = size > 0 ? one_line(text.data()) : "";
  while (!pid.empty() && pid.back() == '?') pid.pop_back();  // the newline
  return pid.empty() ? "of unknown pid" : "with pid " + pid;
}

Expected<void> write_pid(const platform::Descriptor& lock) {
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return platform::system_error("writing the pid to allotd.lock");
  }
  return {};
}

// Who could rename a socket here could put another in its place.
Expected<void> check_directory(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return platform::system_error(path.native());
  if (!S_ISDIR(status.st_mode))
    return Error(Errc::kBadArgument, path.native() + " is no directory");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return Error(std::make_error_code(std::errc::permission_denied),
                 path.native() + " belongs to uid " + std::to_string(status.st_uid) +
                     "; say another --runtime-dir");
  }
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error(std::make_error_code(std::errc::permission_denied),
                 "others may write to " + path.native() +
                     "; say a --runtime-dir of allotd's own, such as " + path.native() + "/allot");
  }
  return {};
}

}  // namespace

Expected<std::filesystem::path> default_runtime_dir() {
  const char* const by_systemd = std::getenv("RUNTIME_DIRECTORY");
  if (is_set(by_systemd)) return std::filesystem::path(first_of_list(by_systemd));
  const char* const by_user = std::getenv("ALLOT_RUNTIME_DIR");
  if (is_set(by_user)) return std::filesystem::path(by_user);
  if (::geteuid() == 0) return std::filesystem::path("/run/allot");
  const char* const of_login = std::getenv("XDG_RUNTIME_DIR");
  if (is_set(of_login)) return std::filesystem::path(of_login) / "allot";
  return Error(Errc::kBadArgument,
               "no runtime directory: XDG_RUNTIME_DIR is not set; say --runtime-dir DIR or set "
               "ALLOT_RUNTIME_DIR");
}

Expected<std::filesystem::path> RuntimeDir::prepare(const std::filesystem::path& path) {
  std::error_code failed;
  const auto absolute = std::filesystem::absolute(path, failed);
  if (failed) return Error(failed, path.native());
  // Ours alone, except root's: there the sockets' modes decide.
  const mode_t mode = ::geteuid() == 0 ? 0755 : 0700;
  if (::mkdir(absolute.c_str(), mode) == 0) {
    if (::chmod(absolute.c_str(), mode) != 0) {  // whatever the umask
      return platform::system_error("chmod(" + absolute.native() + ")");
    }
  } else if (errno == ENOENT) {
    return Error(std::make_error_code(std::errc::no_such_file_or_directory),
                 "cannot make the runtime directory " + absolute.native() + ": " +
                     absolute.parent_path().native() + " is not there; make that first");
  } else if (errno != EEXIST) {
    return platform::system_error("cannot make the runtime directory " + absolute.native());
  }
  if (auto checked = check_directory(absolute); !checked) return checked.error();
  return absolute;
}

Expected<RuntimeDir> RuntimeDir::take(const std::filesystem::path& path) {
  const auto directory = prepare(path);
  if (!directory) return directory.error();
  const auto& absolute = *directory;
  const auto file = absolute / "allotd.lock";
  platform::Descriptor lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return platform::system_error("cannot open " + file.native());
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return platform::system_error("flock(" + file.native() + ")");
    return Error(std::make_error_code(std::errc::address_in_use),
                 "another allotd " + holder_of(lock) + " serves " + absolute.native() +
                     "; stop it, or say another --runtime-dir");
  }
  if (auto written = write_pid(lock); !written) return written.error();
  return RuntimeDir(absolute, std::move(lock));
}

Expected<void> RuntimeDir::remove_stale_socket(const std::filesystem::path& socket) {
  struct stat status {};
  if (::lstat(socket.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return platform::system_error("lstat(" + socket.native() + ")");
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error(Errc::kBadArgument, socket.native() + " is there and is no socket; move it away");
  }
  if (::unlink(socket.c_str()) != 0)
    return platform::system_error("unlink(" + socket.native() + ")");
  return {};
}

}  // namespace allot::daemon
