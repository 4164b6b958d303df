#include "tests/support/daemon_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

#include <gtest/gtest.h>

#include "shared/platform/pidfd.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/region/layout.hpp"

namespace allot::test {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

[[noreturn]] void fail_with_errno(const std::string& what) {
  fail(what + ": " + std::strerror(errno));
}

platform::Deadline soon() { return std::chrono::steady_clock::now() + kPatience; }

// Forks; `prepare` runs in the child, which then executes `arguments` and dies with its parent.
pid_t spawn(const std::vector<std::string>& arguments, const std::function<void()>& prepare) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) fail_with_errno("fork");
  if (child > 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  prepare();
  ::execv(argv[0], argv.data());
  std::cerr << "cannot execute " << argv[0] << ": " << std::strerror(errno) << std::endl;
  ::_exit(127);
}

void redirect(int number, const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0 || ::dup2(fd, number) < 0) ::_exit(126);
}

// Puts the sockets where sd_listen_fds(3) looks for them. In the child only.
void pass_sockets(const std::vector<std::pair<std::string, int>>& sockets) {
  constexpr int kFirst = 3;
  constexpr int kAbove = 100;
  std::vector<int> copies;
  std::string names;
  for (const auto& [name, fd] : sockets) {
    copies.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, kAbove));
    names += (names.empty() ? "" : ":") + name;
  }
  for (std::size_t i = 0; i < copies.size(); ++i) {
    ::dup2(copies[i], kFirst + static_cast<int>(i));  // without close-on-exec
  }
  ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
  ::setenv("LISTEN_FDS", std::to_string(sockets.size()).c_str(), 1);
  ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
}

platform::Descriptor bind_datagram(const std::filesystem::path& path) {
  platform::Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(&address.sun_path[0], sizeof(address.sun_path) - 1);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    fail_with_errno("bind " + path.native());
  }
  return socket;
}

}  // namespace

TemporaryDir::TemporaryDir() {
  std::string name = (std::filesystem::temp_directory_path() / "allot-test-XXXXXX").native();
  if (::mkdtemp(name.data()) == nullptr) fail_with_errno("mkdtemp");
  path_ = name;
}

TemporaryDir::~TemporaryDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write_file(const std::filesystem::path& file, std::string_view text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  if (!out.flush()) fail("cannot write " + file.native());
}

