#include "daemon/daemon_messages.hpp"

#include <unistd.h>

#include <optional>
#include <utility>

#include "daemon/descriptor_name.hpp"

namespace allot::daemon {

namespace {
constexpr int kMessagesATurn = 256;  // then the other events of the loop have their turn
}  // namespace

void say_as_supervisor(std::string_view what) {
  const std::string line = "allotd[supervisor]: " + std::string(what) + "\n";
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

DaemonMessages::DaemonMessages(boost::asio::io_context& context, platform::Descriptor listener,
                               NotifySocket& own_manager, std::function<void()> ready)
    : listener_(context, std::move(listener)),
      own_manager_(own_manager),
      ready_(std::move(ready)) {}

void DaemonMessages::wait() {
  listener_.async_wait_readable([this](bool readable) {
    if (!readable) return;
    for (int i = 0; i < kMessagesATurn && take_one(); ++i) {
    }
    wait();
  });
}

void DaemonMessages::drain() {
  while (take_one()) {
  }
}

// False if there is none. Descriptors that are not kept are closed with the message.
bool DaemonMessages::take_one() {
  auto message = receive_notification(listener_.get());
  if (!message) return false;
  if (daemon_ == 0 || message->sender != daemon_) return true;
  if (message->truncated) {
    complain(
        "a message of the daemon came without all its descriptors: raise LimitNOFILE= or "
        "ulimit -n");
    return true;
  }
  if (message->says("FDSTORE") || message->says("FDSTOREREMOVE")) {
    change_store(*message);
  } else if (!message->says("BARRIER")) {
    pass_on(*message);
  }
  return true;
}

void DaemonMessages::change_store(Notification& message) {
  const std::string name(message.value("FDNAME").value_or("stored"));
  if (!is_descriptor_name(name)) return complain("the daemon stores under a name that is none");
  if (message.says("FDSTOREREMOVE")) return store_.remove(name);
  for (platform::Descriptor& one : message.descriptors) keep(name, std::move(one));
}

void DaemonMessages::keep(std::string_view name, platform::Descriptor descriptor) {
  if (store_.add(name, std::move(descriptor))) return;
  complain("there is no room for more than " + std::to_string(store_.size()) +
           " descriptors; what does not fit is lost when the daemon ends");
}

void DaemonMessages::pass_on(const Notification& message) {
  if (message.says("READY")) ready_();
  // Its end is ours only if that was asked for: else a service manager would wait for us.
  if (message.says("STOPPING") && !end_expected_) return;
  std::string text;
  for (const std::string_view key : {"READY", "STATUS", "WATCHDOG", "STOPPING"}) {
    const auto value = message.value(key);
    if (!value) continue;
    text += (text.empty() ? "" : "\n") + std::string(key) + "=" + std::string(*value);
  }
  if (!text.empty()) own_manager_.send(text);
}

// Each fault once: it may come with every message.
void DaemonMessages::complain(const std::string& what) {
  if (what == last_complaint_) return;
  last_complaint_ = what;
  say_as_supervisor(what);
}

}  // namespace allot::daemon
