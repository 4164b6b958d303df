// ExitWatch: calls back when another session of the region has ended.
//
// One per session, with a connection and a thread of its own, both made at the first watch(). The
// thread blocks all signals and sleeps in poll(). Callbacks run on it, one after the other; they
// may use the session, but not close it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <allot/session.hpp>

#include "shared/platform/seqpacket.hpp"
#include "shared/protocol/message.hpp"

namespace allot {

class ExitWatch {
 public:
  ExitWatch(std::vector<std::filesystem::path> sockets, std::string region);
  ExitWatch(const ExitWatch&) = delete;
  ExitWatch& operator=(const ExitWatch&) = delete;
  /// Stops the thread; callbacks that were not called never are.
  ~ExitWatch();

  /// Calls `callback` once after `other` has ended, soon if it has already. On an error it is never
  /// called. Inside a callback it does not wait for the daemon's answer.
  [[nodiscard]] Expected<void> watch(const SessionId& other, std::function<void()> callback,
                                     platform::Deadline deadline);
  /// In a forked child: the thread does not exist here.
  void abandon() noexcept;

 private:
  struct Entry {
    SessionId other;
    std::function<void()> callback;
    bool answered = false;
    std::optional<Error> refused;
  };

  [[nodiscard]] Expected<void> start(platform::Deadline deadline);
  void run();
  void handle(const protocol::Message& message);
  void fire(const SessionId& other);

  std::vector<std::filesystem::path> sockets_;
  std::string region_;
  std::mutex mutex_;
  std::condition_variable answered_;
  platform::Descriptor socket_;
  platform::Descriptor stop_;  // eventfd
  std::thread thread_;
  bool lost_ = false;
  std::uint64_t next_request_ = 1;
  std::map<std::uint64_t, Entry> entries_;  // by request, until called back or refused
};

}  // namespace allot
