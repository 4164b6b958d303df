#include "examples/pipeline/daemon.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <boost/json.hpp>
#include <csignal>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

#include "examples/pipeline/failure.hpp"

namespace pipeline {

namespace {

using namespace std::chrono_literals;

constexpr auto kReadyTimeout = 20s;
constexpr auto kStopTimeout = 20s;
constexpr auto kAnswerTimeout = 30s;
constexpr auto kEmptyTimeout = 10s;
constexpr auto kAskAgain = 20ms;

Descriptor bind_notify_socket(const std::filesystem::path& path) {
  Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) throw system_failure("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.size() >= sizeof address.sun_path) {
    throw Failure(ExitCode::kEnvironment, "too long for a socket: " + name);
  }
  name.copy(address.sun_path, name.size());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw system_failure("bind " + name);
  }
  return socket;
}

// True if one of the lines of a notification says READY=1.
bool says_ready(std::string_view text) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line == "READY=1") return true;
  }
  return false;
}

}  // namespace

Daemon::Daemon(const std::string& allotd, std::string allotctl, std::filesystem::path directory)
    : allotctl_(std::move(allotctl)), directory_(std::move(directory)) {
  const std::filesystem::path notify_path = directory_ / "notify.sock";
  const Descriptor notify = bind_notify_socket(notify_path);
  const std::filesystem::path log_path = directory_ / "allotd.log";
  const Descriptor log_file(
      ::open(log_path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600));
  if (!log_file) throw system_failure("open " + log_path.native());
  Command command;
  command.arguments = {allotd, "--runtime-dir", directory_.native()};
  command.environment = {"NOTIFY_SOCKET=" + notify_path.native()};
  command.output_fd = log_file.get();
  command.error_fd = log_file.get();
  process_.emplace("allotd", command);
  wait_until_ready(notify.get());
}

void Daemon::wait_until_ready(int notify_fd) {
  const Deadline deadline("allotd to be ready", kReadyTimeout);
  for (;;) {
    std::array<pollfd, 2> entries{pollfd{notify_fd, POLLIN, 0},
                                  pollfd{process_->exit_fd(), POLLIN, 0}};
    try {
      wait_for(entries, deadline);
    } catch (const Failure& failure) {
      throw Failure(ExitCode::kEnvironment, failure.what() + (":\n" + log()));
    }
    if (entries[0].revents != 0) {
      std::array<char, 4096> buffer{};
      const ssize_t got = ::recv(notify_fd, buffer.data(), buffer.size(), 0);
      if (got < 0) throw system_failure("recv from NOTIFY_SOCKET");
      if (says_ready({buffer.data(), static_cast<std::size_t>(got)})) return;
    } else if (const auto status = process_->try_reap()) {
      throw Failure(ExitCode::kEnvironment,
                    "allotd ended at its start with " + status->describe() + ":\n" + log());
    }
  }
}

std::string Daemon::log() const {
  const std::ifstream file(directory_ / "allotd.log");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Captured Daemon::allotctl(const std::vector<std::string>& command) const {
  Command whole;
  whole.arguments = {allotctl_};
  whole.arguments.insert(whole.arguments.end(), command.begin(), command.end());
  whole.environment = {"ALLOT_RUNTIME_DIR=" + directory_.native()};
  return capture("allotctl " + command.front(), whole,
                 Deadline("allotctl " + command.front(), kAnswerTimeout));
}

Holdings Daemon::holdings() const {
  const Captured stats = allotctl({"stats", "--json"});
  if (!stats.status.succeeded()) {
    throw Failure(ExitCode::kWrong, "allotctl stats: " + stats.status.describe());
  }
  Holdings sum;
  try {
    const boost::json::value answer = boost::json::parse(stats.output);
    for (const auto& region : answer.at("regions").as_array()) {
      sum.sessions += region.at("sessions").to_number<std::uint64_t>();
      sum.granted_bytes += region.at("granted_bytes").to_number<std::uint64_t>();
    }
  } catch (const std::exception& error) {
    throw Failure(ExitCode::kWrong,
                  std::string("allotctl stats --json: ") + error.what() + ": " + stats.output);
  }
  return sum;
}

Holdings Daemon::wait_until_empty() const {
  const Deadline bound("the region to be empty", kEmptyTimeout);
  Holdings held = holdings();
  while (!held.none() && bound.remaining() > 2 * kAskAgain) {
    std::array<pollfd, 1> entry{pollfd{process_->exit_fd(), POLLIN, 0}};
    if (wait_for_at_most(entry, kAskAgain, bound) > 0) {
      throw Failure(ExitCode::kWrong, "allotd ended during the run:\n" + log());
    }
    held = holdings();
  }
  return held;
}

ExitStatus Daemon::stop() {
  process_->signal(SIGTERM);
  return process_->wait(Deadline("allotd to end", kStopTimeout));
}

}  // namespace pipeline
