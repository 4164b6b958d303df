#include "daemon/sockets.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "daemon/log.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

// The kernel cuts it to net.core.somaxconn.
constexpr int kBacklog = 4096;

mode_t socket_mode() { return ::geteuid() == 0 ? 0660 : 0600; }

Expected<platform::Descriptor> listen_stream(const std::filesystem::path& path, mode_t mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.size() >= sizeof(address.sun_path)) {
    return Error(Errc::kBadArgument, "socket path '" + text + "' is too long");
  }
  std::memcpy(&address.sun_path[0], text.data(), text.size());
  platform::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return platform::system_error("socket");
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return platform::system_error("bind(" + text + ")");
  }
  // Between bind and chmod nobody can connect: the socket does not listen yet.
  if (::chmod(path.c_str(), mode) != 0) return platform::system_error("chmod(" + text + ")");
  if (::listen(socket.get(), kBacklog) != 0) return platform::system_error("listen(" + text + ")");
  return socket;
}

// Takes what systemd passed; each descriptor is owned or closed.
Expected<void> take_passed(ListeningSockets& sockets) {
  char** names = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &names);
  Expected<void> result;
  for (int i = 0; i < count; ++i) {
    platform::Descriptor socket(SD_LISTEN_FDS_START + i);
    const std::string name = names == nullptr ? "" : names[i];
    std::free(names == nullptr ? nullptr : names[i]);  // NOLINT(cppcoreguidelines-no-malloc)
    const int type = name == "client" ? SOCK_SEQPACKET : SOCK_STREAM;
    if (name != "client" && name != "control") {
      log_warning("systemd passed a socket named '" + one_line(name) +
                  "'; known are client and control");
    } else if (::sd_is_socket_unix(socket.get(), type, 1, nullptr, 0) <= 0) {
      result = Error(Errc::kBadArgument,
                     "the passed socket '" + name + "' does not listen as " +
                         (name == "client" ? "ListenSequentialPacket=" : "ListenStream="));
    } else {
      (name == "client" ? sockets.client : sockets.control) = std::move(socket);
    }
  }
  std::free(names);  // NOLINT(cppcoreguidelines-no-malloc)
  if (count < 0) return Error(std::error_code(-count, std::generic_category()), "LISTEN_FDS");
  return result;
}

}  // namespace

Expected<ListeningSockets> ListeningSockets::take(const RuntimeDir& directory) {
  ListeningSockets sockets;
  if (auto taken = take_passed(sockets); !taken) return taken.error();
  const mode_t mode = socket_mode();
  if (!sockets.client) {
    const auto path = directory.client_socket();
    if (auto removed = RuntimeDir::remove_stale_socket(path); !removed) return removed.error();
    auto made = platform::listen_seqpacket(path, mode, kBacklog);
    if (!made) return made.error();
    sockets.client = std::move(*made);
    sockets.made.push_back(path);
  }
  if (!sockets.control) {
    const auto path = directory.control_socket();
    if (auto removed = RuntimeDir::remove_stale_socket(path); !removed) return removed.error();
    auto made = listen_stream(path, mode);
    if (!made) return made.error();
    sockets.control = std::move(*made);
    sockets.made.push_back(path);
  }
  return sockets;
}

}  // namespace allot::daemon
