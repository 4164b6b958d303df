// Unix sequenced-packet sockets: whole messages, descriptors towards the client, credentials.
//
// Used by both sides. A message is one datagram; longer ones than expected are an error of the
// peer. All descriptors are close-on-exec and non-blocking waits are done with poll().
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::platform {

inline constexpr std::size_t kMaxPassedDescriptors = 8;

struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

using Deadline = std::chrono::steady_clock::time_point;

/// Connects to a listening socket at `path`. The system's error if there is none; Errc::kDeadline
/// if its queue of connections is still full at `deadline`.
[[nodiscard]] Expected<Descriptor> connect_seqpacket(const std::filesystem::path& path,
                                                     Deadline deadline = Deadline::max());

/// Makes a listening socket at `path` (which must not exist) with `mode`.
[[nodiscard]] Expected<Descriptor> listen_seqpacket(const std::filesystem::path& path, mode_t mode,
                                                    int backlog);

/// Who was at the other end when the connection was made (SO_PEERCRED).
[[nodiscard]] Expected<PeerCredentials> peer_credentials(const Descriptor& socket);

/// A pidfd of the process at the other end: SO_PEERPIDFD where the kernel has it (6.5), else
/// pidfd_open of the SO_PEERCRED pid (then the caller must confirm the peer with a nonce).
struct PeerPidfd {
  Descriptor pidfd;
  bool race_free = false;  // true: from SO_PEERPIDFD
};
[[nodiscard]] Expected<PeerPidfd> peer_pidfd(const Descriptor& socket);

/// Refuses descriptors from the peer where the kernel can (SO_PASSRIGHTS=0, 6.16). Returns
/// whether it could.
bool refuse_descriptors(const Descriptor& socket) noexcept;

/// Asks the kernel to attach the sender's credentials to each message received (SO_PASSCRED).
[[nodiscard]] Expected<void> ask_for_credentials(const Descriptor& socket);

/// Sends one message with `descriptors` (at most kMaxPassedDescriptors) attached. Never blocks and
/// never raises SIGPIPE; EAGAIN if the peer's queue is full.
[[nodiscard]] Expected<void> send_message(const Descriptor& socket,
                                          std::span<const std::byte> message,
                                          std::span<const int> descriptors = {});

struct Received {
  std::size_t size_bytes = 0;  // 0: the peer closed
  bool truncated = false;      // message or control data was longer than there was room
  std::optional<PeerCredentials> sender;
  std::array<Descriptor, kMaxPassedDescriptors> descriptors;
  std::size_t descriptor_count = 0;
};

enum class Descriptors : std::uint8_t { kAccept, kRefuse };

/// Receives one message without blocking (EAGAIN if there is none). With kRefuse, and beyond
/// kMaxPassedDescriptors, descriptors are dropped and truncated is set.
[[nodiscard]] Expected<Received> receive_message(const Descriptor& socket,
                                                 std::span<std::byte> buffer,
                                                 Descriptors descriptors);

/// True once the peer will send nothing more: it has closed its end, shut it down, or is gone. What
/// it sent before may still be there to be read.
[[nodiscard]] bool has_hung_up(const Descriptor& socket) noexcept;

/// Waits until `socket` can be read, or written. Errc::kDeadline when `deadline` passes first.
[[nodiscard]] Expected<void> wait_readable(const Descriptor& socket, Deadline deadline);
[[nodiscard]] Expected<void> wait_writable(const Descriptor& socket, Deadline deadline);

}  // namespace allot::platform
