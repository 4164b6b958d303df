// DaemonProcess: a real allotd in a private directory, and a raw client that speaks its protocol.
//
// Used by process and integration tests. Nothing here sleeps: readiness comes over NOTIFY_SOCKET,
// the end over a pidfd, answers over the socket; each wait has a deadline and throws when it passes.
// The daemon dies with the test, and with the process that runs it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <allot/session.hpp>

#include "shared/platform/descriptor.hpp"
#include "shared/platform/runtime_dir.hpp"
#include "shared/protocol/message.hpp"

namespace allot::test {

inline constexpr std::chrono::seconds kPatience{20};

/// A directory of its own below the system's temporary one, removed at the end.
class TemporaryDir {
 public:
  TemporaryDir();
  TemporaryDir(const TemporaryDir&) = delete;
  TemporaryDir& operator=(const TemporaryDir&) = delete;
  ~TemporaryDir();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

void write_file(const std::filesystem::path& file, std::string_view text);
[[nodiscard]] std::string read_file(const std::filesystem::path& file);

/// A child process, killed and reaped at the end.
class ChildProcess {
 public:
  ChildProcess() = default;
  explicit ChildProcess(pid_t pid);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  void signal(int number) const;
  /// Kills it and waits for its end.
  void kill();
  /// Waits for its end; the status of waitpid(). Throws after kPatience.
  int wait();

 private:
  pid_t pid_ = -1;
  std::optional<int> status_;
};

/// What a program that ended by itself had to say.
struct ProgramResult {
  int exit_status = -1;  // -1: a signal
  std::string out;
  std::string err;
};
[[nodiscard]] ProgramResult run_program(const std::vector<std::string>& arguments);

/// A daemon that ended before it was ready.
class EndedEarly : public std::runtime_error {
 public:
  EndedEarly(int wait_status, const std::string& its_log)
      : std::runtime_error("allotd ended before it was ready:\n" + its_log),
        status(wait_status),
        log(its_log) {}
  int status;  // of waitpid()
  std::string log;
};

class DaemonProcess {
 public:
  struct Options {
    std::string config{};                                            // text of allotd.toml
    std::vector<std::string> wrapper{};                              // a program that runs allotd
    std::vector<std::string> arguments{};                            // more options
    std::vector<std::pair<std::string, int>> sockets{};              // activation: name, fd
    std::vector<std::pair<std::string, std::string>> environment{};  // added to ours
    std::optional<std::filesystem::path> runtime_dir{};              // not one of its own
    std::function<void()> before_exec{};                             // in the new process
  };

  /// Starts `program` and waits until it says READY=1. Throws, with its log, if it does not.
  explicit DaemonProcess(const std::string& program) : DaemonProcess(program, Options()) {}
  DaemonProcess(const std::string& program, const Options& options);
  DaemonProcess(const DaemonProcess&) = delete;
  DaemonProcess& operator=(const DaemonProcess&) = delete;
  /// Kills it; shows its log if the test has failed.
  ~DaemonProcess();

  [[nodiscard]] pid_t pid() const noexcept { return child_.pid(); }
  [[nodiscard]] const std::filesystem::path& runtime_dir() const noexcept { return runtime_dir_; }
  [[nodiscard]] std::filesystem::path client_socket() const {
    return runtime_dir_ / platform::kClientSocketName;
  }
  [[nodiscard]] std::filesystem::path control_socket() const {
    return runtime_dir_ / platform::kControlSocketName;
  }
  /// All that it wrote to stderr so far.
  [[nodiscard]] std::string log() const;
  [[nodiscard]] std::filesystem::path log_file() const { return scratch_.path() / "log"; }
  /// The next message on NOTIFY_SOCKET.
  [[nodiscard]] std::string next_notification();

  void signal(int number) const { child_.signal(number); }
  void kill() { child_.kill(); }
  /// Waits for its end; the status of waitpid().
  int wait() { return child_.wait(); }

 private:
  void wait_until_ready();

  TemporaryDir scratch_;
  std::filesystem::path runtime_dir_;
  platform::Descriptor notify_;
  ChildProcess child_;
};

class RawClient {
 public:
  struct Reply {
    protocol::Message message;
    std::vector<platform::Descriptor> descriptors;

    /// The body, which must be a T; throws, with what it is, if it is not.
    template <class T>
    const T& as() const {
      if (const auto* const body = std::get_if<T>(&message.body)) return *body;
      throw std::runtime_error("another kind of answer: " + describe());
    }
    /// The Errc of a Failure; kOk for anything else.
    [[nodiscard]] Errc errc() const noexcept;
    [[nodiscard]] std::string describe() const;
  };

  explicit RawClient(const std::filesystem::path& socket);

  /// False if the daemon has closed the connection.
  bool send(std::span<const std::byte> bytes, std::span<const int> descriptors = {});
  bool send(const protocol::Message& message) { return send(protocol::encode(message)); }

  /// The next message, or nothing if the daemon closed the connection. Throws after kPatience.
  [[nodiscard]] std::optional<Reply> receive();
  /// Whether something can be read now.
  [[nodiscard]] bool has_message() const;

  /// Sends `body` under a new request number and returns the answer to it, which must be the next
  /// message.
  Reply request(const protocol::Body& body);

  /// Like request() for the first message; answers a Challenge if one comes.
  Reply introduce(const protocol::Body& body);
  /// A Hello to `region`.
  Reply hello(std::string_view region = "default");

  [[nodiscard]] platform::Descriptor& socket() noexcept { return socket_; }
  void close() { socket_.reset(); }

 private:
  platform::Descriptor socket_;
  std::uint64_t next_request_ = 1;
};

[[nodiscard]] protocol::Hello make_hello(std::string_view region = "default");

/// To connect to the daemon behind `socket`.
[[nodiscard]] inline ConnectOptions options_for(const std::filesystem::path& socket,
                                                const std::string& region = "default") {
  ConnectOptions options;
  options.socket_path = socket;
  options.region = region;
  options.deadline = kPatience;
  return options;
}

}  // namespace allot::test
