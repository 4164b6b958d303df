#include "client/presence.hpp"

#include <sys/mman.h>

#include <utility>

#include "shared/platform/page_size.hpp"
#include "shared/platform/system_error.hpp"

namespace allot {

Expected<void> Presence::map(const platform::Descriptor& file) {
  void* const page = ::mmap(nullptr, platform::page_size_bytes(), PROT_READ | PROT_WRITE,
                            MAP_SHARED, file.get(), 0);
  if (page == MAP_FAILED) {
    if (errno == EPERM) return Error(Errc::kUnknownSession, "the daemon sealed the presence file");
    return platform::system_error("mmap(presence)");
  }
  page_ = page;
  if (::madvise(page, platform::page_size_bytes(), MADV_DONTFORK) != 0) {
    return platform::system_error("madvise(presence, DONTFORK)");
  }
  return {};
}

void Presence::unmap() noexcept {
  if (page_ != nullptr) ::munmap(std::exchange(page_, nullptr), platform::page_size_bytes());
}

}  // namespace allot
