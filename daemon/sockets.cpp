#include "daemon/sockets.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

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

// The one of the two sockets that a function is about.
struct Kind {
  std::string name;  // in LISTEN_FDNAMES and in the store
  int type;
  const char* directive;  // of systemd's socket unit
  std::filesystem::path path;

  [[nodiscard]] std::string path_name() const { return name + "-path"; }
};

Expected<bool> is_listening(const platform::Descriptor& socket, const Kind& kind) {
  const int is = ::sd_is_socket_unix(socket.get(), kind.type, 1, nullptr, 0);
  if (is < 0)
    return Error(std::error_code(-is, std::generic_category()), "the socket " + kind.name);
  return is > 0;
}

// The descriptor of the path keeps the inode, so that no other file gets its number.
Expected<bool> is_still_at(const platform::Descriptor& stored, const std::filesystem::path& path) {
  struct stat then {};
  struct stat now {};
  if (::fstat(stored.get(), &then) != 0) return platform::system_error("fstat(a stored path)");
  if (::lstat(path.c_str(), &now) != 0) {
    auto failed = platform::system_error("lstat(" + path.native() + ")");
    if (platform::is_shortage(failed.code)) return failed;
    return false;
  }
  return then.st_dev == now.st_dev && then.st_ino == now.st_ino;
}

void forget(const Kind& kind, ServiceManager& manager) {
  manager.remove(kind.name);
  manager.remove(kind.path_name());
}

// What was passed under the kind's name; owns nothing if there is none, or none that is of use.
Expected<platform::Descriptor> take_passed(const Kind& kind, InheritedDescriptors& inherited,
                                           ServiceManager& manager) {
  // systemd passes the sockets of its units before those of the store.
  auto passed = inherited.take_all(kind.name);
  const auto stored_paths = inherited.take_all(kind.path_name());
  const bool is_only_stored = passed.size() == 1 && stored_paths.size() == 1;
  Expected<bool> listens = false;
  if (!passed.empty()) listens = is_listening(passed[0], kind);
  if (!listens) return listens.error();
  if (is_only_stored && *listens) {
    const auto is_there = is_still_at(stored_paths[0], kind.path);
    if (!is_there) return is_there.error();
    if (*is_there) return std::move(passed[0]);
  }
  if (!stored_paths.empty()) {
    log_info("the stored socket '" + kind.name + "' is not the one at " + kind.path.native() +
             " any more; forgotten");
    forget(kind, manager);
  }
  if (passed.empty() || is_only_stored) return platform::Descriptor();
  if (!*listens) {
    return Error(Errc::kBadArgument,
                 "the passed socket '" + kind.name + "' does not listen as " + kind.directive);
  }
  return std::move(passed[0]);
}

void store(const Kind& kind, const platform::Descriptor& socket, ServiceManager& manager) {
  const platform::Descriptor path(::open(kind.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!path) {
    log_warning("the socket " + kind.path.native() + " will not outlive this process: " +
                platform::system_error("open(O_PATH)").message());
    return;
  }
  // The path first: a socket in the store without one would be taken for a unit's.
  manager.store(kind.path_name(), path.get());
  manager.store(kind.name, socket.get());
}

Expected<platform::Descriptor> make(const Kind& kind) {
  if (auto removed = RuntimeDir::remove_stale_socket(kind.path); !removed) return removed.error();
  if (kind.type == SOCK_STREAM) return listen_stream(kind.path, socket_mode());
  return platform::listen_seqpacket(kind.path, socket_mode(), kBacklog);
}

Expected<platform::Descriptor> take_or_make(const Kind& kind, InheritedDescriptors& inherited,
                                            ServiceManager& manager,
                                            std::vector<std::filesystem::path>& made_paths) {
  auto passed = take_passed(kind, inherited, manager);
  if (!passed || *passed) return passed;
  auto made = make(kind);
  if (!made) return made;
  if (manager.has_store()) {
    store(kind, *made, manager);
  } else {
    made_paths.push_back(kind.path);
  }
  return made;
}

}  // namespace

Expected<ListeningSockets> ListeningSockets::take(const RuntimeDir& directory,
                                                  InheritedDescriptors& inherited,
                                                  ServiceManager& manager) {
  const Kind client{"client", SOCK_SEQPACKET, "ListenSequentialPacket=", directory.client_socket()};
  const Kind control{"control", SOCK_STREAM, "ListenStream=", directory.control_socket()};
  ListeningSockets sockets;
  auto for_clients = take_or_make(client, inherited, manager, sockets.made);
  if (!for_clients) return for_clients.error();
  sockets.client = std::move(*for_clients);
  auto for_control = take_or_make(control, inherited, manager, sockets.made);
  if (!for_control) return for_control.error();
  sockets.control = std::move(*for_control);
  return sockets;
}

}  // namespace allot::daemon
