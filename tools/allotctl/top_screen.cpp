#include "tools/allotctl/top_screen.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iostream>
#include <utility>

#include "shared/platform/system_error.hpp"
#include "tools/allotctl/drawing/top_text.hpp"
#include "tools/allotctl/terminal.hpp"

namespace allot::ctl {

Expected<void> TopScreen::watch(int descriptor) const {
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(wake_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0) return {};
  return platform::system_error("epoll_ctl");
}

Expected<TopScreen> TopScreen::open() {
  TopScreen screen;
  sigset_t ending;
  sigset_t before;
  ::sigemptyset(&ending);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&ending, signal);
  screen.signals_ = platform::Descriptor(::signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK));
  screen.wake_ = platform::Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (!screen.signals_ || !screen.wake_ || ::sigprocmask(SIG_BLOCK, &ending, &before) != 0) {
    return platform::system_error("signalfd");
  }
  screen.signals_before_ = before;
  if (auto watched = screen.watch(screen.signals_.get()); !watched) return watched.error();
  screen.is_terminal_ = output_is_terminal();
  termios terminal{};
  if (!screen.is_terminal_ || ::tcgetattr(STDIN_FILENO, &terminal) != 0) return screen;
  screen.terminal_before_ = terminal;
  terminal.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  terminal.c_cc[VMIN] = 0;  // a read takes what is there
  terminal.c_cc[VTIME] = 0;
  if (::tcsetattr(STDIN_FILENO, TCSANOW, &terminal) != 0) {
    return platform::system_error("tcsetattr");
  }
  if (auto watched = screen.watch(STDIN_FILENO); !watched) return watched.error();
  return screen;
}

TopScreen::TopScreen(TopScreen&& other) noexcept
    : is_terminal_(other.is_terminal_),
      terminal_before_(std::exchange(other.terminal_before_, std::nullopt)),
      signals_before_(std::exchange(other.signals_before_, std::nullopt)),
      signals_(std::move(other.signals_)),
      wake_(std::move(other.wake_)),
      ended_(other.ended_) {}

TopScreen::~TopScreen() {
  if (terminal_before_) ::tcsetattr(STDIN_FILENO, TCSANOW, &*terminal_before_);
  if (!signals_before_) return;
  // A signal that came meanwhile was an event: it must not end the program now.
  signalfd_siginfo taken{};
  while (::read(signals_.get(), &taken, sizeof(taken)) > 0) {
  }
  ::sigprocmask(SIG_SETMASK, &*signals_before_, nullptr);
}

void TopScreen::show(const std::string& text) const {
  if (is_terminal_) {
    std::cout << "\x1b[H\x1b[2J" << cut_lines(text, output_width());
  } else {
    std::cout << text << '\n';
  }
  std::cout.flush();
}

bool TopScreen::take_events() {
  signalfd_siginfo signal{};
  if (::read(signals_.get(), &signal, sizeof(signal)) > 0) ended_ = true;
  pollfd keyboard{STDIN_FILENO, POLLIN, 0};
  if (ended_ || !terminal_before_ || ::poll(&keyboard, 1, 0) <= 0) return ended_;
  std::array<char, 64> keys{};
  const ssize_t size = ::read(STDIN_FILENO, keys.data(), keys.size());
  // A terminal that is readable and has nothing has gone.
  if (size <= 0 && errno != EINTR) ended_ = true;
  for (ssize_t i = 0; i < size; ++i) {
    const char key = keys.at(static_cast<std::size_t>(i));
    if (key == 'q' || key == 'Q') ended_ = true;
  }
  return ended_;
}

bool TopScreen::wait(std::chrono::milliseconds time) {
  pollfd waiting{wake_.get(), POLLIN, 0};
  (void)::poll(&waiting, 1, static_cast<int>(time.count()));
  return take_events();
}

}  // namespace allot::ctl
