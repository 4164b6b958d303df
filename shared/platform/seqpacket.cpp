#include "shared/platform/seqpacket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "shared/platform/pidfd.hpp"
#include "shared/platform/poll_now.hpp"
#include "shared/platform/system_error.hpp"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace allot::platform {

namespace {

Expected<sockaddr_un> unix_address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& text = path.native();
  if (text.empty() || text.size() >= sizeof(address.sun_path)) {
    return Error(Errc::kBadArgument, "socket path '" + text + "' must have 1 to " +
                                         std::to_string(sizeof(address.sun_path) - 1) + " bytes");
  }
  std::memcpy(&address.sun_path[0], text.data(), text.size());
  return address;
}

Expected<Descriptor> make_socket() {
  Descriptor socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return system_error("socket");
  return socket;
}

// Descriptors beyond `limit` are closed and the message counts as truncated.
void take_control_data(msghdr& header, std::size_t limit, Received& received) {
  for (cmsghdr* entry = CMSG_FIRSTHDR(&header); entry != nullptr;
       entry = CMSG_NXTHDR(&header, entry)) {
    if (entry->cmsg_level != SOL_SOCKET) continue;
    const std::size_t length = entry->cmsg_len - CMSG_LEN(0);
    if (entry->cmsg_type == SCM_RIGHTS) {
      for (std::size_t i = 0; i < length / sizeof(int); ++i) {
        int fd = -1;
        std::memcpy(&fd, CMSG_DATA(entry) + i * sizeof(int), sizeof(int));
        Descriptor descriptor(fd);
        if (received.descriptor_count < limit) {
          received.descriptors.at(received.descriptor_count++) = std::move(descriptor);
        } else {
          received.truncated = true;
        }
      }
    } else if (entry->cmsg_type == SCM_CREDENTIALS && length >= sizeof(ucred)) {
      ucred sender{};
      std::memcpy(&sender, CMSG_DATA(entry), sizeof(sender));
      received.sender = PeerCredentials{sender.pid, sender.uid, sender.gid};
    }
  }
}

// From now to `deadline`, rounded up, at most `most`; not negative.
std::chrono::milliseconds time_left(Deadline deadline, std::chrono::milliseconds most) {
  const auto now = std::chrono::steady_clock::now();
  if (deadline <= now) return {};
  if (deadline - now >= most) return most;
  return std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
}

constexpr std::chrono::milliseconds kLongWait{1'000'000'000};

Expected<void> wait_for(const Descriptor& socket, short events, Deadline deadline) {
  for (;;) {
    pollfd entry{socket.get(), events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(time_left(deadline, kLongWait).count()));
    if (ready > 0) return {};
    if (ready == 0) return Error(Errc::kDeadline);
    if (errno != EINTR) return system_error("poll");
  }
}

// How long connect() may wait for room in the other's queue.
Expected<void> limit_connect(const Descriptor& socket, Deadline deadline) {
  if (deadline == Deadline::max()) return {};
  // 0 would mean no limit.
  const auto left = std::max(time_left(deadline, kLongWait), std::chrono::milliseconds(1));
  timeval limit{};
  limit.tv_sec = left.count() / 1000;
  limit.tv_usec = left.count() % 1000 * 1000;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0) {
    return system_error("SO_SNDTIMEO");
  }
  return {};
}

}  // namespace

Expected<Descriptor> connect_seqpacket(const std::filesystem::path& path, Deadline deadline) {
  auto address = unix_address(path);
  if (!address) return address.error();
  auto socket = make_socket();
  if (!socket) return socket;
  if (auto limited = limit_connect(*socket, deadline); !limited) return limited.error();
  while (::connect(socket->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) !=
         0) {
    if (errno == EAGAIN) return Error(Errc::kDeadline, path.native());
    if (errno != EINTR) return system_error("connect(" + path.native() + ")");
  }
  return socket;
}

