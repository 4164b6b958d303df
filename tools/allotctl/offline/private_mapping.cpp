#include "tools/allotctl/offline/private_mapping.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "shared/platform/system_error.hpp"

namespace allot::ctl {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{64} << 10;

Expected<std::byte*> map_memory(int file, std::size_t size_bytes) {
  const int flags = MAP_PRIVATE | MAP_NORESERVE | (file < 0 ? MAP_ANONYMOUS : 0);
  void* const address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, flags, file, 0);
  if (address == MAP_FAILED) return platform::system_error("mmap");
  return static_cast<std::byte*>(address);
}

// Calls `visit(offset, bytes)` for each piece of the file that is no hole.
Expected<void> read_pieces(
    const platform::Descriptor& file, std::size_t size_bytes,
    const std::function<void(std::size_t, std::span<const std::byte>)>& visit) {
  std::vector<std::byte> piece(kPieceBytes);
  for (std::size_t at = 0; at < size_bytes;) {
    const off_t data = ::lseek(file.get(), static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) return {};  // only a hole is left
    if (data < 0) return platform::system_error("lseek");
    const off_t hole = ::lseek(file.get(), data, SEEK_HOLE);
    if (hole < 0) return platform::system_error("lseek");
    at = static_cast<std::size_t>(data);
    const std::size_t end = std::min(static_cast<std::size_t>(hole), size_bytes);
    while (at < end) {
      const ssize_t got = ::pread(file.get(), piece.data(), std::min(kPieceBytes, end - at),
                                  static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return platform::system_error("pread");
      if (got == 0) return {};
      visit(at, std::span(piece).first(static_cast<std::size_t>(got)));
      at += static_cast<std::size_t>(got);
    }
  }
  return {};
}

}  // namespace

PrivateMapping::PrivateMapping(PrivateMapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

PrivateMapping& PrivateMapping::operator=(PrivateMapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

PrivateMapping::~PrivateMapping() {
  if (base_ != nullptr) ::munmap(base_, size_bytes_);
}

Expected<PrivateMapping> PrivateMapping::copy(const platform::Descriptor& file,
                                              std::size_t size_bytes) {
  const auto base = map_memory(-1, size_bytes);
  if (!base) return base.error();
  PrivateMapping out(*base, size_bytes);
  const auto read = read_pieces(file, size_bytes, [&](std::size_t at, auto bytes) {
    std::memcpy(out.base_ + at, bytes.data(), bytes.size());
  });
  if (!read) return read.error();
  return out;
}

Expected<PrivateMapping> PrivateMapping::map(const platform::Descriptor& file,
                                             std::size_t size_bytes) {
  const auto base = map_memory(file.get(), size_bytes);
  if (!base) return base.error();
  return PrivateMapping(*base, size_bytes);
}

// FNV-1a; a hole and zeros are the same.
Expected<std::uint64_t> checksum(const platform::Descriptor& file, std::size_t size_bytes) {
  constexpr std::uint64_t kPrime = 1099511628211ULL;
  std::uint64_t sum = 14695981039346656037ULL;
  const auto read = read_pieces(file, size_bytes, [&](std::size_t at, auto bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] == std::byte{0}) continue;
      sum = (sum ^ (at + i)) * kPrime;
      sum = (sum ^ std::to_integer<std::uint64_t>(bytes[i])) * kPrime;
    }
  });
  if (!read) return read.error();
  return sum;
}

}  // namespace allot::ctl
