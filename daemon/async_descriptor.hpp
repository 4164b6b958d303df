// AsyncDescriptor: a descriptor of ours that the event loop can wait for.
//
// Used by the daemon's adapters for sockets, pidfds and the timer. Asio only waits; reading and
// writing is done by shared/platform with the descriptor itself, since descriptors and credentials
// travel in control data that Asio does not know.
//
// Invariants
// 1. The descriptor is closed once, by this object, after the loop has let go of it.
// 2. A handler runs at most once, with `false` if the descriptor was closed first; a handler may
//    run after the object is gone, so it holds what it needs alive.
// 3. `true` means that the kernel says so of this very descriptor.
//
// One thread.
#pragma once

#include <poll.h>

#include <memory>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>

#include "shared/platform/descriptor.hpp"
#include "shared/platform/poll_now.hpp"

namespace allot::daemon {

class AsyncDescriptor {
 public:
  /// Owns nothing afterwards (operator bool) if the loop refuses the descriptor.
  AsyncDescriptor(boost::asio::io_context& context, platform::Descriptor descriptor)
      : descriptor_(std::move(descriptor)), waiter_(context) {
    boost::system::error_code failed;
    waiter_.assign(descriptor_.get(), failed);
    if (failed) descriptor_.reset();
  }
  AsyncDescriptor(const AsyncDescriptor&) = delete;
  AsyncDescriptor& operator=(const AsyncDescriptor&) = delete;
  ~AsyncDescriptor() { close(); }

  explicit operator bool() const noexcept { return static_cast<bool>(descriptor_); }
  [[nodiscard]] const platform::Descriptor& get() const noexcept { return descriptor_; }

  /// Calls handler(true) from the loop once there is something to read, handler(false) if the
  /// descriptor is closed before.
  template <class Handler>
  void async_wait_readable(Handler handler) {
    async_wait(boost::asio::posix::descriptor_base::wait_read, POLLIN, std::move(handler));
  }
  /// The same, once something can be written.
  template <class Handler>
  void async_wait_writable(Handler handler) {
    async_wait(boost::asio::posix::descriptor_base::wait_write, POLLOUT, std::move(handler));
  }

  void close() {
    if (!descriptor_) return;
    *open_ = false;
    (void)waiter_.release();  // the loop forgets it; the next line closes it
    descriptor_.reset();
  }

 private:
  template <class Handler>
  void async_wait(boost::asio::posix::descriptor_base::wait_type kind, short event,
                  Handler handler) {
    // The flag outlives this object: a ready handler may be queued when close() is called.
    waiter_.async_wait(kind, [this, kind, event, handler = std::move(handler),
                              open = open_](const boost::system::error_code& failed) mutable {
      if (failed || !*open) return handler(false);
      if (!is_ready(event)) return async_wait(kind, event, std::move(handler));
      handler(true);
    });
  }

  // Asio (1.81) hands the state of a descriptor that was closed in this turn of the loop to the
  // next one, with its queued event: the wait for a new process's exit then ends with an old one's.
  [[nodiscard]] bool is_ready(short event) const {
    pollfd one{descriptor_.get(), event, 0};
    return platform::poll_now(one) != 0;
  }

  platform::Descriptor descriptor_;
  boost::asio::posix::stream_descriptor waiter_;
  std::shared_ptr<bool> open_ = std::make_shared<bool>(true);
};

}  // namespace allot::daemon
