#include "shared/platform/window.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include <boost/interprocess/exceptions.hpp>

#include "shared/platform/page_size.hpp"
#include "shared/platform/random.hpp"
#include "shared/platform/system_error.hpp"

namespace allot::platform {

namespace {

namespace bip = boost::interprocess;

// Guard space on each side of a reservation: more than any single over- or underflow reaches.
constexpr std::size_t kGuardBytes = std::size_t{16} << 20;
// User addresses on 64-bit Linux with 47 bits; the low 4 GiB stay free for others.
constexpr std::uint64_t kLowestAddress = std::uint64_t{1} << 32;
constexpr std::uint64_t kHighestAddress = std::uint64_t{0x7E00'0000'0000};
constexpr int kRandomPlaceTries = 64;
constexpr int kReserveFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

// What mapped_region asks of a memory object: a descriptor.
class MemfdMapping {
 public:
  explicit MemfdMapping(int fd) noexcept : fd_(fd) {}
  [[nodiscard]] bip::mapping_handle_t get_mapping_handle() const noexcept { return {fd_, false}; }

 private:
  int fd_;
};

void* map_nothing(void* address, std::size_t size_bytes, int more_flags) noexcept {
  return ::mmap(address, size_bytes, PROT_NONE, kReserveFlags | more_flags, -1, 0);
}

// Places `size_bytes` of PROT_NONE at a random page, or where the kernel likes if random places
// are refused (sanitizers, small address spaces).
std::byte* reserve_somewhere(std::size_t size_bytes) noexcept {
  const std::size_t page = page_size_bytes();
  if (size_bytes < kHighestAddress - kLowestAddress) {
    const std::uint64_t places = (kHighestAddress - kLowestAddress - size_bytes) / page;
    for (int tries = 0; tries < kRandomPlaceTries; ++tries) {
      const std::uint64_t address = kLowestAddress + (random_u64() % places) * page;
      // NOLINTNEXTLINE(performance-no-int-to-ptr): an address out of the random generator.
      void* const hint = reinterpret_cast<void*>(address);
      // A hint and no MAP_FIXED_NOREPLACE: ThreadSanitizer turns a place that it forbids into 0.
      void* const got = map_nothing(hint, size_bytes, 0);
      if (got == hint) return static_cast<std::byte*>(got);
      if (got == MAP_FAILED) break;
      ::munmap(got, size_bytes);
    }
  }
  void* const got = map_nothing(nullptr, size_bytes, 0);
  return got == MAP_FAILED ? nullptr : static_cast<std::byte*>(got);
}

// Cuts [start, start + size) down to an aligned base with guards around it; unmaps the rest.
std::byte* trim_to_alignment(std::byte* start, std::size_t total_bytes, std::size_t keep_bytes,
                             std::size_t alignment_bytes) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(start);
  const std::uintptr_t base =
      (address + kGuardBytes + alignment_bytes - 1) & ~(alignment_bytes - 1);
  const std::size_t front = base - kGuardBytes - address;
  const std::size_t used = front + keep_bytes + 2 * kGuardBytes;
  if (front > 0) ::munmap(start, front);
  if (used < total_bytes) ::munmap(start + used, total_bytes - used);
  return start + front + kGuardBytes;
}

// Ends `piece` without unmapping what lies at its place.
void forget(bip::mapped_region&& piece) noexcept {
  alignas(bip::mapped_region) std::array<std::byte, sizeof(bip::mapped_region)> storage;
  new (storage.data()) bip::mapped_region(std::move(piece));  // never destroyed
}

}  // namespace

Window::Window(Window&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)),
      reserved_bytes_(std::exchange(other.reserved_bytes_, 0)),
      file_offset_bytes_(other.file_offset_bytes_),
      access_(other.access_),
      pieces_(std::move(other.pieces_)) {
  other.pieces_.clear();
}

