#include "client/socket_channel.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "shared/platform/runtime_dir.hpp"
#include "shared/platform/system_error.hpp"

namespace allot {

namespace p = protocol;

namespace {

// Of requests for what a session has, which its answer does not change. One that comes too late is
// nobody's.
constexpr std::uint64_t kQuestion = std::uint64_t{1} << 63;

constexpr std::chrono::milliseconds kLongestPause{64};

Error gone(const std::string& why) {
  return {Errc::kDaemonGone,
          why + "; blocks in use stay valid until this session ends; connect anew for more"};
}

Error gone(const Error& cause) { return gone(cause.code.message()); }

bool is_question(const p::Body& body) noexcept {
  return std::holds_alternative<p::NextReservation>(body) ||
         std::holds_alternative<p::NextPin>(body);
}

// The daemon that runs will never go on with the session. Else it, or the machine, has too little of
// something, and may have it at the next try.
bool is_final(Errc refusal) noexcept {
  return refusal == Errc::kUnknownSession || refusal == Errc::kUnknownRegion ||
         refusal == Errc::kLayoutMismatch || refusal == Errc::kProtocolVersion ||
         refusal == Errc::kNotAllowed || refusal == Errc::kBadMessage;
}

bool server_is_trusted(const platform::Descriptor& socket, const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return false;
  const auto server = platform::peer_credentials(socket);
  if (!server) return false;
  return server->uid == status.st_uid || server->uid == 0 || server->uid == ::geteuid();
}

// The kernel has no memory for a message just now, and says nothing when it has: the connection is as it
// was, and the session too.
Expected<void> wait_for_kernel(platform::Deadline deadline) {
  if (std::chrono::steady_clock::now() >= deadline) return Error(Errc::kDeadline);
  (void)::poll(nullptr, 0, 1);
  return {};
}

}  // namespace

std::vector<std::filesystem::path> socket_candidates(const std::filesystem::path& option) {
  if (!option.empty()) return {option};
  std::vector<std::filesystem::path> out;
  for (const auto& directory : platform::candidate_runtime_dirs()) {
    out.push_back(directory / platform::kClientSocketName);
  }
  return out;
}

Expected<DaemonSocket> connect_to_daemon(const std::vector<std::filesystem::path>& candidates,
                                         platform::Deadline deadline) {
  std::string looked;
  std::string advice =
      "; start one with: systemctl start allotd, or: allotd --runtime-dir DIR, and set "
      "ALLOT_RUNTIME_DIR=DIR";
  for (const auto& path : candidates) {
    auto socket = platform::connect_seqpacket(path, deadline);
    if (!socket && socket.error() == Errc::kDeadline) return socket.error();
    if (socket && server_is_trusted(*socket, path)) return DaemonSocket{std::move(*socket), path};
    if (!socket && socket.error().code == std::errc::permission_denied) {
      advice = "; one may run that serves only the socket's group: usermod -aG allot USER";
    }
    looked += (looked.empty() ? "" : ", ") + path.native() + " (" +
              (socket ? "its server runs under another user" : socket.error().code.message()) + ")";
  }
  return Error(Errc::kNoDaemon, "looked at " + looked + advice);
}

Expected<void> until_answered(const std::function<Expected<void>()>& attempt,
                              platform::Deadline deadline) {
  for (std::chrono::milliseconds pause{1};; pause = std::min(2 * pause, kLongestPause)) {
    auto answered = attempt();
    if (answered || answered.error() != Errc::kDaemonGone) return answered;
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline) return Error(Errc::kDeadline, answered.error().message());
    // Whoever accepts and closes at once is not asked without end. What is waited for is a connection
    // that lasts, and no event tells of that.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
    (void)::poll(nullptr, 0, static_cast<int>(std::min(pause, left).count()));
  }
}

Expected<void> SocketChannel::send(const p::Message& message, platform::Deadline deadline) {
  for (;;) {
    auto sent = platform::send_message(socket_, p::encode(message));
    if (sent) return {};
    if (platform::is_shortage(sent.error().code)) {
      if (auto waited = wait_for_kernel(deadline); !waited) return waited.error();
      continue;
    }
    if (!platform::would_block(sent.error())) return gone(sent.error());
    // The daemon has not read what lies before this.
    if (auto ready = platform::wait_writable(socket_, deadline); !ready) return ready.error();
  }
}

Expected<SocketChannel::Answer> SocketChannel::receive(platform::Deadline deadline) {
  for (;;) {
    auto ready = platform::wait_readable(socket_, deadline);
    if (!ready) return ready.error();
    p::Wire wire{};
    auto received = platform::receive_message(socket_, wire, platform::Descriptors::kAccept);
    if (!received) {
      if (platform::would_block(received.error())) continue;
      if (platform::is_shortage(received.error().code)) {
        if (auto waited = wait_for_kernel(deadline); !waited) return waited.error();
        continue;
      }
      return gone(received.error());
    }
    if (received->size_bytes == 0) {
      return gone(Error(std::make_error_code(std::errc::connection_reset)));
    }
    auto message = p::decode(std::span(wire).first(received->size_bytes));
    if (!message) return message.error();
    if (message->request == 0 && unanswered_posts_ > 0) --unanswered_posts_;
    return Answer{*message, std::move(*received)};
  }
}

