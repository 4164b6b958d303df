#include "examples/pipeline/role.hpp"

#include <unistd.h>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

allot::Session connect_as(const std::string& label, const std::filesystem::path& socket) {
  allot::ConnectOptions options;
  options.label = label;
  options.socket_path = socket;
  auto session = allot::Session::connect(options);
  if (!session) throw Failure(ExitCode::kEnvironment, session.error().message());
  return *std::move(session);
}

void report_ready(Role& role) {
  if (role.ready_fd >= 0) ::close(role.ready_fd);
  role.ready_fd = -1;
}

}  // namespace pipeline
