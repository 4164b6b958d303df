#include "tests/support/relay.hpp"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include "shared/platform/seqpacket.hpp"

namespace allot::test {

namespace {

constexpr int kBacklog = 16;
constexpr std::size_t kMostBytes = 65536;

// Passes one message on; false if an end is closed.
bool pass_one(const platform::Descriptor& from, const platform::Descriptor& to) {
  std::vector<std::byte> buffer(kMostBytes);
  auto got = platform::receive_message(from, buffer, platform::Descriptors::kAccept);
  if (!got) return got.error().code == std::errc::resource_unavailable_try_again;
  if (got->size_bytes == 0) return false;
  std::vector<int> descriptors;
  for (std::size_t i = 0; i < got->descriptor_count; ++i) {
    descriptors.push_back(got->descriptors.at(i).get());
  }
  const auto message = std::span(buffer).first(got->size_bytes);
  for (;;) {
    auto sent = platform::send_message(to, message, descriptors);
    if (sent) return true;
    if (sent.error().code != std::errc::resource_unavailable_try_again) return false;
    if (!platform::wait_writable(to, std::chrono::steady_clock::now() + kPatience)) return false;
  }
}

}  // namespace

Relay::Relay(std::filesystem::path daemon_socket)
    : daemon_socket_(std::move(daemon_socket)),
      listener_(platform::listen_seqpacket(socket(), 0600, kBacklog).value()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { run(); }) {}

Relay::~Relay() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
}

void Relay::wake() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

void Relay::hold() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
  has_held_ = false;
}

void Relay::wait_for_held() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&] { return has_held_; })) {
    throw std::runtime_error("no client has said anything");
  }
}

void Relay::release() {
  {
    const std::lock_guard lock(mutex_);
    holding_ = false;
  }
  wake();
}

void Relay::run() {
  for (;;) {
    bool deaf = false;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      // What is held stays in its socket, and is asked for no more.
      deaf = holding_ && has_held_;
    }
    std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
    for (const Pair& pair : pairs_) {
      entries.push_back({deaf ? -1 : pair.client.get(), POLLIN, 0});
      entries.push_back({pair.daemon.get(), POLLIN, 0});
    }
    if (::poll(entries.data(), entries.size(), -1) < 0) continue;
    std::uint64_t count = 0;
    if (entries[0].revents != 0) (void)!::read(wake_.get(), &count, sizeof(count));
    pass_on(entries);
    if (entries[1].revents == 0) continue;
    platform::Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    auto daemon = platform::connect_seqpacket(daemon_socket_);
    if (client && daemon) pairs_.push_back({std::move(client), std::move(*daemon)});
  }
}

// After the first two, `ready` has two entries for each pair.
void Relay::pass_on(std::span<const pollfd> ready) {
  std::size_t next = 2;
  for (auto pair = pairs_.begin(); pair != pairs_.end(); next += 2) {
    bool open = true;
    if (ready[next].revents != 0) {
      std::unique_lock lock(mutex_);
      if (holding_) {
        has_held_ = true;
        changed_.notify_all();
      } else {
        lock.unlock();
        open = pass_one(pair->client, pair->daemon);
      }
    }
    if (ready[next + 1].revents != 0) open = open && pass_one(pair->daemon, pair->client);
    pair = open ? std::next(pair) : pairs_.erase(pair);
  }
}

}  // namespace allot::test
