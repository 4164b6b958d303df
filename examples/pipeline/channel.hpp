// Channels between the processes: one SOCK_SEQPACKET socket pair each, one message type a
// direction.
//
// A datagram is one message, or several of the type: plain structs. So a process killed at any
// instruction has sent it whole or not at all. The end of a peer shows as kClosed, after everything
// that it sent before.
#pragma once

#include <cstddef>
#include <type_traits>
#include <vector>

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
/// Receives one datagram of 1 to `most` messages; kNothing only without patience.
[[nodiscard]] Reception receive_bytes(int fd, void* bytes, std::size_t message_bytes,
                                      std::size_t most, std::size_t& count, Patience patience);

/// Messages worth a datagram: fewer of them wake the peer too often.
inline constexpr std::size_t kMessagesPerDatagram = 16;

template <class Message>
[[nodiscard]] bool send(int fd, const Message& message) {
  static_assert(std::is_trivially_copyable_v<Message>);
  return send_bytes(fd, &message, sizeof message);
}

template <class Message>
[[nodiscard]] Reception receive(int fd, Message& message, Patience patience) {
  static_assert(std::is_trivially_copyable_v<Message>);
  std::size_t count = 0;
  return receive_bytes(fd, &message, sizeof message, 1, count, patience);
}

/// Sends all messages as one datagram and clears them; true if there are none.
template <class Message>
[[nodiscard]] bool send_all(int fd, std::vector<Message>& messages) {
  static_assert(std::is_trivially_copyable_v<Message>);
  const bool sent =
      messages.empty() || send_bytes(fd, messages.data(), messages.size() * sizeof(Message));
  messages.clear();
  return sent;
}

/// Receives the messages of one datagram.
template <class Message>
[[nodiscard]] Reception receive_all(int fd, std::vector<Message>& messages, Patience patience) {
  static_assert(std::is_trivially_copyable_v<Message>);
  std::size_t count = 0;
  messages.resize(kMessagesPerDatagram);
  const Reception reception =
      receive_bytes(fd, messages.data(), sizeof(Message), kMessagesPerDatagram, count, patience);
  messages.resize(count);
  return reception;
}

}  // namespace pipeline
