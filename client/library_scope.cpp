#include "client/library_scope.hpp"

#include <cstring>

#include <allot/detail/local_heap.hpp>

#include "client/heap_table.hpp"

namespace allot {

namespace {

constinit thread_local unsigned depth = 0;
// Blocks to be freed; each begins with the address of the next.
constinit thread_local void* put_aside = nullptr;

void free_put_aside() noexcept {
  while (put_aside != nullptr) {
    void* const block = put_aside;
    std::memcpy(&put_aside, block, sizeof(put_aside));
    detail::free_local(block);
  }
}

}  // namespace

bool LibraryScope::is_inside() noexcept { return depth > 0; }

void LibraryScope::enter() noexcept {
  if (depth++ == 0) detail::tls_new_heap = heap_table::none();
}

void LibraryScope::leave() noexcept {
  // Still inside: what is freed here may put further blocks aside.
  if (depth == 1) free_put_aside();
  if (--depth == 0) heap_changed();
}

void LibraryScope::free_later(void* block) noexcept {
  std::memcpy(block, &put_aside, sizeof(put_aside));
  put_aside = block;
}

void LibraryScope::heap_changed() noexcept {
  if (depth == 0) detail::tls_new_heap = detail::tls_heaps.at(detail::kLocalSlot);
}

}  // namespace allot
