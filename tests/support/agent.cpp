#include "tests/support/agent.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/seqpacket.hpp"

namespace allot::test {

namespace {

constexpr const char* kRoleVariable = "ALLOT_TEST_ROLE";
constexpr const char* kLinkVariable = "ALLOT_TEST_LINK";

std::map<std::string, void (*)(Link&)>& roles() {
  static std::map<std::string, void (*)(Link&)> all;
  return all;
}

// In the child this is as far as GoogleTest gets.
class RolePlayer final : public testing::Environment {
 public:
  void SetUp() override {
    const char* const role = std::getenv(kRoleVariable);
    const char* const link = std::getenv(kLinkVariable);
    if (role == nullptr || link == nullptr) return;
    Link test{platform::Descriptor(std::atoi(link))};
    ::fcntl(test.socket().get(), F_SETFD, FD_CLOEXEC);
    int status = 0;
    try {
      roles().at(role)(test);
    } catch (const std::exception& failure) {
      std::cerr << "role " << role << ": " << failure.what() << std::endl;
      status = 1;
    }
    ::_exit(status);
  }
};

const testing::Environment* const kRolePlayer =
    testing::AddGlobalTestEnvironment(new RolePlayer());  // NOLINT: GoogleTest deletes it

// The environment of the child: ours, with the role and the link.
std::vector<std::string> environment_of(const std::string& role, int link) {
  std::vector<std::string> out;
  for (char** one = environ; *one != nullptr; ++one) out.emplace_back(*one);
  out.push_back(std::string(kRoleVariable) + "=" + role);
  out.push_back(std::string(kLinkVariable) + "=" + std::to_string(link));
  return out;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

pid_t spawn_role(const std::string& role, int link) {
  std::vector<std::string> arguments = {"/proc/self/exe", "--gtest_brief=1"};
  std::vector<std::string> environment = environment_of(role, link);
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(environment);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  // This process may have threads: nothing here may need a lock.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::fcntl(link, F_SETFD, 0);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(nowhere, STDOUT_FILENO);
  ::execve(argv[0], argv.data(), envp.data());
  ::_exit(127);
}

std::pair<platform::Descriptor, platform::Descriptor> make_link() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    throw std::runtime_error(std::string("socketpair: ") + std::strerror(errno));
  }
  return {platform::Descriptor(ends[0]), platform::Descriptor(ends[1])};
}

}  // namespace

RoleEntry::RoleEntry(const char* name, void (*play)(Link& test)) { roles()[name] = play; }

void Link::send_bytes(std::span<const std::byte> bytes) {
  if (::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error(std::string("the other end does not listen: ") + std::strerror(errno));
  }
}

std::size_t Link::receive_bytes(std::span<std::byte> buffer) {
  if (!platform::wait_readable(socket_, std::chrono::steady_clock::now() + kPatience)) {
    throw std::runtime_error("nothing from the other end");
  }
  const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got <= 0) throw std::runtime_error("the other end has gone");
  return static_cast<std::size_t>(got);
}

std::string Link::receive_text() {
  std::array<std::byte, kMostBytes> buffer;
  const std::size_t size = receive_bytes(buffer);
  return {reinterpret_cast<const char*>(buffer.data()), size};
}

Agent::Agent(const std::string& role) : link_(platform::Descriptor()) {
  if (kRolePlayer == nullptr || !roles().contains(role)) {
    throw std::logic_error("no role " + role);
  }
  auto [ours, theirs] = make_link();
  link_ = Link(std::move(ours));
  process_ = ChildProcess(spawn_role(role, theirs.get()));
}

bool Agent::finish() {
  const int status = process_.wait();
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace allot::test
