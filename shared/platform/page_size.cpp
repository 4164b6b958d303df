#include "shared/platform/page_size.hpp"

#include <unistd.h>

namespace allot::platform {

std::size_t page_size_bytes() noexcept {
  static const auto kBytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return kBytes;
}

}  // namespace allot::platform
