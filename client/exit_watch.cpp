#include "client/exit_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "client/signals_blocked.hpp"
#include "client/socket_channel.hpp"
#include "client/timed_lock.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/platform/system_error.hpp"
#include "shared/protocol/message.hpp"

namespace allot {

namespace p = protocol;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestPause{100};
// Of the watch of the own session, which is asked for first on a new connection.
constexpr std::uint64_t kOwnRequest = ~std::uint64_t{0};

platform::Deadline soon() { return std::chrono::steady_clock::now() + kLongestPause; }

}  // namespace

// What the thread and those who ask it share.
class ExitWatch::Watcher {
 public:
  Watcher(DaemonSocket socket, platform::Descriptor stop, std::string region,
          const SessionId& own) noexcept
      : socket_(std::move(socket.descriptor)),
        path_(std::move(socket.path)),
        stop_(std::move(stop)),
        region_(std::move(region)),
        own_(own) {}

  [[nodiscard]] Expected<void> watch(const SessionId& other, std::function<void()> callback,
                                     platform::Deadline deadline, bool may_wait);
  void run();
  /// Ends run() after the callback that it is in.
  void stop() noexcept;
  /// Forgets all callbacks; what they own is released by the caller's thread.
  void forget() noexcept;
  /// In a forked child.
  void close() noexcept {
    socket_.reset();
    stop_.reset();
  }

 private:
  struct Entry {
    SessionId other;
    std::function<void()> callback;
    bool answered = false;
    std::optional<Error> refused;
  };
  using Entries = std::map<std::uint64_t, Entry>;  // by request, until called back or refused

  [[nodiscard]] p::Wire encode(std::uint64_t request, const SessionId& other) const;
  /// False if it is stopped.
  [[nodiscard]] bool reconnect();
  [[nodiscard]] bool ask_again(DaemonSocket socket);
  void note_lost() noexcept;
  /// False if the daemon knows nothing of the region.
  [[nodiscard]] bool handle(const p::Message& message);
  void fire(const SessionId& other);
  [[nodiscard]] bool is_stopped() noexcept;

  platform::Descriptor socket_;  // the thread's, to change under mutex_
  std::filesystem::path path_;
  platform::Descriptor stop_;  // eventfd
  std::string region_;
  SessionId own_;
  std::mutex mutex_;
  std::condition_variable answered_;
  bool lost_ = false;  // nobody to ask was found at the latest try
  bool stopped_ = false;
  std::uint64_t next_request_ = 1;
  Entries entries_;
};

ExitWatch::ExitWatch(std::vector<std::filesystem::path> sockets, std::string region,
                     const SessionId& own)
    : sockets_(std::move(sockets)), region_(std::move(region)), own_(own) {}

ExitWatch::~ExitWatch() { stop(); }

void ExitWatch::stop() noexcept {
  std::thread thread;
  {
    // Not while waiting for the thread: the callback that it is in may ask for another watch.
    const std::lock_guard lock(start_mutex_);
    stopped_ = true;
    thread.swap(thread_);
  }
  if (!thread.joinable()) return;
  watcher_->stop();
  if (thread.get_id() == std::this_thread::get_id()) {
    thread.detach();  // it ends when the callback that it is in has returned
  } else {
    thread.join();
  }
  watcher_->forget();
}

void ExitWatch::abandon() noexcept {
  if (watcher_) watcher_->close();
  if (thread_.joinable()) thread_.detach();
}

Expected<void> ExitWatch::start(detail::CallDeadline& deadline) {
  if (stopped_) return Error(Errc::kClosed);
  if (watcher_) return {};
  auto socket = connect_to_daemon(sockets_, deadline.at());
  if (!socket) return socket.error();
  platform::Descriptor stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return platform::system_error("eventfd");
  auto watcher = std::make_shared<Watcher>(std::move(*socket), std::move(stop), region_, own_);
  const SignalsBlocked blocked;
  try {
    thread_ = std::thread([watcher] { watcher->run(); });
  } catch (const std::system_error& failure) {
    return Error(Errc::kSystem, std::string("a thread that watches: ") + failure.what());
  }
  watcher_ = std::move(watcher);
  return {};
}

Expected<void> ExitWatch::watch(const SessionId& other, std::function<void()> callback,
                                detail::CallDeadline& deadline) {
  std::shared_ptr<Watcher> watcher;
  // A callback runs on the thread that would read the answer.
  bool may_wait = false;
  {
    const auto lock = detail::lock_before(start_mutex_, deadline);
    if (!lock.owns_lock()) return Error(Errc::kDeadline, "another thread connects");
    if (auto started = start(deadline); !started) return started.error();
    watcher = watcher_;
    may_wait = std::this_thread::get_id() != thread_.get_id();
  }
  return watcher->watch(other, std::move(callback), deadline.at(), may_wait);
}

