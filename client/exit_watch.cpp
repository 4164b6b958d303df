#include "client/exit_watch.hpp"

#include <csignal>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

#include "client/socket_channel.hpp"
#include "shared/platform/system_error.hpp"

namespace allot {

namespace p = protocol;

ExitWatch::ExitWatch(std::vector<std::filesystem::path> sockets, std::string region)
    : sockets_(std::move(sockets)), region_(std::move(region)) {}

ExitWatch::~ExitWatch() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  // An eventfd write of 1 fails only when its counter is full; then it is readable anyway.
  (void)!::write(stop_.get(), &one, sizeof(one));
  thread_.join();
}

void ExitWatch::abandon() noexcept {
  socket_.reset();
  stop_.reset();
  if (thread_.joinable()) thread_.detach();
}

Expected<void> ExitWatch::start(platform::Deadline deadline) {
  if (thread_.joinable()) return {};
  auto socket = connect_to_daemon(sockets_, deadline);
  if (!socket) return socket.error();
  socket_ = std::move(*socket);
  stop_ = platform::Descriptor(::eventfd(0, EFD_CLOEXEC));
  if (!stop_) return platform::system_error("eventfd");
  // Signals are the program's; its threads get them.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return {};
}

Expected<void> ExitWatch::watch(const SessionId& other, std::function<void()> callback,
                                platform::Deadline deadline) {
  std::unique_lock lock(mutex_);
  if (auto started = start(deadline); !started) return started.error();
  if (lost_) return Error(Errc::kDaemonGone);
  const std::uint64_t request = next_request_++;
  p::Watch body{};
  p::set_text(body.region, region_);
  body.session = other.session;
  body.incarnation = other.incarnation;
  entries_[request] = Entry{other, std::move(callback), false, {}};
  if (auto sent = platform::send_message(socket_, p::encode({request, body})); !sent) {
    entries_.erase(request);
    const bool full = platform::would_block(sent.error());
    return Error(full ? Errc::kDeadline : Errc::kDaemonGone, sent.error().message());
  }
  // A callback runs on the thread that would read the answer.
  if (std::this_thread::get_id() == thread_.get_id()) return {};
  // fire() takes the entry of a session that has ended.
  const auto entry = [&] { return entries_.find(request); };
  const auto answered = [&] { return entry() == entries_.end() || entry()->second.answered; };
  std::optional<Error> failed;
  if (!answered_.wait_until(lock, deadline, [&] { return lost_ || answered(); })) {
    failed = Error(Errc::kDeadline);
  } else if (!answered()) {
    failed = Error(Errc::kDaemonGone);
  } else if (entry() != entries_.end()) {
    failed = entry()->second.refused;
  }
  if (!failed) return {};
  entries_.erase(request);
  return *failed;
}

void ExitWatch::run() {
  for (;;) {
    std::array<pollfd, 2> entries{pollfd{socket_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;  // EINTR
    if (entries[1].revents != 0) return;
    p::Wire wire{};
    auto received = platform::receive_message(socket_, wire, platform::Descriptors::kRefuse);
    if (!received && platform::would_block(received.error())) continue;
    auto message = received ? p::decode(std::span(wire).first(received->size_bytes))
                            : Expected<p::Message>(received.error());
    if (!message) {
      const std::lock_guard lock(mutex_);
      lost_ = true;
      answered_.notify_all();
      return;
    }
    handle(*message);
  }
}

void ExitWatch::handle(const p::Message& message) {
  if (const auto* gone = std::get_if<p::PeerGone>(&message.body)) {
    fire({static_cast<std::uint32_t>(gone->session), 0, gone->incarnation});
    return;
  }
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(message.request);
  if (found == entries_.end()) return;  // its caller's deadline has passed
  Entry& entry = found->second;
  bool ended_already = false;
  if (const auto* failure = std::get_if<p::Failure>(&message.body)) {
    const auto errc = static_cast<Errc>(failure->errc);
    ended_already = errc == Errc::kUnknownSession;
    if (!ended_already) entry.refused = p::to_error(*failure);
  }
  entry.answered = true;
  const SessionId other = entry.other;
  answered_.notify_all();
  lock.unlock();
  if (ended_already) fire(other);
}

void ExitWatch::fire(const SessionId& other) {
  std::vector<std::function<void()>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = entries_.begin(); it != entries_.end();) {
      if (it->second.other == other && it->second.answered && !it->second.refused) {
        callbacks.push_back(std::move(it->second.callback));
        it = entries_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const auto& callback : callbacks) callback();
}

}  // namespace allot
