#include "daemon/control_connection.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

namespace allot::daemon {

namespace {

constexpr std::size_t kReadBytes = 4096;
constexpr int kMostDiscards = 1024;  // more than a socket holds

}  // namespace

ControlConnection::ControlConnection(boost::asio::io_context& context, Timers& timers,
                                     platform::Descriptor socket, Options options)
    : context_(context), socket_(context), options_(std::move(options)), deadline_(timers) {
  boost::system::error_code failed;
  socket_.assign(boost::asio::local::stream_protocol(), socket.get(), failed);
  if (!failed) (void)socket.release();
}

void ControlConnection::start() {
  if (socket_.is_open()) return take_line();
  if (const auto closed = std::move(options_.closed))
    closed();  // the event loop refuses the socket
}

// Looks for a whole line in what was read; reads on if there is none.
void ControlConnection::take_line() {
  const std::size_t end = input_.find('\n');
  if (end == std::string::npos && input_.size() <= kMaxControlLineBytes) return read();
  last_ = end == std::string::npos;  // too long: the request says so, nothing after it is taken
  const std::string_view line = std::string_view(input_).substr(0, end);
  request_ = ControlRequest::parse(line, options_.peer, options_.administrator, options_.control);
  input_.erase(0, last_ ? input_.size() : end + 1);
  step();
}

void ControlConnection::read() {
  const auto& limits = options_.limits;
  if (!deadline_.is_running()) {
    deadline_.start(std::chrono::milliseconds(input_.empty() ? limits.control_idle_ms
                                                             : limits.control_deadline_ms),
                    [this] { lose(); });
  }
  const std::size_t had = input_.size();
  const std::size_t room = std::min(kReadBytes, kMaxControlLineBytes + 1 - had);
  input_.resize(had + room);
  socket_.async_read_some(
      boost::asio::buffer(input_.data() + had, room),
      [self = shared_from_this(), had](const boost::system::error_code& failed, std::size_t got) {
        self->input_.resize(had + got);
        if (failed) return self->lose();
        if (had == 0) self->deadline_.cancel();  // the first bytes of a line: its deadline begins
        self->take_line();
      });
}

void ControlConnection::step() {
  deadline_.cancel();
  std::optional<std::string> answer = request_->step();
  if (answer) {
    request_.reset();
    return write(std::move(*answer));
  }
  boost::asio::post(context_, [self = shared_from_this()] {
    if (self->socket_.is_open()) self->step();
  });
}

void ControlConnection::write(std::string answer) {
  output_ = std::move(answer);
  deadline_.start(std::chrono::milliseconds(options_.limits.control_deadline_ms),
                  [this] { lose(); });
  boost::asio::async_write(
      socket_, boost::asio::buffer(output_),
      [self = shared_from_this()](const boost::system::error_code& failed, std::size_t /*sent*/) {
        self->deadline_.cancel();
        if (!failed && !self->last_) return self->take_line();
        if (!failed) self->discard_input();
        self->lose();
      });
}

// What is unread when a socket is closed costs the peer the answer that it has not read yet.
void ControlConnection::discard_input() {
  boost::system::error_code failed;
  socket_.shutdown(boost::asio::socket_base::shutdown_receive, failed);
  std::array<char, kReadBytes> unread;
  for (int i = 0; i < kMostDiscards && !failed; ++i) {
    socket_.read_some(boost::asio::buffer(unread), failed);
  }
}

void ControlConnection::close() {
  deadline_.cancel();
  request_.reset();
  options_.closed = nullptr;
  boost::system::error_code ignored;
  socket_.close(ignored);
}

void ControlConnection::lose() {
  if (!socket_.is_open()) return;
  const auto self = shared_from_this();
  const std::function<void()> closed = std::move(options_.closed);
  close();
  if (closed) closed();
}

}  // namespace allot::daemon
