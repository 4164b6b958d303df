// Descriptor: owns one file descriptor and closes it once.
//
// Used by both sides. Move-only; a moved-from or default one owns nothing. Not thread-safe by
// itself. Every descriptor this project makes is close-on-exec from the start.
#pragma once

#include <unistd.h>

#include <utility>

namespace allot::platform {

class Descriptor {
 public:
  Descriptor() noexcept = default;
  /// Takes ownership of `fd`; -1 owns nothing.
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { reset(); }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  void reset() noexcept {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace allot::platform
