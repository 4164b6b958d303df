// Those who connect and do harm, or nothing: as fast as they can, or as slowly as they may. Beside them
// a client's calls go on and end well, and nothing of them is left.

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "shared/protocol/message.hpp"
#include "tests/support/bystander.hpp"
#include "tests/support/control_client.hpp"
#include "tests/support/raw_session.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/served_region.hpp"
#include "tests/support/threads.hpp"

namespace allot::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kConnects = 10'000;
constexpr std::size_t kThreads = 4;

// Waits until there are so many connections, each a session.
void await_connections(const DaemonProcess& daemon, std::uint64_t wanted) {
  await_sessions(daemon.control_socket(), wanted);
  const auto deadline = Clock::now() + kPatience;
  while (connection_count(daemon.control_socket()) != wanted) ASSERT_LT(Clock::now(), deadline);
}

// Only the bystander is left, and then nobody.
void expect_nothing_left(const DaemonProcess& daemon, Bystander& bystander) {
  await_connections(daemon, Bystander::kSessions);
  EXPECT_NO_THROW(RawSession(daemon.client_socket())) << "there is room again";
  (void)bystander.finish();
  await_connections(daemon, 0);
  expect_nobody_and_nothing(daemon.control_socket());
}

protocol::Wire random_bytes(Random& random) {
  protocol::Wire bytes{};
  for (std::byte& one : bytes) one = static_cast<std::byte>(random.below(256U));
  return bytes;
}

// One connection, which is closed at the end whatever came of it. True if it had a session.
bool connect_and_leave(const std::filesystem::path& socket, std::uint64_t seed) {
  Random random(seed);
  RawClient client(socket);
  switch (random.below(4U)) {
    case 0: break;  // says nothing
    case 1: {
      const auto bytes = random_bytes(random);
      client.send(std::span(bytes).first(random.below(static_cast<std::uint32_t>(bytes.size()))));
      break;
    }
    case 2:  // waits for no Welcome
      client.send({1, make_hello()});
      break;
    default:  // is somebody, and asks for something that it does not wait for
      if (client.hello().errc() == Errc::kOk) {
        client.send({2, protocol::GrantRequest{1, 1, region::kDefaultWords, 1}});
        return true;
      }
  }
  return false;
}

TEST(StressConnects, TenThousandAtOnceFailNoCallOfAnother) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  Bystander bystander(daemon.client_socket());
  const SeedRange range = seeds(kConnects);
  std::atomic<std::uint64_t> next{0};
  std::atomic<int> served{0};
  const auto begun = Clock::now();
  run_threads(kThreads, [&](std::size_t) {
    for (std::uint64_t i = next++; i < range.count; i = next++) {
      try {
        served += connect_and_leave(daemon.client_socket(), range.first + i) ? 1 : 0;
      } catch (const std::runtime_error& refused) {
        ADD_FAILURE() << refused.what();
        return;
      }
    }
  });
  const std::chrono::duration<double> took = Clock::now() - begun;
  const Bystander::Work work = bystander.work();
  EXPECT_GT(served, 0);
  RecordProperty("served_connects", served);
  RecordProperty("connects", static_cast<int>(range.count));
  RecordProperty("connects_per_second",
                 static_cast<int>(static_cast<double>(range.count) / took.count()));
  RecordProperty("rounds_of_another", static_cast<int>(work.rounds));
  RecordProperty("longest_round_of_another_us", static_cast<int>(work.longest_round_us));
  expect_nothing_left(daemon, bystander);
}

// What an evil-minded or a stuck client leaves the daemon to wait for. Its pace is the bystander's.
TEST(StressConnects, TheSlowAndTheDeafEndByThemselvesAndHoldUpNobody) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH,
                             {.config = "hello_deadline_ms = 200\ncontrol_deadline_ms = 200\n"});
  Bystander bystander(daemon.client_socket());

  // Asks and never reads: it is dropped when its queue is full.
  RawSession deaf(daemon.client_socket());
  const auto question = protocol::encode({1, protocol::Unpin{0}});
  const std::array<std::byte, 1> one_byte{};
  std::vector<std::unique_ptr<RawClient>> bytewise;
  for (int i = 0; i < 100; ++i) {
    // A byte is a message here, and none that the daemon knows: it says so and ends the connection.
    bytewise.push_back(std::make_unique<RawClient>(daemon.client_socket()));
    ASSERT_TRUE(bytewise.back()->send(one_byte));
  }
  // Connects and says nothing, and reads neither that its time is over.
  RawClient silent(daemon.client_socket());
  const auto deaf_asker = connect_stream(daemon.control_socket());
  const auto slow_asker = connect_stream(daemon.control_socket());
  const std::string_view request = "{\"request\":\"stats\"}\n";
  bool has_deaf = true;
  bool has_deaf_asker = true;
  bool has_slow_asker = true;
  const auto deadline = Clock::now() + kPatience;
  while (has_deaf || has_deaf_asker || has_slow_asker) {
    ASSERT_LT(Clock::now(), deadline) << has_deaf << has_deaf_asker << has_slow_asker;
    // A full queue of ours empties while the daemon serves the bystander.
    while (has_deaf && deaf.client.send(question)) {
    }
    has_deaf = connection_count(daemon.control_socket()) > Bystander::kSessions;
    for (int i = 0; has_deaf_asker && i < 1000; ++i) {
      const auto sent =
          ::send(deaf_asker.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      has_deaf_asker = sent > 0 || errno == EAGAIN;
      if (sent <= 0) break;
    }
    has_slow_asker = has_slow_asker && ::send(slow_asker.get(), "x", 1, MSG_NOSIGNAL) == 1;
    (void)bystander.work();
  }
  for (const auto& client : bytewise) {
    EXPECT_EQ(client->receive()->errc(), Errc::kBadMessage);
    EXPECT_FALSE(client->receive().has_value());
  }
  EXPECT_EQ(silent.receive()->errc(), Errc::kDeadline);
  expect_nothing_left(daemon, bystander);
}

}  // namespace
}  // namespace allot::test
