#include "daemon/listener.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "daemon/log.hpp"

namespace allot::daemon {

namespace {

constexpr std::chrono::milliseconds kPause{100};

}  // namespace

Listener::Listener(boost::asio::io_context& context, Timers& timers, platform::Descriptor socket,
                   Accept accept)
    : socket_(context, std::move(socket)), accept_(std::move(accept)), pause_(timers) {
  // A socket handed over by systemd may block.
  if (socket_) {
    const int flags = ::fcntl(socket_.get().get(), F_GETFL);
    ::fcntl(socket_.get().get(), F_SETFL, flags | O_NONBLOCK);
  }
}

void Listener::stop() {
  pause_.cancel();
  socket_.close();
}

void Listener::wait() {
  socket_.async_wait_readable([this](bool ready) {
    if (ready) accept_one();
  });
}

void Listener::accept_one() {
  platform::Descriptor connection(
      ::accept4(socket_.get().get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const int failed = connection ? 0 : errno;
  if (connection) {
    accept_(std::move(connection));
  } else if (failed != EAGAIN && failed != EINTR && failed != ECONNABORTED) {
    if (!complained_) {
      complained_ = true;
      log_error("cannot accept: " + std::generic_category().message(failed) +
                "; trying again every 100 ms");
    }
    pause_.start(kPause, [this] { wait(); });
    return;
  }
  wait();
}

}  // namespace allot::daemon
