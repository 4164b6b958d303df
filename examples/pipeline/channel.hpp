// Channels between the processes: one SOCK_SEQPACKET socket pair each, one message type a direction.
//
// A message is a plain struct sent as one datagram, so a process killed at any instruction has sent
// it whole or not at all. The end of a peer shows as kClosed, after everything that it sent before.
#pragma once

#include <cstddef>
#include <type_traits>

#include "examples/pipeline/descriptor.hpp"

namespace pipeline {

struct DescriptorPair {
  Descriptor first;   // of a pipe: the reading end
  Descriptor second;  // of a pipe: the writing end
};

/// Both are close-on-exec; a child inherits what it is spawned with (child.hpp).
[[nodiscard]] DescriptorPair make_channel();
[[nodiscard]] DescriptorPair make_pipe();

enum class Reception { kMessage, kNothing, kClosed };
enum class Patience { kWait, kNoWait };

/// Sends one datagram; false if the peer is gone.
[[nodiscard]] bool send_bytes(int fd, const void* bytes, std::size_t size_bytes);
/// Receives one datagram of exactly `size_bytes`; kNothing only without patience.
[[nodiscard]] Reception receive_bytes(int fd, void* bytes, std::size_t size_bytes,
                                      Patience patience);

template <class Message>
[[nodiscard]] bool send(int fd, const Message& message) {
  static_assert(std::is_trivially_copyable_v<Message>);
  return send_bytes(fd, &message, sizeof message);
}

template <class Message>
[[nodiscard]] Reception receive(int fd, Message& message, Patience patience) {
  static_assert(std::is_trivially_copyable_v<Message>);
  return receive_bytes(fd, &message, sizeof message, patience);
}

}  // namespace pipeline
