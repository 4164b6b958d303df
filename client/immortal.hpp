// Immortal<T>: an object that is never destroyed, for threads that end after static destructors.
//
// Made in place, and not by operator new, which may be this library's own and need the object.
#pragma once

#include <array>
#include <cstddef>
#include <new>

namespace allot {

template <class T>
class Immortal {
 public:
  Immortal() noexcept(noexcept(T())) { new (storage_.data()) T(); }
  Immortal(const Immortal&) = delete;
  Immortal& operator=(const Immortal&) = delete;
  ~Immortal() = default;

  [[nodiscard]] T& get() noexcept { return *std::launder(reinterpret_cast<T*>(storage_.data())); }

 private:
  alignas(T) std::array<std::byte, sizeof(T)> storage_;
};

}  // namespace allot
