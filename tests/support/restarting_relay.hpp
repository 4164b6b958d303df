// RestartingRelay: between clients and an allotd, what a client sees when allotd is killed and comes back.
//
// It cuts the clients' connections, at any time or at the very request that the test wants, and lets
// them go on by Resume; the daemon behind it hears nothing of that. Before a session goes on, all
// that the daemon heard is done, and its answers are dropped: so a request was done or was not, and
// the client cannot know. One thread; it belongs to the process of the client, for whose the daemon
// takes it.
#pragma once

#include <poll.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <thread>

#include "shared/platform/descriptor.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/protocol/message.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

class RestartingRelay {
 public:
  explicit RestartingRelay(std::filesystem::path daemon_socket);
  RestartingRelay(const RestartingRelay&) = delete;
  RestartingRelay& operator=(const RestartingRelay&) = delete;
  /// Closes all connections.
  ~RestartingRelay();

  [[nodiscard]] std::filesystem::path socket() const { return directory_.path() / "relay.sock"; }

  enum class Heard : std::uint8_t { kNo, kYes };
  /// Cuts all connections at the next request of `kind`, which the daemon has heard, or has not.
  void cut_at(protocol::Kind kind, Heard heard);
  /// Cuts all connections now.
  void cut();
  /// Times that connections were cut.
  [[nodiscard]] std::size_t cuts();
  /// From now on no session goes on, as if another daemon had come.
  void forget_sessions();
  /// The next `count` that ask to go on are told to ask again later.
  void refuse_resumes(int count);
  /// The next new session has ended when its client hears of it.
  void end_next_session();

 private:
  struct Pair {
    platform::Descriptor client;  // none: it may come back
    platform::Descriptor daemon;  // none: before the first message
    std::uint64_t session = 0;    // its incarnation
    std::size_t unanswered = 0;   // requests that the daemon has heard
    std::set<std::uint64_t> pins;
    std::map<std::uint64_t, std::uint64_t> reservations;  // granules, by first
  };
  struct Cut {
    protocol::Kind kind{};
    Heard heard = Heard::kNo;
  };
  void run();
  /// False if that end is closed.
  [[nodiscard]] bool hear_client(Pair& pair);
  [[nodiscard]] bool hear_daemon(Pair& pair);
  [[nodiscard]] bool tell_daemon(Pair& pair, const protocol::Message& message);
  [[nodiscard]] bool begin(Pair& pair, const protocol::Message& message);
  [[nodiscard]] bool resume(Pair& pair, const protocol::Message& message);
  void note(Pair& pair, const protocol::Body& from_daemon);
  void settle(Pair& pair);
  void cut_all();
  void wake();

  TemporaryDir directory_;
  std::filesystem::path daemon_socket_;
  platform::Descriptor listener_;
  platform::Descriptor wake_;  // eventfd
  std::mutex mutex_;           // of what follows, up to pairs_
  std::condition_variable changed_;
  bool stopping_ = false;
  bool cutting_ = false;
  bool forgetting_ = false;
  int resumes_to_refuse_ = 0;
  bool ending_next_session_ = false;
  std::optional<Cut> cut_at_;
  std::size_t cuts_ = 0;
  std::list<Pair> pairs_;  // the thread's
  std::thread thread_;     // last: it uses the rest
};

}  // namespace allot::test
