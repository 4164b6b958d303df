#include "client/guarded_pages.hpp"

#include <sys/mman.h>

#include <algorithm>

#include "shared/platform/page_size.hpp"

namespace allot::detail {

namespace {

constexpr std::size_t kStepBytes = std::size_t{64} << 10;

}  // namespace

GuardedPages::GuardedPages(std::size_t bytes, std::size_t minimum_bytes) noexcept {
  const std::size_t page = platform::page_size_bytes();
  const std::size_t minimum = platform::round_up_to_page(minimum_bytes);
  std::size_t wanted = std::max(platform::round_up_to_page(bytes), minimum);
  for (;;) {
    void* const got = ::mmap(nullptr, wanted + 2 * page, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got != MAP_FAILED) {
      base_ = static_cast<std::byte*>(got) + page;
      reserved_ = wanted;
      return;
    }
    if (wanted == minimum) return;
    wanted = std::max(platform::round_up_to_page(wanted / 2), minimum);
  }
}

GuardedPages::~GuardedPages() {
  if (base_ == nullptr) return;
  const std::size_t page = platform::page_size_bytes();
  ::munmap(base_ - page, reserved_ + 2 * page);
}

bool GuardedPages::commit(std::size_t bytes) noexcept {
  if (bytes <= committed_) return true;
  if (bytes > reserved_) return false;
  const std::size_t least = platform::round_up_to_page(bytes);
  const std::size_t roomy = platform::round_up_to_page(
      std::max(least, committed_ + std::max(kStepBytes, committed_ / 4)));
  for (const std::size_t end : {std::min(roomy, reserved_), least}) {
    if (::mprotect(base_ + committed_, end - committed_, PROT_READ | PROT_WRITE) == 0) {
      committed_ = end;
      return true;
    }
  }
  return false;
}

}  // namespace allot::detail
