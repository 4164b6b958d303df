#include "tests/support/guarded_bytes.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#include "shared/platform/page_size.hpp"

namespace allot::test {

namespace {

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::abort();
}

}  // namespace

GuardedBytes::GuardedBytes(std::size_t bytes) : reserved_bytes_(platform::round_up_to_page(bytes)) {
  const std::size_t page = platform::page_size_bytes();
  void* const start = ::mmap(nullptr, reserved_bytes_ + 2 * page, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) give_up("mmap");
  base_ = static_cast<std::byte*>(start) + page;
}

GuardedBytes::~GuardedBytes() {
  const std::size_t page = platform::page_size_bytes();
  ::munmap(base_ - page, reserved_bytes_ + 2 * page);
}

void GuardedBytes::open(std::size_t bytes) {
  const std::size_t wanted = platform::round_up_to_page(bytes);
  if (wanted <= open_bytes_) return;
  if (wanted > reserved_bytes_) std::abort();
  if (::mprotect(base_ + open_bytes_, wanted - open_bytes_, PROT_READ | PROT_WRITE) != 0) {
    give_up("mprotect");
  }
  open_bytes_ = wanted;
}

}  // namespace allot::test
