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
// Requests on a new connection whose answers nobody has read: the daemon drops who reads too little.
constexpr int kMostUnanswered = 64;
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
  [[nodiscard]] bool begin_again(DaemonSocket socket);
  void ask_again();
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

  // The thread's alone. On a connection that is new the requests of earlier ones, those below
  // again_end_, are made again, a batch at a time.
  milliseconds pause_{0};  // before the next try to connect
  std::uint64_t again_next_ = 0;
  std::uint64_t again_end_ = 0;
  std::uint64_t batch_last_ = 0;  // its answer ends the batch; 0: there is none
  bool must_pause_ = false;       // the daemon refused one of the batch as one too many
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
  for (;;) {
    pollfd stop{stop_.get(), POLLIN, 0};
    if (::poll(&stop, 1, static_cast<int>(pause_.count())) > 0) return false;
    // Until a daemon has answered: one that accepts and closes is not asked without end.
    pause_ = std::clamp(2 * pause_, milliseconds(1), kLongestPause);
    auto socket = connect_to_daemon({path_}, soon());
    if (socket && begin_again(std::move(*socket))) return true;
    if (!socket && socket.error() != Errc::kDeadline) note_lost();
  }
}

bool ExitWatch::Watcher::begin_again(DaemonSocket socket) {
  const std::lock_guard lock(mutex_);
  if (!platform::send_message(socket.descriptor, encode(kOwnRequest, own_))) return false;
  socket_ = std::move(socket.descriptor);
  lost_ = false;
  again_next_ = 0;
  again_end_ = next_request_;
  batch_last_ = 0;
  must_pause_ = false;
  return true;
}

// A batch of them. What cannot be sent is the next batch's.
void ExitWatch::Watcher::ask_again() {
  const std::lock_guard lock(mutex_);
  batch_last_ = 0;
  must_pause_ = false;
  int asked = 0;
  for (auto it = entries_.lower_bound(again_next_);
       it != entries_.end() && it->first < again_end_ && asked < kMostUnanswered; ++it) {
    again_next_ = it->first;
    if (!it->second.refused) {
      if (!platform::send_message(socket_, encode(it->first, it->second.other))) break;
      batch_last_ = it->first;
      ++asked;
    }
    again_next_ = it->first + 1;
  }
  // Then there is no answer to wait for.
  must_pause_ = asked == 0 && entries_.lower_bound(again_next_) != entries_.lower_bound(again_end_);
}

void ExitWatch::Watcher::run() {
  for (;;) {
    std::array<pollfd, 2> entries{pollfd{socket_.get(), POLLIN, 0}, pollfd{stop_.get(), POLLIN, 0}};
    const int patience = must_pause_ ? static_cast<int>(kLongestPause.count()) : -1;
    const int ready = ::poll(entries.data(), entries.size(), patience);
    if (ready < 0) continue;  // EINTR
    if (entries[1].revents != 0) return;
    if (ready == 0) {
      ask_again();
      continue;
    }
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
  if (message.request == kOwnRequest) {
    if (!std::holds_alternative<p::Done>(message.body)) return false;
    pause_ = milliseconds(0);
    ask_again();
    return true;
  }
  const auto* const failure = std::get_if<p::Failure>(&message.body);
  const Errc errc = failure == nullptr ? Errc::kOk : static_cast<Errc>(failure->errc);
  const bool is_asked_again = message.request < again_end_;
  const bool is_too_soon = is_asked_again && errc == Errc::kRateLimit;
  if (is_too_soon) {
    again_next_ = std::min(again_next_, message.request);
    must_pause_ = true;
  }
  if (message.request == batch_last_ && !must_pause_) ask_again();
  if (is_too_soon) return true;
  std::unique_lock lock(mutex_);
  const auto found = entries_.find(message.request);
  if (found == entries_.end()) return true;  // its caller's deadline has passed
  Entry& entry = found->second;
  const bool ended_already = errc == Errc::kUnknownSession;
  if (failure != nullptr && !ended_already) entry.refused = p::to_error(*failure);
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
