#include "shared/platform/wipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "shared/platform/descriptor.hpp"

namespace allot::platform {
namespace {

constexpr std::byte kFill{0x5A};
constexpr std::size_t kMarkerBytes = std::size_t{16} * 1024;

TEST(Wipe, ZeroesExactlyTheRange) {
  for (const std::size_t size : {0U, 1U, 7U, 8U, 63U, 64U, 65U, 4095U, 4096U, 1U << 20U}) {
    for (const std::size_t offset : {1U, 3U, 8U}) {
      std::vector<std::byte> bytes(offset + size + 9, kFill);
      wipe(bytes.data() + offset, size);
      const auto first = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
      const auto last = first + static_cast<std::ptrdiff_t>(size);
      const auto is_fill = [](std::byte byte) { return byte == kFill; };
      EXPECT_TRUE(std::all_of(bytes.begin(), first, is_fill)) << size << " at " << offset;
      EXPECT_EQ(std::count(first, last, std::byte{0}), static_cast<std::ptrdiff_t>(size));
      EXPECT_TRUE(std::all_of(last, bytes.end(), is_fill)) << size << " at " << offset;
    }
  }
}

// Where leave_marker() had its marker.
std::uintptr_t marker_address = 0;

// Leaves a marker in its dead frame, or wipes it.
[[gnu::noinline]] void leave_marker(bool wiped) {
  std::array<volatile std::byte, kMarkerBytes> secret{};
  for (volatile std::byte& byte : secret) byte = kFill;
  if (wiped) wipe(const_cast<std::byte*>(secret.data()), secret.size());
  marker_address = reinterpret_cast<std::uintptr_t>(secret.data());
}

// How much of the marker is still there, read as a stranger would; -1 if it cannot be read.
std::ptrdiff_t marker_bytes_left() {
  static std::array<std::byte, kMarkerBytes> copy;
  const Descriptor memory(::open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
  const auto got =
      ::pread(memory.get(), copy.data(), copy.size(), static_cast<off_t>(marker_address));
  if (got != static_cast<ssize_t>(copy.size())) return -1;
  return std::count(copy.begin(), copy.end(), kFill);
}

TEST(Wipe, IsDoneEvenIfNobodyLooksAfterwards) {
  // A few bytes may look like the marker: the frames of functions called since.
  constexpr auto kFew = static_cast<std::ptrdiff_t>(kMarkerBytes / 64);
  leave_marker(true);
  const std::ptrdiff_t wiped = marker_bytes_left();
  EXPECT_GE(wiped, 0);
  EXPECT_LT(wiped, kFew);
  // Without the wipe the most of it is still there: the test can see what it looks for.
  leave_marker(false);
  EXPECT_GT(marker_bytes_left(), 32 * kFew);
}

}  // namespace
}  // namespace allot::platform
