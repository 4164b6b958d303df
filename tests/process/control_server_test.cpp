// How the control socket frames lines: one answer a request, limits, deadlines. What the answers say
// is tested with ControlRequest.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/control_requests.hpp"
#include "shared/platform/seqpacket.hpp"
#include "tests/support/daemon_process.hpp"

namespace allot::test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::size_t kLongestLineBytes = daemon::kMaxControlLineBytes;
const std::string kStats = R"({"request":"stats"})";

class LineClient {
 public:
  explicit LineClient(const std::filesystem::path& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.native().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
    if (::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
        0) {
      throw std::runtime_error("connect " + path.native());
    }
  }

  /// False if the daemon has closed.
  bool send(std::string_view text) const {
    while (!text.empty()) {
      const auto sent = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  /// The next line without its end, or nothing if the daemon closed.
  std::optional<std::string> line() {
    for (;;) {
      if (const auto end = input_.find('\n'); end != std::string::npos) {
        std::string out = input_.substr(0, end);
        input_.erase(0, end + 1);
        return out;
      }
      if (!platform::wait_readable(socket_, std::chrono::steady_clock::now() + kPatience)) {
        throw std::runtime_error("no line from allotd");
      }
      std::array<char, 4096> bytes;
      const auto got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
      if (got <= 0) return std::nullopt;
      input_.append(bytes.data(), static_cast<std::size_t>(got));
    }
  }

  [[nodiscard]] const platform::Descriptor& socket() const noexcept { return socket_; }

 private:
  platform::Descriptor socket_;
  std::string input_;
};

TEST(ControlServer, AnswersEachLineWithOneLineInOrder) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  LineClient client(daemon.control_socket());
  ASSERT_TRUE(client.send(kStats + "\nnonsense\n" + kStats + "\n"));
  EXPECT_THAT(*client.line(), StartsWith(R"({"ok":true)"));
  EXPECT_THAT(*client.line(), StartsWith(R"({"ok":false)"));
  EXPECT_THAT(*client.line(), StartsWith(R"({"ok":true)"));
}

TEST(ControlServer, TakesALineInPieces) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  LineClient client(daemon.control_socket());
  for (const char c : kStats + "\n") ASSERT_TRUE(client.send(std::string_view(&c, 1)));
  EXPECT_THAT(*client.line(), StartsWith(R"({"ok":true)"));
}

TEST(ControlServer, AnswersTheLastLineOfAPeerThatHasNoMoreToSay) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  LineClient client(daemon.control_socket());
  ASSERT_TRUE(client.send(kStats + "\n"));
  ASSERT_EQ(::shutdown(client.socket().get(), SHUT_WR), 0);
  EXPECT_THAT(*client.line(), StartsWith(R"({"ok":true)"));
  EXPECT_EQ(client.line(), std::nullopt);
}

TEST(ControlServer, RefusesALineWithoutEnd) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  LineClient client(daemon.control_socket());
  (void)client.send(std::string(200'000, 'x'));  // the daemon may close before it has all
  const auto answer = client.line();
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr("bad_message"));
  EXPECT_EQ(client.line(), std::nullopt);
  LineClient next(daemon.control_socket());
  ASSERT_TRUE(next.send(kStats + "\n"));
  EXPECT_THAT(*next.line(), StartsWith(R"({"ok":true)"));
}

TEST(ControlServer, TakesTheLongestLineAndEndsAtALongerOne) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH);
  LineClient client(daemon.control_socket());
  const std::string longest = kStats + std::string(kLongestLineBytes - kStats.size(), ' ');
  ASSERT_TRUE(client.send(longest + "\n" + longest + " \n" + kStats + "\n"));
  EXPECT_THAT(*client.line(), StartsWith(R"({"ok":true)"));
  EXPECT_THAT(*client.line(), HasSubstr("bad_message"));
  EXPECT_EQ(client.line(), std::nullopt);
}

TEST(ControlServer, DropsAPeerThatTakesTooLongForALine) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "control_deadline_ms = 50\n"});
  LineClient slow(daemon.control_socket());
  ASSERT_TRUE(slow.send("{"));
  EXPECT_EQ(slow.line(), std::nullopt);
}

TEST(ControlServer, DropsASilentPeerInTheEnd) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "control_idle_ms = 50\n"});
  LineClient silent(daemon.control_socket());
  EXPECT_EQ(silent.line(), std::nullopt);
}

TEST(ControlServer, DropsAPeerThatDoesNotTakeItsAnswers) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "control_deadline_ms = 50\n"});
  LineClient deaf(daemon.control_socket());
  // Requests are short and answers long: the daemon stops reading, then gives up.
  while (deaf.send(kStats + "\n")) {
  }
  LineClient next(daemon.control_socket());
  ASSERT_TRUE(next.send(kStats + "\n"));
  EXPECT_THAT(*next.line(), StartsWith(R"({"ok":true)"));
}

TEST(ControlServer, HasAMostNumberOfConnections) {
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "max_control_connections = 2\n"});
  LineClient first(daemon.control_socket());
  auto second = std::make_unique<LineClient>(daemon.control_socket());
  for (LineClient* const one : {&first, second.get()}) {
    ASSERT_TRUE(one->send(kStats + "\n"));
    EXPECT_THAT(*one->line(), StartsWith(R"({"ok":true)"));
  }
  LineClient third(daemon.control_socket());
  EXPECT_EQ(third.line(), std::nullopt);
  second.reset();
  // The end of the second is seen before the request of the first that follows it.
  ASSERT_TRUE(first.send(kStats + "\n"));
  EXPECT_TRUE(first.line());
  LineClient fourth(daemon.control_socket());
  ASSERT_TRUE(fourth.send(kStats + "\n"));
  EXPECT_THAT(*fourth.line(), StartsWith(R"({"ok":true)"));
}

TEST(ControlServer, OrdinaryUsersLeaveHalfOfTheConnectionsToAdministrators) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const DaemonProcess daemon(ALLOT_ALLOTD_PATH, {.config = "max_control_connections = 3\n"});
  const auto runtime_dir = daemon.control_socket().parent_path();
  for (const auto& directory : {runtime_dir.parent_path(), runtime_dir}) {
    std::filesystem::permissions(directory, std::filesystem::perms::group_exec,
                                 std::filesystem::perm_options::add);
  }
  std::vector<std::unique_ptr<LineClient>> clients;
  const auto is_served = [&] {
    clients.push_back(std::make_unique<LineClient>(daemon.control_socket()));
    return clients.back()->send(kStats + "\n") && clients.back()->line().has_value();
  };
  ASSERT_EQ(::seteuid(12'345), 0);  // and still of root's group, which may use the socket
  const bool first = is_served();
  const bool second = is_served();
  const bool third = is_served();
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_TRUE(first && second);
  EXPECT_FALSE(third);
  EXPECT_TRUE(is_served()) << "the administrator";
  EXPECT_FALSE(is_served()) << "no more at all";
}

}  // namespace
}  // namespace allot::test