Expected<void> ExitWatch::Watcher::watch(const SessionId& other, std::function<void()> callback,
                                         platform::Deadline deadline, bool may_wait) {
  std::unique_lock lock(mutex_);
  if (stopped_) return Error(Errc::kClosed);
  if (lost_) return Error(Errc::kDaemonGone);
  const std::uint64_t request = next_request_++;
  entries_[request] = Entry{other, std::move(callback), false, {}};
  auto sent = platform::send_message(socket_, encode(request, other));
  if (!sent && platform::would_block(sent.error())) {
    entries_.erase(request);
    return Error(Errc::kDeadline, sent.error().message());
  }
  // Where the daemon has died the thread asks the next one.
  if (!may_wait) return {};
  // fire() takes the entry of a session that has ended.
  const auto entry = [&] { return entries_.find(request); };
  const auto answered = [&] { return entry() == entries_.end() || entry()->second.answered; };
  std::optional<Error> failed;
  if (!answered_.wait_until(lock, deadline, [&] { return lost_ || stopped_ || answered(); })) {
    failed = Error(Errc::kDeadline);
  } else if (!answered()) {
    failed = Error(stopped_ ? Errc::kClosed : Errc::kDaemonGone);
  } else if (entry() != entries_.end()) {
    failed = entry()->second.refused;
  }
  if (!failed) return {};
  entries_.erase(request);
  return *failed;
}

p::Wire ExitWatch::Watcher::encode(std::uint64_t request, const SessionId& other) const {
  p::Watch body{};
  p::set_text(body.region, region_);
  body.session = other.session;
  body.incarnation = other.incarnation;
  return p::encode({request, body});
}

void ExitWatch::Watcher::note_lost() noexcept {
  const std::lock_guard lock(mutex_);
  lost_ = true;
  answered_.notify_all();
}

bool ExitWatch::Watcher::reconnect() {
  for (milliseconds pause{1};; pause = std::min(2 * pause, kLongestPause)) {
    auto socket = connect_to_daemon({path_}, soon());
    if (socket && ask_again(std::move(*socket))) return true;
    if (!socket && socket.error() != Errc::kDeadline) note_lost();
    pollfd stop{stop_.get(), POLLIN, 0};
    if (::poll(&stop, 1, static_cast<int>(pause.count())) > 0) return false;
  }
}

// Callers meanwhile wait for the mutex: their requests come after these.
bool ExitWatch::Watcher::ask_again(DaemonSocket socket) {
  const std::lock_guard lock(mutex_);
  const auto ask = [&](std::uint64_t request, const SessionId& other) {
    const p::Wire wire = encode(request, other);
    for (;;) {
      auto sent = platform::send_message(socket.descriptor, wire);
      if (sent || !platform::would_block(sent.error())) return sent.has_value();
      if (!platform::wait_writable(socket.descriptor, soon())) return false;
    }
  };
  if (!ask(kOwnRequest, own_)) return false;
  for (const auto& [request, entry] : entries_) {
    if (!entry.refused && !ask(request, entry.other)) return false;
  }
  socket_ = std::move(socket.descriptor);
  lost_ = false;
  return true;
}

void ExitWatch::Watcher::run() {
  for (;;) {
    std::array<pollfd, 2> entries{pollfd{socket_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;  // EINTR
    if (entries[1].revents != 0) return;
    p::Wire wire{};
    auto received = platform::receive_message(socket_, wire, platform::Descriptors::kRefuse);
    if (!received && platform::would_block(received.error())) continue;
    auto message = received ? p::decode(std::span(wire).first(received->size_bytes))
                            : Expected<p::Message>(received.error());
    if (!message && !reconnect()) return;
    if (message && !handle(*message)) return note_lost();
  }
}

void ExitWatch::Watcher::stop() noexcept {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  answered_.notify_all();
  const std::uint64_t one = 1;
  // An eventfd write of 1 fails only when its counter is full; then it is readable anyway.
  (void)!::write(stop_.get(), &one, sizeof(one));
}

void ExitWatch::Watcher::forget() noexcept {
  Entries forgotten;  // destroyed without the mutex: a callback may own anything
  const std::lock_guard lock(mutex_);
  forgotten.swap(entries_);
}

bool ExitWatch::Watcher::is_stopped() noexcept {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

bool ExitWatch::Watcher::handle(const p::Message& message) {
  if (const auto* gone = std::get_if<p::PeerGone>(&message.body)) {
    fire({static_cast<std::uint32_t>(gone->session), 0, gone->incarnation});
    return true;
  }
  // The answers to all others come after it.
  if (message.request == kOwnRequest) return std::holds_alternative<p::Done>(message.body);
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(message.request);
  if (found == entries_.end()) return true;  // its caller's deadline has passed
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
  return true;
}

void ExitWatch::Watcher::fire(const SessionId& other) {
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
  for (const auto& callback : callbacks) {
    if (is_stopped()) return;
    callback();
  }
}

}  // namespace allot
