// ServedRegion: the fixture of tests with a real allotd and real processes that use liballot.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/agent.hpp"
#include "tests/support/control_client.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {

/// In a role: connects where the test says, and tells it the session's id.
[[nodiscard]] inline Session connect_as_told(Link& test) {
  const std::string socket = test.receive_text();
  Session session = Session::connect(options_for(socket, test.receive_text())).value();
  test.send(session.id());
  return session;
}

/// In the test: tells `agent` where to connect.
[[nodiscard]] inline SessionId introduce(Link& agent, const DaemonProcess& daemon,
                                         const std::string& region = "default") {
  agent.send_text(daemon.client_socket().native());
  agent.send_text(region);
  return agent.receive<SessionId>();
}

/// What on_exit() says of `other`, once.
class ExitNotice {
 public:
  ExitNotice(Session& session, const SessionId& other) {
    session.on_exit(other, [fired = fired_] { fired->set_value(); }).value();
  }
  [[nodiscard]] bool has_come() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  /// False after kPatience.
  [[nodiscard]] bool wait() const {
    return future_.wait_for(kPatience) == std::future_status::ready;
  }

 private:
  std::shared_ptr<std::promise<void>> fired_ = std::make_shared<std::promise<void>>();
  std::future<void> future_ = fired_->get_future();
};

/// Ends a name that one who is dead may have published.
inline void end_name(Session& session, std::string_view name) {
  const auto found = session.find(name);
  if (!found) return;
  session.unpublish(name, found->handle).value();
  session.unpin(found->handle).value();
}

/// `session` is the only one and has nothing: all goes back. A large block that one of the dead freed
/// may be the daemon's to take: then trim() does not count it.
inline void expect_all_given_back(Session& session, const std::filesystem::path& control_socket) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (check_region(control_socket).granted_bytes != 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << check_region(control_socket).text;
    (void)session.trim();
  }
}

/// Nobody is there any more, soon, and nothing.
inline void expect_nobody_and_nothing(const std::filesystem::path& control_socket) {
  await_sessions(control_socket, 0);
  const RegionCheck found = check_region(control_socket);
  EXPECT_TRUE(found.is_clean) << found.text;
  EXPECT_EQ(found.granted_bytes, 0U);
}

class ServedRegion : public testing::Test {
 protected:
  [[nodiscard]] DaemonProcess& daemon() { return daemon_; }
  /// The session of this process.
  [[nodiscard]] Session& session() { return session_; }

  [[nodiscard]] RegionCheck check(const std::string& region = "default") const {
    return check_region(daemon_.control_socket(), region);
  }
  void expect_live(std::uint64_t blocks) const {
    const RegionCheck found = check();
    EXPECT_TRUE(found.is_clean) << found.text;
    EXPECT_EQ(found.live_blocks, blocks) << found.text;
  }
  /// All sessions but this one have ended and this one has freed all: nothing is left but what it
  /// keeps in reserve, and that goes back.
  void expect_nothing_left() {
    expect_live(0);
    RegionStats stats = stats_of_region(daemon_.control_socket());
    EXPECT_EQ(stats.sessions, 1U);
    // The daemon sweeps up the spans of the dead a moment after their last block is freed.
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (stats.orphans != 0 && std::chrono::steady_clock::now() < deadline) {
      stats = stats_of_region(daemon_.control_socket());
    }
    EXPECT_EQ(stats.orphans, 0U);
    EXPECT_EQ(session().trim(), stats.granted_bytes);
    EXPECT_EQ(check().granted_bytes, 0U);
  }

 private:
  DaemonProcess daemon_{ALLOT_ALLOTD_PATH};
  Session session_ = Session::connect(options_for(daemon_.client_socket())).value();
};

}  // namespace allot::test
