// Presence: the mapping that tells the kernel, and through it the daemon, that this image lives.
//
// Mapped writable before anything else of a session and unmapped after everything else: while any
// image maps the file, the daemon's attempt to seal it against writing fails. One page of a file of
// length zero, so no store can pin it; never touched.
#pragma once

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot {

class Presence {
 public:
  Presence() noexcept = default;
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;
  ~Presence() { unmap(); }

  /// Maps `file`. kUnknownSession if the daemon sealed it already: we are taken for dead.
  [[nodiscard]] Expected<void> map(const platform::Descriptor& file);
  void unmap() noexcept;
  /// In a forked child, which has no mapping: forgets it.
  void forget() noexcept { page_ = nullptr; }

 private:
  void* page_ = nullptr;
};

}  // namespace allot
