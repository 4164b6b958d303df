#include "tools/allotctl/control_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "shared/platform/runtime_dir.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::ctl {

namespace json = boost::json;

namespace {

using Clock = std::chrono::steady_clock;

// An answer that is longer than this is not an answer.
constexpr std::size_t kMaxAnswerBytes = std::size_t{1} << 30;
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;

std::vector<std::string> candidates(const Options& options) {
  if (!options.socket.empty()) return {options.socket};
  std::vector<std::filesystem::path> directories;
  if (options.runtime_dir.empty()) {
    directories = platform::candidate_runtime_dirs();
  } else {
    directories.emplace_back(options.runtime_dir);
  }
  std::vector<std::string> paths;
  for (const auto& directory : directories) {
    paths.push_back((directory / platform::kControlSocketName).native());
  }
  return paths;
}

timeval to_timeval(Clock::duration left) {
  const auto us = std::max<std::chrono::microseconds::rep>(
      std::chrono::duration_cast<std::chrono::microseconds>(left).count(), 1);
  timeval out{};
  out.tv_sec = static_cast<decltype(out.tv_sec)>(us / 1'000'000);
  out.tv_usec = static_cast<decltype(out.tv_usec)>(us % 1'000'000);
  return out;
}

// Why the connection could not be made, in errno's words.
Expected<platform::Descriptor> connect_stream(const std::string& path, Clock::time_point deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return Error(std::make_error_code(std::errc::filename_too_long));
  }
  std::memcpy(&address.sun_path[0], path.data(), path.size());
  platform::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return platform::system_error("socket");
  // connect() waits while the listener's queue is full: for so long.
  const timeval left = to_timeval(deadline - Clock::now());
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) != 0) {
    return platform::system_error("setsockopt");
  }
  while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) !=
         0) {
    if (errno != EINTR) return Error(std::error_code(errno, std::generic_category()));
  }
  return socket;
}

}  // namespace

Expected<ControlClient> ControlClient::connect(const Options& options) {
  const Clock::time_point deadline = Clock::now() + options.timeout;
  std::string looked;
  std::string advice =
      "; start one with: systemctl start allotd, or allotd --runtime-dir DIR and here "
      "--runtime-dir DIR";
  for (const std::string& path : candidates(options)) {
    auto socket = connect_stream(path, deadline);
    if (socket) return ControlClient(std::move(*socket), path, deadline, options.wake_descriptor);
    if (socket.error().code == std::errc::permission_denied) {
      advice = "; one may run that serves only the socket's group: usermod -aG allot USER";
    }
    looked +=
        (looked.empty() ? "looked at " : ", ") + path + " (" + socket.error().code.message() + ")";
  }
  return Error(Errc::kNoDaemon, looked + advice);
}

Expected<json::object> ControlClient::ask(const json::object& request) {
  if (auto sent = send_line(json::serialize(request) + "\n"); !sent) return sent.error();
  auto line = receive_line();
  if (!line) return line.error();
  boost::system::error_code failed;
  json::value answer = json::parse(*line, failed);
  if (failed || !answer.is_object()) {
    return Error(Errc::kBadMessage, path_ + " did not answer with a JSON object");
  }
  return std::move(answer.get_object());
}

Expected<void> ControlClient::wait_for(short events) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0) return Error(Errc::kDeadline, path_ + "; see --timeout");
    const auto capped = std::min<decltype(left)>(left, std::numeric_limits<int>::max());
    // A negative descriptor is none to poll().
    std::array<pollfd, 2> waiting = {{{socket_.get(), events, 0}, {wake_descriptor_, POLLIN, 0}}};
    const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(capped));
    if (ready > 0 && waiting[0].revents != 0) return {};
    if (ready > 0) return Error(std::make_error_code(std::errc::operation_canceled));
    if (ready < 0 && errno != EINTR) return platform::system_error("poll");
  }
}

Expected<void> ControlClient::send_line(const std::string& line) {
  std::size_t sent = 0;
  while (sent < line.size()) {
    if (auto ready = wait_for(POLLOUT); !ready) return ready.error();
    const ssize_t size =
        ::send(socket_.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size > 0) sent += static_cast<std::size_t>(size);
    if (size >= 0 || errno == EINTR || errno == EAGAIN) continue;
    return Error(Errc::kDaemonGone, path_ + ": " + std::generic_category().message(errno));
  }
  return {};
}

Expected<std::string> ControlClient::receive_line() {
  std::array<char, kReadBytes> buffer;
  for (std::size_t searched = 0;;) {
    if (const std::size_t end = received_.find('\n', searched); end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      return line;
    }
    searched = received_.size();
    if (searched > kMaxAnswerBytes) return Error(Errc::kBadMessage, path_ + " never stops talking");
    if (auto ready = wait_for(POLLIN); !ready) return ready.error();
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size > 0) {
      received_.append(buffer.data(), static_cast<std::size_t>(size));
    } else if (size == 0) {
      return Error(Errc::kDaemonGone, path_ + " closed before it answered");
    } else if (errno != EINTR && errno != EAGAIN) {
      return Error(Errc::kDaemonGone, path_ + ": " + std::generic_category().message(errno));
    }
  }
}

}  // namespace allot::ctl
