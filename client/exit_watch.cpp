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

Expected<void> ExitWatch::start() {
  if (thread_.joinable()) return {};
  auto socket = connect_to_daemon(sockets_);
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
  if (auto started = start(); !started) return started.error();
  if (lost_) return Error(Errc::kDaemonGone);
  const Key key{other.session, other.incarnation};
  const std::uint64_t request = next_request_++;
  p::Watch body{};
  p::set_text(body.region, region_);
  body.session = other.session;
  body.incarnation = other.incarnation;
  callbacks_[key].push_back(std::move(callback));
  asked_[request] = key;
  if (auto sent = platform::send_message(socket_, p::encode({request, body})); !sent) {
    asked_.erase(request);
    callbacks_[key].pop_back();
    return Error(Errc::kDaemonGone, sent.error().message());
  }
  const bool in_time =
      answered_.wait_until(lock, deadline, [&] { return lost_ || !asked_.contains(request); });
  if (!in_time) return Error(Errc::kDeadline);
  if (lost_) return Error(Errc::kDaemonGone);
  if (const auto refused = refused_.extract(request); !refused.empty()) return refused.mapped();
  return {};
}

void ExitWatch::run() {
  for (;;) {
    std::array<pollfd, 2> entries{pollfd{socket_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;  // EINTR
    if (entries[1].revents != 0) return;
    p::Wire wire{};
    auto received = platform::receive_message(socket_, wire, platform::Descriptors::kRefuse);
    if (!received && received.error().code == std::errc::resource_unavailable_try_again) continue;
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
    fire({gone->session, gone->incarnation});
    return;
  }
  std::unique_lock lock(mutex_);
  const auto asked = asked_.find(message.request);
  if (asked == asked_.end()) return;
  const Key key = asked->second;
  asked_.erase(asked);
  bool ended_already = false;
  if (const auto* failure = std::get_if<p::Failure>(&message.body)) {
    ended_already = static_cast<Errc>(failure->errc) == Errc::kUnknownSession;
    if (!ended_already) {
      refused_[message.request] =
          Error(static_cast<Errc>(failure->errc), std::string(p::text(failure->detail)));
      if (auto& list = callbacks_[key]; !list.empty()) list.pop_back();
    }
  }
  answered_.notify_all();
  lock.unlock();
  if (ended_already) fire(key);
}

void ExitWatch::fire(const Key& key) {
  std::vector<std::function<void()>> list;
  {
    const std::lock_guard lock(mutex_);
    if (auto found = callbacks_.extract(key); !found.empty()) list = std::move(found.mapped());
  }
  for (const auto& callback : list) callback();
}

}  // namespace allot
