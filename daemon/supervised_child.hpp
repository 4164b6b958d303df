// Starting the daemon below a supervisor: a program with descriptors where sd_listen_fds(3) looks.
//
// Used by the supervisor only.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include <allot/expected.hpp>

#include "daemon/descriptor_store.hpp"

namespace allot::daemon {

struct ChildProgram {
  std::filesystem::path path;          // executed anew each time, so that another build is taken
  std::vector<std::string> arguments;  // with the program's name
  std::filesystem::path notify_socket;
};

/// Where the program lies that runs now, by the name it was started by: a symbolic link stays one.
[[nodiscard]] std::filesystem::path path_of_this_program(const std::string& started_by);

/// Forks, and executes the program with all of the store. The child exits with kExitNoProgram, and a
/// line on stderr, if that fails.
[[nodiscard]] Expected<pid_t> start_child(const ChildProgram& program,
                                          const DescriptorStore& store);

}  // namespace allot::daemon
