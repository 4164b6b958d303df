// TopScreen: the terminal of `allotctl top`, and what ends it: q, Ctrl-C, SIGTERM.
//
// While it lives, signals that end the program are events, and where standard input and output are
// a terminal, keys are read one by one and not shown. Its end puts everything back. One at a time,
// one thread.
#pragma once

#include <termios.h>

#include <chrono>
#include <csignal>
#include <optional>
#include <string>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::ctl {

class TopScreen {
 public:
  [[nodiscard]] static Expected<TopScreen> open();
  TopScreen(TopScreen&& other) noexcept;
  TopScreen& operator=(TopScreen&&) = delete;
  TopScreen(const TopScreen&) = delete;
  TopScreen& operator=(const TopScreen&) = delete;
  ~TopScreen();

  /// Prints a frame: on a terminal in place of the last one, elsewhere behind it.
  void show(const std::string& text) const;

  /// Readable when there may be an event: take_events() says whether it was one.
  [[nodiscard]] int wake_descriptor() const noexcept { return wake_.get(); }
  /// True if it is time to end.
  [[nodiscard]] bool take_events();
  /// Waits so long, or until an event; true if it is time to end.
  [[nodiscard]] bool wait(std::chrono::milliseconds time);

 private:
  TopScreen() = default;
  [[nodiscard]] Expected<void> watch(int descriptor) const;

  bool is_terminal_ = false;
  std::optional<termios> terminal_before_;
  std::optional<sigset_t> signals_before_;
  platform::Descriptor signals_;
  platform::Descriptor wake_;
  bool ended_ = false;
};

}  // namespace allot::ctl
