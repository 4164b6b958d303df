// SocketChannel: the Channel to allotd over its SOCK_SEQPACKET socket.
//
// A new connection takes the place of a lost one under the same descriptor number: post() may be
// called on any thread, and knows nothing but that number.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <optional>

#include "client/channel.hpp"
#include "shared/platform/descriptor.hpp"

namespace allot {

/// Connects to the first of `candidates` that answers before `deadline` and checks that its server
/// is the owner of the socket's file, root or this user. kNoDaemon names every place where it
/// looked.
struct DaemonSocket {
  platform::Descriptor descriptor;
  std::filesystem::path path;  // the candidate
};
[[nodiscard]] Expected<DaemonSocket> connect_to_daemon(
    const std::vector<std::filesystem::path>& candidates, platform::Deadline deadline);

/// Calls `attempt` until it says something else than kDaemonGone, or `deadline` passes: the daemon
/// it had connected to may have been killed, too, and another one may be about to run.
[[nodiscard]] Expected<void> until_answered(const std::function<Expected<void>()>& attempt,
                                            platform::Deadline deadline);

/// The socket paths to try for `option` (ConnectOptions::socket_path).
[[nodiscard]] std::vector<std::filesystem::path> socket_candidates(
    const std::filesystem::path& option);

class SocketChannel final : public Channel {
 public:
  explicit SocketChannel(DaemonSocket socket) noexcept
      : socket_(std::move(socket.descriptor)), path_(std::move(socket.path)) {}

  struct Greeting {
    protocol::Welcome welcome;
    // directory, ledger, data, presence
    std::array<platform::Descriptor, 4> files;
  };
  /// Says Hello, answers a Challenge, and receives the region's descriptors.
  [[nodiscard]] Expected<Greeting> greet(const protocol::Hello& hello, platform::Deadline deadline);

  [[nodiscard]] Expected<protocol::Body> request(const protocol::Body& body,
                                                 platform::Deadline deadline) override;
  bool post(const protocol::Body& body) override;
  [[nodiscard]] std::size_t unanswered_posts() const noexcept override { return unanswered_posts_; }
  [[nodiscard]] std::uint64_t request_ahead(const protocol::Body& body) override;
  [[nodiscard]] std::vector<protocol::Message> take_late_answers(
      platform::Deadline deadline) override;
  [[nodiscard]] bool is_connected() const noexcept override {
    return socket_ && !platform::has_hung_up(socket_);
  }
  [[nodiscard]] Expected<void> reconnect(const protocol::Resume& resume,
                                         platform::Deadline deadline) override;
  void abandon() noexcept override { socket_.reset(); }

 private:
  struct Answer {
    protocol::Message message;
    platform::Received received;
  };
  [[nodiscard]] Expected<void> send(const protocol::Message& message, platform::Deadline deadline);
  [[nodiscard]] Expected<Answer> receive(platform::Deadline deadline);
  /// Says `hello`, the first message of a connection, and answers a Challenge.
  [[nodiscard]] Expected<Answer> introduce(const protocol::Body& hello,
                                           platform::Deadline deadline);
  [[nodiscard]] Expected<void> resume_once(const protocol::Resume& resume,
                                           platform::Deadline deadline);
  void keep_late(const protocol::Message& message);

  platform::Descriptor socket_;
  std::filesystem::path path_;
  std::optional<Error> refused_;  // why this session can never be resumed
  std::uint64_t next_request_ = 1;
  std::size_t unanswered_posts_ = 0;
  std::vector<protocol::Message> late_answers_;
};

}  // namespace allot