Window& Window::operator=(Window&& other) noexcept {
  if (this != &other) {
    release();
    base_ = std::exchange(other.base_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
    reserved_bytes_ = std::exchange(other.reserved_bytes_, 0);
    file_offset_bytes_ = other.file_offset_bytes_;
    access_ = other.access_;
    pieces_ = std::move(other.pieces_);
    other.pieces_.clear();
  }
  return *this;
}

Window::~Window() { release(); }

void Window::release() noexcept {
  if (base_ == nullptr) return;
  ::munmap(base_ - kGuardBytes, kGuardBytes);
  if (pieces_.empty()) ::munmap(base_, size_bytes_);
  ::munmap(base_ + size_bytes_, reserved_bytes_ - size_bytes_ + kGuardBytes);
  pieces_.clear();
  base_ = nullptr;
}

Expected<Window> Window::reserve(const Options& options) {
  const std::size_t page = page_size_bytes();
  const std::size_t alignment = std::max(options.alignment_bytes, page);
  const std::size_t minimum = std::max(round_up_to_page(options.minimum_bytes), page);
  const std::size_t most = std::max(round_up_to_page(options.reserve_bytes), minimum);
  const auto total = [&](std::size_t size) { return size + 2 * kGuardBytes + alignment - page; };
  const auto half = [&](std::size_t size) { return std::max(round_up_to_page(size / 2), minimum); };
  std::size_t reserved = most;
  std::byte* start = reserve_somewhere(total(reserved));
  while (start == nullptr && reserved > minimum) {
    reserved = half(reserved);
    start = reserve_somewhere(total(reserved));
  }
  if (start != nullptr && reserved < most && reserved > minimum) {
    // Address space is short: some of it is the program's.
    ::munmap(start, total(reserved));
    reserved = half(reserved);
    start = reserve_somewhere(total(reserved));
  }
  if (start == nullptr) {
    return Error(Errc::kAddressSpace, "cannot reserve " + std::to_string(minimum) +
                                          " bytes of address space (see ulimit -v)");
  }
  Window window;
  window.base_ = trim_to_alignment(start, total(reserved), reserved, alignment);
  window.reserved_bytes_ = reserved;
  window.file_offset_bytes_ = options.file_offset_bytes;
  window.access_ = options.access;
  // Best effort: an untouched PROT_NONE range is not dumped anyway.
  ::madvise(window.base_ - kGuardBytes, reserved + 2 * kGuardBytes, MADV_DONTDUMP);
  return window;
}

Expected<void> Window::check_room(std::size_t new_size_bytes) const {
  if (new_size_bytes <= reserved_bytes_) return {};
  return Error(Errc::kAddressSpace, std::to_string(new_size_bytes) + " bytes wanted, " +
                                        std::to_string(reserved_bytes_) + " reserved");
}

Expected<void> Window::extend(const Descriptor& file, std::size_t new_size_bytes) {
  const std::size_t new_size = round_up_to_page(new_size_bytes);
  if (new_size <= size_bytes_) return {};
  if (auto room = check_room(new_size); !room) return room;
  const std::size_t growth = new_size - size_bytes_;
  std::byte* const place = base_ + size_bytes_;
  try {
    pieces_.reserve(pieces_.size() + 1);
    pieces_.emplace_back(
        MemfdMapping(file.get()), access_ == Access::kReadOnly ? bip::read_only : bip::read_write,
        static_cast<bip::offset_t>(file_offset_bytes_ + size_bytes_), growth, place, MAP_FIXED);
  } catch (const bip::interprocess_exception& failure) {
    // Before Linux 6.12 a MAP_FIXED that fails late leaves a hole where the reservation was.
    map_nothing(place, growth, MAP_FIXED_NOREPLACE);
    return Error(std::error_code(failure.get_native_error(), std::generic_category()),
                 "mapping a window of " + std::to_string(growth) + " bytes");
  }
  for (const int advice : {MADV_DONTFORK, MADV_DONTDUMP}) {
    if (::madvise(place, growth, advice) == 0) continue;
    auto failure =
        system_error(advice == MADV_DONTFORK ? "madvise(DONTFORK)" : "madvise(DONTDUMP)");
    // The reservation goes over the piece, so that no gap opens; nothing is left to unmap.
    if (map_nothing(place, growth, MAP_FIXED) != MAP_FAILED) forget(std::move(pieces_.back()));
    pieces_.pop_back();
    return failure;
  }
  size_bytes_ = new_size;
  return {};
}

Expected<void> Window::extend_privately(std::size_t new_size_bytes) {
  const std::size_t new_size = round_up_to_page(new_size_bytes);
  if (new_size <= size_bytes_) return {};
  if (auto room = check_room(new_size); !room) return room;
  std::byte* const place = base_ + size_bytes_;
  const std::size_t more = new_size - size_bytes_;
  if (::mprotect(place, more, PROT_READ | PROT_WRITE) != 0) return system_error("mprotect(window)");
  // Best effort: it is the program's own memory, so that its core dump shows it.
  ::madvise(place, more, MADV_DODUMP);
  size_bytes_ = new_size;
  return {};
}

}  // namespace allot::platform