Expected<SocketChannel::Answer> SocketChannel::introduce(const p::Body& hello,
                                                         platform::Deadline deadline) {
  const std::uint64_t request = next_request_++;
  if (auto sent = send({request, hello}, deadline); !sent) return sent.error();
  for (;;) {
    auto answer = receive(deadline);
    if (!answer) return answer;
    if (const auto* challenge = std::get_if<p::Challenge>(&answer->message.body)) {
      if (auto sent = send({request, p::ChallengeAnswer{challenge->nonce}}, deadline); !sent) {
        return sent.error();
      }
      continue;
    }
    if (const auto* failure = std::get_if<p::Failure>(&answer->message.body)) {
      return p::to_error(*failure);
    }
    return answer;
  }
}

Expected<SocketChannel::Greeting> SocketChannel::greet(const p::Hello& hello,
                                                       platform::Deadline deadline) {
  auto answer = introduce(hello, deadline);
  if (!answer) return answer.error();
  const auto* welcome = std::get_if<p::Welcome>(&answer->message.body);
  if (welcome == nullptr || answer->received.descriptor_count != 4) {
    return Error(Errc::kBadMessage, "the server answered Hello with something else");
  }
  Greeting greeting{*welcome, {}};
  for (std::size_t i = 0; i < greeting.files.size(); ++i) {
    greeting.files.at(i) = std::move(answer->received.descriptors.at(i));
  }
  return greeting;
}

Expected<void> SocketChannel::reconnect(const p::Resume& resume, platform::Deadline deadline) {
  if (!socket_) return Error(Errc::kDaemonGone);
  if (refused_) return *refused_;
  const auto attempt = [&]() -> Expected<void> {
    auto resumed = resume_once(resume, deadline);
    if (resumed || is_final(resumed.error().errc()) || resumed.error() == Errc::kDeadline ||
        resumed.error() == Errc::kNoDaemon) {
      return resumed;
    }
    return Error(Errc::kDaemonGone, resumed.error().message());
  };
  auto resumed = until_answered(attempt, deadline);
  if (resumed || resumed.error() == Errc::kDeadline) return resumed;
  // Nobody listens. Somebody may later: he is asked again.
  if (resumed.error() == Errc::kNoDaemon) return gone(resumed.error().message());
  refused_ = gone(
      "the daemon that runs now cannot go on with the session, whose region may be "
      "gone with an earlier one (" +
      resumed.error().message() + ")");
  return *refused_;
}

// kDaemonGone if the connection is closed before there is an answer.
Expected<void> SocketChannel::resume_once(const p::Resume& resume, platform::Deadline deadline) {
  auto connected = connect_to_daemon({path_}, deadline);
  if (!connected) return connected.error();
  SocketChannel anew(std::move(*connected));
  auto answer = anew.introduce(resume, deadline);
  if (!answer) return answer.error();
  if (!std::holds_alternative<p::Resumed>(answer->message.body)) {
    return Error(Errc::kBadMessage, "the server answered Resume with something else");
  }
  if (::dup3(anew.socket_.get(), socket_.get(), O_CLOEXEC) < 0) {
    return platform::system_error("dup3(a new connection)");
  }
  // What these answers gave to the session is in the directory, or asked for after this.
  late_answers_.clear();
  unanswered_posts_ = 0;
  return {};
}

Expected<p::Body> SocketChannel::request(const p::Body& body, platform::Deadline deadline) {
  set_outcome(Outcome::kNotSent);
  if (!socket_) return Error(Errc::kDaemonGone);
  const std::uint64_t request = next_request_++ | (is_question(body) ? kQuestion : 0);
  if (auto sent = send({request, body}, deadline); !sent) return sent.error();
  set_outcome(Outcome::kUnknown);
  for (;;) {
    auto answer = receive(deadline);
    if (!answer) return answer.error();
    if (answer->message.request != request) {
      // To an earlier request whose caller's deadline had passed, or to a post().
      keep_late(answer->message);
      continue;
    }
    set_outcome(Outcome::kAnswered);
    if (const auto* failure = std::get_if<p::Failure>(&answer->message.body)) {
      return p::to_error(*failure);
    }
    return answer->message.body;
  }
}

void SocketChannel::keep_late(const p::Message& message) {
  if ((message.request & kQuestion) == 0) late_answers_.push_back(message);
}

bool SocketChannel::post(const p::Body& body) {
  // Lost if the queue is full or the daemon gone.
  if (!socket_ || !platform::send_message(socket_, p::encode({0, body}))) return false;
  if (!std::holds_alternative<p::FreedElsewhere>(body)) ++unanswered_posts_;
  return true;
}

std::uint64_t SocketChannel::request_ahead(const p::Body& body) {
  if (!socket_) return 0;
  const std::uint64_t request = next_request_++;
  return platform::send_message(socket_, p::encode({request, body})) ? request : 0;
}

std::vector<p::Message> SocketChannel::take_late_answers(platform::Deadline deadline) {
  while (socket_) {
    auto answer = receive(late_answers_.empty() ? deadline : platform::Deadline::min());
    if (!answer) break;
    keep_late(answer->message);
  }
  return std::exchange(late_answers_, {});
}

}  // namespace allot
