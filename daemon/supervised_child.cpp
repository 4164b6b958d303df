#include "daemon/supervised_child.hpp"

#include <fcntl.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigprocmask
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "daemon/restart_policy.hpp"
#include "shared/platform/descriptor.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

bool is_this_program(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::equivalent(path, "/proc/self/exe", ignored);
}

// Puts descriptor i of the list at SD_LISTEN_FDS_START + i, open across exec. Needs room for one
// more only: there may be as many as the process can have. In the child.
bool arrange(std::vector<int> from) {
  std::unordered_map<int, std::size_t> places;  // descriptor: where it stands in the list
  for (std::size_t i = 0; i < from.size(); ++i) places.emplace(from[i], i);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const int target = SD_LISTEN_FDS_START + static_cast<int>(i);
    if (from[i] == target) {
      if (::fcntl(target, F_SETFD, 0) != 0) return false;
      continue;
    }
    const auto in_the_way = places.find(target);
    if (in_the_way == places.end()) {
      if (::dup2(from[i], target) < 0) return false;
      places.erase(from[i]);
      ::close(from[i]);
      continue;
    }
    // The two change places.
    const std::size_t other = in_the_way->second;
    const platform::Descriptor away(::fcntl(target, F_DUPFD_CLOEXEC, 0));
    if (!away || ::dup2(from[i], target) < 0) return false;
    if (::dup3(away.get(), from[i], O_CLOEXEC) < 0) return false;
    places.erase(in_the_way);
    places[from[i]] = other;
    from[other] = from[i];
  }
  return true;
}

void set_environment(const ChildProgram& program, const DescriptorStore& store) {
  for (const char* const name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"}) {
    ::unsetenv(name);
  }
  if (store.size() > 0) {
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(store.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", store.name_list().c_str(), 1);
  }
  ::setenv("NOTIFY_SOCKET", program.notify_socket.c_str(), 1);
  ::setenv("FDSTORE", std::to_string(DescriptorStore::kCapacity).c_str(), 1);
}

[[noreturn]] void become(const ChildProgram& program, const DescriptorStore& store) {
  std::vector<char*> arguments;
  arguments.reserve(program.arguments.size() + 1);
  for (const std::string& one : program.arguments) {
    arguments.push_back(const_cast<char*>(one.c_str()));
  }
  arguments.push_back(nullptr);
  set_environment(program, store);
  if (arrange(store.descriptors())) {
    // Last: a signal that has come already ends the child here, and not its parent.
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execv(program.path.c_str(), arguments.data());
  }
  const std::string line = "allotd[supervisor]: cannot run " + program.path.native() + ": " +
                           std::strerror(errno) + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(kExitNoProgram);
}

}  // namespace

std::filesystem::path path_of_this_program(const std::string& started_by) {
  std::error_code ignored;
  if (started_by.find('/') != std::string::npos) {
    if (is_this_program(started_by)) return std::filesystem::absolute(started_by, ignored);
  } else if (const char* const list = std::getenv("PATH"); list != nullptr) {
    std::string_view rest(list);
    while (!rest.empty()) {
      const std::string_view directory = rest.substr(0, rest.find(':'));
      const auto path = std::filesystem::path(directory) / started_by;
      if (is_this_program(path)) return std::filesystem::absolute(path, ignored);
      rest.remove_prefix(directory.size() < rest.size() ? directory.size() + 1 : rest.size());
    }
  }
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

Expected<pid_t> start_child(const ChildProgram& program, const DescriptorStore& store) {
  const pid_t child = ::fork();
  if (child < 0) return platform::system_error("fork");
  if (child == 0) become(program, store);
  return child;
}

}  // namespace allot::daemon
