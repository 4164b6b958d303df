#include "tools/allotctl/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace allot::ctl {

namespace {

constexpr std::size_t kDefaultWidth = 80;

std::string_view environment(const char* name) noexcept {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

}  // namespace

bool output_is_terminal() noexcept { return ::isatty(STDOUT_FILENO) == 1; }

std::size_t output_width() noexcept {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultWidth;
  return size.ws_col;
}

bool wants_color(ColorMode mode) noexcept {
  if (mode != ColorMode::kAuto) return mode == ColorMode::kAlways;
  return output_is_terminal() && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

}  // namespace allot::ctl
