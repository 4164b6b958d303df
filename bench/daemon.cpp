#include "bench/daemon.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace allot::bench {

namespace {

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = path.string();
  if (text.size() >= sizeof address.sun_path) throw std::runtime_error(text + " is too long");
  std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  return address;
}

// bind() and connect() take the general form of an address.
const sockaddr* general(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Descriptor listen_for_notifications(const std::filesystem::path& path) {
  Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  const sockaddr_un address = address_of(path);
  if (bind(socket.get(), general(address), sizeof address) != 0) {
    throw std::system_error(errno, std::generic_category(), path.string());
  }
  return socket;
}

Command daemon_command(const std::filesystem::path& directory, std::chrono::milliseconds watchdog) {
  const std::filesystem::path configuration = directory / "allotd.toml";
  std::ofstream(configuration) << "log_level = \"warning\"\n";  // there may be hundreds of them
  Command command;
  command.arguments = {ALLOT_BENCH_ALLOTD, "--config", configuration.string(), "--runtime-dir",
                       directory.string()};
  command.environment = {"NOTIFY_SOCKET=" + (directory / "notify.sock").string()};
  if (watchdog.count() > 0) {
    command.environment.push_back("WATCHDOG_USEC=" + std::to_string(watchdog.count() * 1000));
  }
  return command;
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (std::filesystem::temp_directory_path() / "allot_bench.XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), name);
  path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // nothing can be done about a directory that stays
  std::filesystem::remove_all(path_, ignored);
}

Daemon::Daemon(std::chrono::milliseconds watchdog)
    : notify_(listen_for_notifications(directory_.path() / "notify.sock")),
      child_(daemon_command(directory_.path(), watchdog)) {
  while (next_notification(kDeadline).find("READY=1") == std::string::npos) {
  }
}

std::string Daemon::next_notification(std::chrono::milliseconds timeout) const {
  if (!wait_readable({notify_.get(), child_.pidfd().get()}, timeout)) {
    return {};
  }
  std::array<char, 4096> buffer{};
  const ssize_t count = recv(notify_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count < 0) throw std::runtime_error(std::string(ALLOT_BENCH_ALLOTD) + " ended");
  return {buffer.data(), static_cast<std::size_t>(count)};
}

}  // namespace allot::bench