Expected<Descriptor> listen_seqpacket(const std::filesystem::path& path, mode_t mode, int backlog) {
  auto address = unix_address(path);
  if (!address) return address.error();
  auto socket = make_socket();
  if (!socket) return socket;
  if (::bind(socket->get(), reinterpret_cast<const sockaddr*>(&*address), sizeof(*address)) != 0) {
    return system_error("bind(" + path.native() + ")");
  }
  // Between bind and chmod nobody can connect: the socket does not listen yet.
  if (::chmod(path.c_str(), mode) != 0) return system_error("chmod(" + path.native() + ")");
  if (::listen(socket->get(), backlog) != 0) return system_error("listen(" + path.native() + ")");
  return socket;
}

Expected<PeerCredentials> peer_credentials(const Descriptor& socket) {
  ucred peer{};
  socklen_t length = sizeof(peer);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) {
    return system_error("SO_PEERCRED");
  }
  return PeerCredentials{peer.pid, peer.uid, peer.gid};
}

Expected<PeerPidfd> peer_pidfd(const Descriptor& socket) {
  int fd = -1;
  socklen_t length = sizeof(fd);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERPIDFD, &fd, &length) == 0) {
    return PeerPidfd{Descriptor(fd), true};
  }
  if (errno != ENOPROTOOPT) return system_error("SO_PEERPIDFD");
  auto peer = peer_credentials(socket);
  if (!peer) return peer.error();
  if (peer->pid <= 0) return Error(Errc::kOtherPidNamespace);
  auto pidfd = pidfd_open(peer->pid);
  if (!pidfd) return pidfd.error();
  return PeerPidfd{std::move(*pidfd), false};
}

bool refuse_descriptors(const Descriptor& socket) noexcept {
  const int off = 0;
  return ::setsockopt(socket.get(), SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) == 0;
}

Expected<void> ask_for_credentials(const Descriptor& socket) {
  const int on = 1;
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) != 0) {
    return system_error("SO_PASSCRED");
  }
  return {};
}

Expected<void> send_message(const Descriptor& socket, std::span<const std::byte> message,
                            std::span<const int> descriptors) {
  if (descriptors.size() > kMaxPassedDescriptors) {
    return Error(Errc::kBadArgument, "a message carries at most " +
                                         std::to_string(kMaxPassedDescriptors) + " descriptors");
  }
  iovec data{const_cast<std::byte*>(message.data()), message.size()};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(kMaxPassedDescriptors * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const std::size_t bytes = descriptors.size_bytes();
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(bytes);
    cmsghdr* const entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = SOL_SOCKET;
    entry->cmsg_type = SCM_RIGHTS;
    entry->cmsg_len = CMSG_LEN(bytes);
    std::memcpy(CMSG_DATA(entry), descriptors.data(), bytes);
  }
  while (::sendmsg(socket.get(), &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return system_error("sendmsg");
  }
  return {};
}

Expected<Received> receive_message(const Descriptor& socket, std::span<std::byte> buffer,
                                   Descriptors descriptors) {
  constexpr std::size_t kCredentialRoom = CMSG_SPACE(sizeof(ucred));
  constexpr std::size_t kDescriptorRoom = CMSG_SPACE(kMaxPassedDescriptors * sizeof(int));
  alignas(cmsghdr) std::array<std::byte, kCredentialRoom + kDescriptorRoom> control{};
  iovec data{buffer.data(), buffer.size()};
  msghdr header{};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = descriptors == Descriptors::kAccept ? control.size() : kCredentialRoom;
  ssize_t size = 0;
  while ((size = ::recvmsg(socket.get(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT)) < 0) {
    if (errno != EINTR) return system_error("recvmsg");
  }
  Received received;
  received.size_bytes = static_cast<std::size_t>(size);
  received.truncated = (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
  // Room for credentials holds a few descriptors where the socket did not ask for credentials.
  take_control_data(header, descriptors == Descriptors::kAccept ? kMaxPassedDescriptors : 0,
                    received);
  return received;
}

bool has_hung_up(const Descriptor& socket) noexcept {
  pollfd one{socket.get(), POLLRDHUP, 0};
  return poll_now(one) > 0;
}

Expected<void> wait_readable(const Descriptor& socket, Deadline deadline) {
  return wait_for(socket, POLLIN, deadline);
}

Expected<void> wait_writable(const Descriptor& socket, Deadline deadline) {
  return wait_for(socket, POLLOUT, deadline);
}

}  // namespace allot::platform
