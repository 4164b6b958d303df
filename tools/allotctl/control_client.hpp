// ControlClient: asks the daemon one thing over its control socket and waits for the answer.
//
// Used by every command. The daemon may be absent, stopped, of another version or not a daemon at
// all: each call ends by the deadline, and an answer that is no JSON object is an error.
#pragma once

#include <chrono>
#include <string>

#include <boost/json/object.hpp>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"
#include "tools/allotctl/command.hpp"

namespace allot::ctl {

class ControlClient {
 public:
  /// Connects to options.socket, or to the first that answers of the usual places.
  /// Errc::kNoDaemon says in one line where it looked and how to start one.
  [[nodiscard]] static Expected<ControlClient> connect(const Options& options);

  /// The answer to `request`, whatever its "ok" says. Errc::kDeadline, kDaemonGone or kBadMessage;
  /// std::errc::operation_canceled if options.wake_descriptor became readable.
  [[nodiscard]] Expected<boost::json::object> ask(const boost::json::object& request);

 private:
  ControlClient(platform::Descriptor socket, std::string path,
                std::chrono::steady_clock::time_point deadline, int wake_descriptor)
      : socket_(std::move(socket)),
        path_(std::move(path)),
        deadline_(deadline),
        wake_descriptor_(wake_descriptor) {}

  [[nodiscard]] Expected<void> send_line(const std::string& line);
  [[nodiscard]] Expected<std::string> receive_line();
  [[nodiscard]] Expected<void> wait_for(short events);

  platform::Descriptor socket_;
  std::string path_;
  std::chrono::steady_clock::time_point deadline_;
  int wake_descriptor_;
  std::string received_;  // beyond the last line
};

}  // namespace allot::ctl
