#include "daemon/notification.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "shared/platform/system_error.hpp"

namespace allot::daemon {

namespace {

constexpr std::size_t kMaxTextBytes = 4096;
constexpr std::size_t kMaxDescriptors = 253;  // SCM_MAX_FD: the kernel sends no more

void take_control_data(msghdr& header, Notification& message) {
  for (cmsghdr* entry = CMSG_FIRSTHDR(&header); entry != nullptr;
       entry = CMSG_NXTHDR(&header, entry)) {
    if (entry->cmsg_level != SOL_SOCKET) continue;
    const std::size_t bytes = entry->cmsg_len - CMSG_LEN(0);
    if (entry->cmsg_type == SCM_RIGHTS) {
      for (std::size_t i = 0; i < bytes / sizeof(int); ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof(int), sizeof(fd));
        message.descriptors.emplace_back(fd);
      }
    } else if (entry->cmsg_type == SCM_CREDENTIALS && bytes >= sizeof(ucred)) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(entry), sizeof(credentials));
      message.sender = credentials.pid;
    }
  }
}

}  // namespace

std::optional<std::string_view> Notification::value(std::string_view key) const {
  std::string_view rest(text);
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (line.size() > key.size() && line.substr(0, key.size()) == key && line[key.size()] == '=') {
      return line.substr(key.size() + 1);
    }
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return std::nullopt;
}

Expected<platform::Descriptor> listen_for_notifications(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof(address.sun_path)) {
    return Error(Errc::kBadArgument, "socket path '" + path.native() + "' is too long");
  }
  std::memcpy(&address.sun_path[0], path.c_str(), path.native().size());
  platform::Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return platform::system_error("socket");
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
    return platform::system_error("setsockopt(SO_PASSCRED)");
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return platform::system_error("unlink(" + path.native() + ")");
  }
  // A datagram socket takes messages as soon as it is bound: its mode must be right from the start.
  const mode_t before = ::umask(077);
  const int bound =
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const auto failure = platform::system_error("bind(" + path.native() + ")");
  ::umask(before);
  if (bound != 0) return failure;
  return socket;
}

std::optional<Notification> receive_notification(const platform::Descriptor& socket) {
  std::array<char, kMaxTextBytes> text{};
  alignas(cmsghdr)
      std::array<std::byte, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(kMaxDescriptors * sizeof(int))>
          control{};
  iovec data{text.data(), text.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t size = 0;
  while ((size = ::recvmsg(socket.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  Notification message;
  message.text.assign(text.data(), static_cast<std::size_t>(size));
  message.truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  take_control_data(header, message);
  return message;
}

}  // namespace allot::daemon
