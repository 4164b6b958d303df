// DaemonMessages: what a supervised daemon sends, and what becomes of it.
//
// Used by the supervisor. Descriptors go into the store or out of it, a barrier's is closed in its
// turn, and what the daemon says of its state is passed on to the supervisor's own service manager,
// if there is one. Messages of any other process are dropped, with what came with them.
//
// One thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>

#include "daemon/async_descriptor.hpp"
#include "daemon/descriptor_store.hpp"
#include "daemon/notification.hpp"
#include "daemon/notify_socket.hpp"
#include "shared/platform/descriptor.hpp"

namespace allot::daemon {

/// One line on stderr, from the supervisor.
void say_as_supervisor(std::string_view what);

class DaemonMessages {
 public:
  /// `ready` is called when the daemon says READY=1. `listener` is from listen_for_notifications().
  DaemonMessages(boost::asio::io_context& context, platform::Descriptor listener,
                 NotifySocket& own_manager, std::function<void()> ready);

  explicit operator bool() const noexcept { return static_cast<bool>(listener_); }

  /// From now on the loop takes what comes.
  void wait();
  /// Whose messages count; 0: nobody's.
  void listen_to(pid_t daemon) noexcept { daemon_ = daemon; }
  /// Takes all that is there now.
  void drain();
  /// From now on STOPPING=1 is passed on: the supervisor ends as well.
  void expect_end() noexcept { end_expected_ = true; }

  /// Stores a descriptor; closed if there is no room.
  void keep(std::string_view name, platform::Descriptor descriptor);
  [[nodiscard]] const DescriptorStore& store() const noexcept { return store_; }

 private:
  bool take_one();
  void change_store(Notification& message);
  void pass_on(const Notification& message);
  void complain(const std::string& what);

  AsyncDescriptor listener_;
  NotifySocket& own_manager_;
  std::function<void()> ready_;
  DescriptorStore store_;
  pid_t daemon_ = 0;
  bool end_expected_ = false;
  std::string last_complaint_;
};

}  // namespace allot::daemon
