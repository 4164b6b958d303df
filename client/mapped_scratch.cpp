#include <allot/mapped_scratch.hpp>

#include <sys/mman.h>

#include "client/arena_core.hpp"
#include "shared/platform/page_size.hpp"

namespace allot {

namespace {

constexpr std::size_t kMaxMappedBytes = std::size_t{1} << 46;

}  // namespace

MappedScratch::MappedScratch(std::size_t size_bytes, Place place) noexcept {
  if (size_bytes == 0 || size_bytes > kMaxMappedBytes) {
    detail::set_arena_error(Errc::kBadArgument);
    return;
  }
  const std::size_t page = platform::page_size_bytes();
  const std::size_t bytes = platform::round_up_to_page(size_bytes);
  void* const got = ::mmap(nullptr, bytes + 2 * page, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (got == MAP_FAILED) {
    detail::set_arena_error(Errc::kAddressSpace);
    return;
  }
  mapping_ = static_cast<std::byte*>(got);
  data_ = mapping_ + page;
  size_bytes_ = bytes;
  if (::mprotect(data_, bytes, PROT_READ | PROT_WRITE) == 0 &&
      ::madvise(data_, bytes, MADV_DONTDUMP) == 0 && ::madvise(data_, bytes, MADV_DONTFORK) == 0) {
    ArenaOptions options;
    options.name = "mapped scratch";
    arena_ = Arena::fixed(std::span(data_, bytes), options, place);
    if (arena_) return;
  } else {
    detail::set_arena_error(Errc::kMachineFull);
  }
  ::munmap(mapping_, bytes + 2 * page);
  mapping_ = data_ = nullptr;
  size_bytes_ = 0;
}

MappedScratch::~MappedScratch() {
  if (mapping_ == nullptr) return;
  (void)arena_.release();
  ::munmap(mapping_, size_bytes_ + 2 * platform::page_size_bytes());
}

}  // namespace allot
