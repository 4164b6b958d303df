#include "tests/support/restarting_relay.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "shared/platform/memfd.hpp"

namespace allot::test {

namespace p = protocol;

namespace {

constexpr int kBacklog = 64;

p::Kind kind_of(const p::Body& body) {
  return std::visit([](const auto& one) { return std::decay_t<decltype(one)>::kKind; }, body);
}

struct Incoming {
  p::Message message;
  platform::Received received;
};

// Nothing if the other end is closed.
std::optional<Incoming> hear(const platform::Descriptor& from) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  p::Wire wire{};
  for (;;) {
    if (!platform::wait_readable(from, deadline)) return {};
    auto received = platform::receive_message(from, wire, platform::Descriptors::kAccept);
    if (!received && received.error().code == std::errc::resource_unavailable_try_again) continue;
    if (!received || received->size_bytes == 0) return {};
    auto message = p::decode(std::span(wire).first(received->size_bytes));
    if (!message) return {};
    return Incoming{*message, std::move(*received)};
  }
}

bool say(const platform::Descriptor& to, const p::Message& message,
         const platform::Received* with = nullptr) {
  std::vector<int> descriptors;
  for (std::size_t i = 0; with != nullptr && i < with->descriptor_count; ++i) {
    descriptors.push_back(with->descriptors.at(i).get());
  }
  for (;;) {
    auto sent = platform::send_message(to, p::encode(message), descriptors);
    if (sent) return true;
    if (sent.error().code != std::errc::resource_unavailable_try_again) return false;
    if (!platform::wait_writable(to, std::chrono::steady_clock::now() + kPatience)) return false;
  }
}

}  // namespace

RestartingRelay::RestartingRelay(std::filesystem::path daemon_socket)
    : daemon_socket_(std::move(daemon_socket)),
      listener_(platform::listen_seqpacket(socket(), 0600, kBacklog).value()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {}

RestartingRelay::~RestartingRelay() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
}

void RestartingRelay::wake() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

void RestartingRelay::cut_at(p::Kind kind, Heard heard) {
  const std::lock_guard lock(mutex_);
  cut_at_ = Cut{kind, heard};
}

void RestartingRelay::cut() {
  std::unique_lock lock(mutex_);
  cutting_ = true;
  wake();
  if (!changed_.wait_for(lock, kPatience, [&] { return !cutting_; })) {
    throw std::runtime_error("the relay does not cut");
  }
}

std::size_t RestartingRelay::cuts() {
  const std::lock_guard lock(mutex_);
  return cuts_;
}

void RestartingRelay::forget_sessions() {
  const std::lock_guard lock(mutex_);
  forgetting_ = true;
}

void RestartingRelay::refuse_resumes(int count) {
  const std::lock_guard lock(mutex_);
  resumes_to_refuse_ = count;
}

void RestartingRelay::end_next_session() {
  const std::lock_guard lock(mutex_);
  ending_next_session_ = true;
}

void RestartingRelay::run() {
  for (;;) {
    bool cutting = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      cutting = cutting_;
    }
    if (cutting) cut_all();
    std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Pair& pair : pairs_) {
      entries.push_back({pair.client ? pair.client.get() : -1, POLLIN, 0});
      entries.push_back({pair.client && pair.daemon ? pair.daemon.get() : -1, POLLIN, 0});
    }
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    std::uint64_t count = 0;
    if (entries[0].revents != 0) (void)!::read(wake_.get(), &count, sizeof(count));
    // One at a time: any may cut, or join two pairs.
    const std::size_t cuts_before = cuts();
    std::size_t next = 2;
    for (auto pair = pairs_.begin(); pair != pairs_.end() && next < entries.size(); next += 2) {
      const auto it = pair++;
      bool open = true;
      if (entries[next].revents != 0 && it->client) open = hear_client(*it);
      if (cuts() != cuts_before) break;
      if (open && entries[next + 1].revents != 0 && it->daemon) open = hear_daemon(*it);
      if (!open) pairs_.erase(it);
    }
    if (entries[1].revents == 0) continue;
    platform::Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) pairs_.push_back({std::move(client), {}, 0, 0, {}, {}});
  }
}

