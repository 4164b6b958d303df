// Agent: a child process that plays a role of the test, in a program started anew.
//
// The child is this very test program, so that it links what the test links; it finds its role by
// name before any test would run, plays it and exits. Test and role talk over a Link: plain values,
// each a message; every wait has a deadline and throws when it passes. A role that throws ends with
// status 1, its reason on stderr.
//
//   ALLOT_TEST_ROLE(adopter) {             // in the child
//     const auto handle = test.receive<Handle>();
//     ...
//     test.send(place);
//   }
//   Agent adopter("adopter");              // in the test
//   adopter->send(handle);
#pragma once

#include <sys/types.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "shared/platform/descriptor.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

class Link {
 public:
  static constexpr std::size_t kMostBytes = 4096;

  explicit Link(platform::Descriptor socket) noexcept : socket_(std::move(socket)) {}

  template <class T>
  void send(const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMostBytes);
    send_bytes(std::as_bytes(std::span(&value, 1)));
  }
  void send_text(const std::string& text) { send_bytes(std::as_bytes(std::span(text))); }

  template <class T>
  [[nodiscard]] T receive() {
    std::array<std::byte, kMostBytes> buffer;
    if (receive_bytes(buffer) != sizeof(T)) throw std::runtime_error("a message of another type");
    return value_of<T>(buffer);
  }
  /// The next message of the size of a T; forgets others that come before it.
  template <class T>
  [[nodiscard]] T skip_to() {
    std::array<std::byte, kMostBytes> buffer;
    while (receive_bytes(buffer) != sizeof(T)) {
    }
    return value_of<T>(buffer);
  }
  [[nodiscard]] std::string receive_text();
  [[nodiscard]] const platform::Descriptor& socket() const noexcept { return socket_; }

 private:
  template <class T>
  [[nodiscard]] static T value_of(const std::array<std::byte, kMostBytes>& buffer) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kMostBytes);
    T value;
    std::memcpy(static_cast<void*>(&value), buffer.data(), sizeof(T));
    return value;
  }
  void send_bytes(std::span<const std::byte> bytes);
  [[nodiscard]] std::size_t receive_bytes(std::span<std::byte> buffer);

  platform::Descriptor socket_;
};

struct RoleEntry {
  RoleEntry(const char* name, void (*play)(Link& test));
};

/// Throws with `what` unless `condition` holds; for roles, where a failed EXPECT would be unseen.
inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error(what);
}

/// In a role: waits for a child of its own that the test kills, and tells the test that it is gone.
inline void await_kill(Link& test, pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  require(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it ended by itself");
  test.send(child);
}

class Agent {
 public:
  explicit Agent(const std::string& role);

  Link* operator->() noexcept { return &link_; }
  [[nodiscard]] Link& link() noexcept { return link_; }
  [[nodiscard]] ChildProcess& process() noexcept { return process_; }
  [[nodiscard]] pid_t pid() const noexcept { return process_.pid(); }

  /// Waits until the role has been played to its end; false if it failed.
  [[nodiscard]] bool finish();

 private:
  Link link_;
  ChildProcess process_;
};

}  // namespace allot::test

#define ALLOT_TEST_ROLE(name)                                   \
  void play_##name(allot::test::Link& test);                    \
  const allot::test::RoleEntry role_##name(#name, play_##name); \
  void play_##name([[maybe_unused]] allot::test::Link& test)
