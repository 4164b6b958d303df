// Relay: a socket between a client and its allotd that can keep back what the client says.
//
// Used by process tests that must know that a request is on its way and not yet answered: nothing
// a stopped daemon does tells them. One thread passes messages on both ways, with their
// descriptors; it belongs to the process of the client, for whose the daemon takes it.
#pragma once

#include <poll.h>

#include <condition_variable>
#include <cstddef>
#include <filesystem>
#include <list>
#include <mutex>
#include <span>
#include <thread>

#include "shared/platform/descriptor.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

class Relay {
 public:
  explicit Relay(std::filesystem::path daemon_socket);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  /// Closes all connections.
  ~Relay();

  [[nodiscard]] std::filesystem::path socket() const { return directory_.path() / "relay.sock"; }

  /// From now on clients' messages stay here, unread.
  void hold();
  /// Waits until a client has sent something since hold(). Throws after kPatience.
  void wait_for_held();
  /// Lets everything go on.
  void release();

 private:
  struct Pair {
    platform::Descriptor client;
    platform::Descriptor daemon;
  };
  void run();
  void pass_on(std::span<const pollfd> ready);
  void wake();

  TemporaryDir directory_;
  std::filesystem::path daemon_socket_;
  platform::Descriptor listener_;
  platform::Descriptor wake_;  // eventfd
  std::mutex mutex_;
  std::condition_variable changed_;
  bool holding_ = false;
  bool stopping_ = false;
  bool has_held_ = false;  // a client's message is here
  std::list<Pair> pairs_;  // the thread's
  std::thread thread_;     // last: it uses the rest
};

}  // namespace allot::test