bool RestartingRelay::hear_client(Pair& pair) {
  auto heard = hear(pair.client);
  if (!heard) return false;
  if (!pair.daemon) return begin(pair, heard->message);
  const std::uint64_t request = heard->message.request;
  const p::Body& body = heard->message.body;
  if (const auto* const from = std::get_if<p::NextReservation>(&body)) {
    const auto found = pair.reservations.lower_bound(from->from);
    p::Reserved answer;
    if (found != pair.reservations.end()) answer = {found->first, found->second};
    return say(pair.client, {request, answer});
  }
  if (const auto* const from = std::get_if<p::NextPin>(&body)) {
    const auto found = pair.pins.upper_bound(from->above);
    return say(pair.client, {request, p::Found{found != pair.pins.end() ? *found : 0, 0}});
  }
  std::optional<Cut> cut;
  {
    const std::lock_guard lock(mutex_);
    if (cut_at_ && cut_at_->kind == kind_of(body)) cut = std::exchange(cut_at_, {});
  }
  if (cut && cut->heard == Heard::kNo) {
    cut_all();
    return true;
  }
  if (const auto* const ended = std::get_if<p::Unpin>(&body)) pair.pins.erase(ended->handle);
  if (const auto* const ended = std::get_if<p::Unreserve>(&body)) {
    pair.reservations.erase(ended->first);
  }
  const bool open = tell_daemon(pair, heard->message);
  if (cut) cut_all();
  return open || cut;
}

bool RestartingRelay::tell_daemon(Pair& pair, const p::Message& message) {
  if (!std::holds_alternative<p::FreedElsewhere>(message.body)) ++pair.unanswered;
  return say(pair.daemon, message);
}

bool RestartingRelay::hear_daemon(Pair& pair) {
  auto heard = hear(pair.daemon);
  if (!heard) return false;
  note(pair, heard->message.body);
  if (std::holds_alternative<p::Welcome>(heard->message.body)) {
    const std::lock_guard lock(mutex_);
    if (std::exchange(ending_next_session_, false)) {
      (void)platform::try_seal_presence(heard->received.descriptors.at(3));
    }
  }
  return say(pair.client, heard->message, &heard->received);
}

void RestartingRelay::note(Pair& pair, const p::Body& from_daemon) {
  if (!std::holds_alternative<p::PeerGone>(from_daemon) && pair.unanswered > 0) --pair.unanswered;
  if (const auto* const welcome = std::get_if<p::Welcome>(&from_daemon)) {
    pair.session = welcome->incarnation;
  } else if (const auto* const found = std::get_if<p::Found>(&from_daemon)) {
    pair.pins.insert(found->handle);
  } else if (const auto* const reserved = std::get_if<p::Reserved>(&from_daemon)) {
    pair.reservations[reserved->first] = reserved->granules;
  }
}

bool RestartingRelay::begin(Pair& pair, const p::Message& message) {
  if (std::holds_alternative<p::Resume>(message.body)) return resume(pair, message);
  auto daemon = platform::connect_seqpacket(daemon_socket_);
  if (!daemon) return false;
  pair.daemon = std::move(*daemon);
  return tell_daemon(pair, message);
}

bool RestartingRelay::resume(Pair& pair, const p::Message& message) {
  const auto& wanted = std::get<p::Resume>(message.body);
  const auto waits = std::find_if(pairs_.begin(), pairs_.end(), [&](const Pair& other) {
    return !other.client && other.session == wanted.incarnation;
  });
  {
    const std::lock_guard lock(mutex_);
    if (resumes_to_refuse_ > 0) {
      --resumes_to_refuse_;
      return say(pair.client, {message.request, p::make_failure(Error(Errc::kTooManySessions))});
    }
    if (forgetting_ || waits == pairs_.end()) {
      return say(pair.client, {message.request, p::make_failure(Error(Errc::kUnknownSession))});
    }
  }
  platform::Descriptor client = std::move(pair.client);
  pair = std::move(*waits);
  pair.client = std::move(client);
  // The place that it leaves is nobody's.
  waits->session = 0;
  return say(pair.client, {message.request, p::Resumed{cuts() + 1}});
}

// The memory of a large grant is committed while others are answered.
void RestartingRelay::settle(Pair& pair) {
  while (pair.unanswered > 0) {
    const auto heard = hear(pair.daemon);
    if (!heard) return;
    note(pair, heard->message.body);
  }
}

void RestartingRelay::cut_all() {
  for (Pair& pair : pairs_) {
    if (!pair.client) continue;
    pair.client.reset();
    if (pair.session != 0) settle(pair);
  }
  // Whoever had no session as yet begins anew, elsewhere.
  std::erase_if(pairs_, [](const Pair& pair) { return !pair.client && pair.session == 0; });
  const std::lock_guard lock(mutex_);
  ++cuts_;
  cutting_ = false;
  changed_.notify_all();
}

}  // namespace allot::test
