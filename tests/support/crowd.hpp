// A daemon that may have few descriptors, and a crowd of sessions that takes all of them.
//
// Used by the tests of what happens at RLIMIT_NOFILE. The guests of the crowd speak the protocol by
// hand, each with a granule of its own, and live in this process.
#pragma once

#include <poll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/control_client.hpp"
#include "tests/support/daemon_process.hpp"
#include "tests/support/log_watch.hpp"
#include "tests/support/raw_session.hpp"

namespace allot::test {

[[nodiscard]] inline DaemonProcess::Options with_descriptors(unsigned most) {
  return {
      .wrapper = {"/bin/sh", "-c", "ulimit -n " + std::to_string(most) + "; exec \"$@\"", "sh"}};
}

class Crowd {
 public:
  explicit Crowd(const DaemonProcess& daemon) : daemon_(daemon), log_(daemon) {}

  /// Guests come until the daemon cannot accept one more, which it says once in its life.
  void fill() {
    while (!is_full()) {
      // What is too little for a session is enough for somebody who asks on the control socket.
      if (!come()) idle_.push_back(connect_stream(daemon_.control_socket()));
    }
  }

  /// The latest `count` guests end, and with them what they have.
  void leave(std::size_t count) {
    guests_.erase(guests_.end() - static_cast<std::ptrdiff_t>(count), guests_.end());
  }
  /// Those who never became guests go away.
  void disperse() {
    turned_away_.clear();
    idle_.clear();
  }
  /// How those were answered who were not served, though they were accepted.
  [[nodiscard]] const std::vector<std::string>& refusals() const noexcept { return refusals_; }
  [[nodiscard]] std::size_t size() const noexcept { return guests_.size(); }

  /// Each of the guests gives its granule back and gets one anew.
  void all_work() {
    for (Guest& guest : guests_) {
      guest.client.request(protocol::ReturnSpan{guest.span}).as<protocol::Done>();
      guest.span = grant(guest.client);
    }
  }

 private:
  struct Guest {
    RawClient client;
    PresenceMapping image;
    std::uint64_t span = 0;
  };

  [[nodiscard]] bool is_full() const { return log_.says("cannot accept"); }

  static std::uint64_t grant(RawClient& client) {
    return client.request(protocol::GrantRequest{1, 1, region::kDefaultWords, 1})
        .as<protocol::Granted>()
        .first;
  }

  // True if one more is served.
  bool come() {
    RawClient client(daemon_.client_socket());
    client.send({1, make_hello()});
    if (!await_answer(client)) {
      turned_away_.push_back(std::move(client));
      return false;
    }
    auto reply = client.receive();
    if (!reply || reply->errc() != Errc::kOk) {
      refusals_.push_back(reply ? reply->describe() : "closed");
      return false;
    }
    (void)reply->as<protocol::Welcome>();
    PresenceMapping image(reply->descriptors.at(3));
    const std::uint64_t span = grant(client);
    guests_.push_back({std::move(client), std::move(image), span});
    return true;
  }

  // False if it is not accepted.
  bool await_answer(RawClient& client) {
    std::array<pollfd, 2> events = {
        {{client.socket().get(), POLLIN, 0}, {log_.descriptor(), POLLIN, 0}}};
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
    while (!client.has_message()) {
      if (is_full()) return false;
      if (::poll(events.data(), events.size(), static_cast<int>(patience.count())) <= 0) {
        throw std::runtime_error("neither served nor refused");
      }
      log_.take_changes();
    }
    return true;
  }

  const DaemonProcess& daemon_;
  LogWatch log_;
  std::vector<Guest> guests_;
  std::vector<RawClient> turned_away_;
  std::vector<platform::Descriptor> idle_;
  std::vector<std::string> refusals_;
};

}  // namespace allot::test