std::string read_file(const std::filesystem::path& file) {
  const std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

ChildProcess::ChildProcess(pid_t pid) : pid_(pid) {
  if (pid < 0) fail_with_errno("fork");
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(status_, other.status_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (pid_ <= 0 || status_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void ChildProcess::signal(int number) const { ::kill(pid_, number); }

void ChildProcess::kill() {
  signal(SIGKILL);
  wait();
}

int ChildProcess::wait() {
  if (status_) return *status_;
  const auto pidfd = platform::pidfd_open(pid_);
  if (!pidfd) fail("pidfd_open: " + pidfd.error().message());
  if (!platform::wait_readable(*pidfd, soon())) {
    fail("process " + std::to_string(pid_) + " does not end");
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  status_ = status;
  return status;
}

ProgramResult run_program(const std::vector<std::string>& arguments) {
  const TemporaryDir scratch;
  ChildProcess child(spawn(arguments, [&] {
    redirect(STDOUT_FILENO, scratch.path() / "out");
    redirect(STDERR_FILENO, scratch.path() / "err");
  }));
  const int status = child.wait();
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(scratch.path() / "out"),
          read_file(scratch.path() / "err")};
}

DaemonProcess::DaemonProcess(const std::string& program, const Options& options)
    : runtime_dir_(options.runtime_dir.value_or(scratch_.path() / "run")),
      notify_(bind_datagram(scratch_.path() / "notify")) {
  write_file(scratch_.path() / "allotd.toml", options.config);
  std::vector<std::string> arguments = options.wrapper;
  for (const std::string& one :
       {program, std::string("--runtime-dir"), runtime_dir_.native(), std::string("--config"),
        (scratch_.path() / "allotd.toml").native()}) {
    arguments.push_back(one);
  }
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  child_ = ChildProcess(spawn(arguments, [&] {
    redirect(STDERR_FILENO, scratch_.path() / "log");
    ::setenv("NOTIFY_SOCKET", (scratch_.path() / "notify").c_str(), 1);
    for (const char* const name : {"WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"}) {
      ::unsetenv(name);
    }
    for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
    if (!options.sockets.empty()) pass_sockets(options.sockets);
    if (options.before_exec) options.before_exec();
  }));
  wait_until_ready();
}

DaemonProcess::~DaemonProcess() {
  if (testing::Test::HasFailure()) std::cerr << "log of allotd:\n" << log();
}

void DaemonProcess::wait_until_ready() {
  const auto pidfd = platform::pidfd_open(pid());
  if (!pidfd) fail("allotd ended at once:\n" + log());
  std::array<pollfd, 2> events = {{{notify_.get(), POLLIN, 0}, {pidfd->get(), POLLIN, 0}}};
  const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience);
  if (::poll(events.data(), events.size(), static_cast<int>(patience.count())) <= 0) {
    fail("allotd is not ready after 20 s:\n" + log());
  }
  if ((events[0].revents & POLLIN) == 0) throw EndedEarly(wait(), log());
  std::string said = next_notification();
  while (said.starts_with("FDSTORE=1")) said = next_notification();
  if (said.find("READY=1") == std::string::npos) fail("allotd says " + said + ":\n" + log());
}

std::string DaemonProcess::next_notification() {
  if (!platform::wait_readable(notify_, soon())) fail("no notification");
  std::array<char, 4096> text{};
  const auto size = ::recv(notify_.get(), text.data(), text.size(), 0);
  return {text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

std::string DaemonProcess::log() const { return read_file(log_file()); }

Errc RawClient::Reply::errc() const noexcept {
  const auto* const failure = std::get_if<protocol::Failure>(&message.body);
  return failure == nullptr ? Errc::kOk : static_cast<Errc>(failure->errc);
}

std::string RawClient::Reply::describe() const {
  const auto* const failure = std::get_if<protocol::Failure>(&message.body);
  if (failure == nullptr) return "kind " + std::to_string(message.body.index());
  return protocol::to_error(*failure).message();
}

RawClient::RawClient(const std::filesystem::path& socket) {
  auto connected = platform::connect_seqpacket(socket);
  if (!connected) fail(connected.error().message());
  socket_ = std::move(*connected);
}

bool RawClient::send(std::span<const std::byte> bytes, std::span<const int> descriptors) {
  return platform::send_message(socket_, bytes, descriptors).has_value();
}

std::optional<RawClient::Reply> RawClient::receive() {
  if (!platform::wait_readable(socket_, soon())) fail("no answer from allotd");
  std::array<std::byte, protocol::kMessageBytes> buffer{};
  auto result = platform::receive_message(socket_, buffer, platform::Descriptors::kAccept);
  if (!result) return std::nullopt;
  platform::Received received = std::move(*result);
  if (received.size_bytes == 0) return std::nullopt;
  const auto message = protocol::decode(std::span(buffer).first(received.size_bytes));
  if (!message) fail("allotd sent nonsense: " + message.error().message());
  Reply reply{*message, {}};
  for (std::size_t i = 0; i < received.descriptor_count; ++i) {
    reply.descriptors.push_back(std::move(received.descriptors.at(i)));
  }
  return reply;
}

bool RawClient::has_message() const {
  pollfd entry{socket_.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 1;
}

RawClient::Reply RawClient::request(const protocol::Body& body) {
  const std::uint64_t number = next_request_++;
  if (!send({number, body})) fail("allotd has closed the connection");
  auto reply = receive();
  if (!reply) fail("allotd closed the connection instead of an answer");
  if (reply->message.request != number) fail("an answer to another request: " + reply->describe());
  return std::move(*reply);
}

RawClient::Reply RawClient::hello(std::string_view region) { return introduce(make_hello(region)); }

RawClient::Reply RawClient::introduce(const protocol::Body& body) {
  Reply reply = request(body);
  const auto* const challenge = std::get_if<protocol::Challenge>(&reply.message.body);
  if (challenge == nullptr) return reply;
  return request(protocol::ChallengeAnswer{challenge->nonce});
}

protocol::Hello make_hello(std::string_view region) {
  protocol::Hello hello;
  hello.fingerprint = region::fingerprint();
  protocol::set_text(hello.region, region);
  protocol::set_text(hello.label, "raw");
  return hello;
}

}  // namespace allot::test
