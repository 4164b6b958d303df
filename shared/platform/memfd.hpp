// Memory files: made private, sealed, committed and punched.
//
// The daemon makes them; clients only map what they are handed. Mode 0600 at once, since the
// default 0666 lets any user re-open a read-only descriptor for writing through /proc.
#pragma once

#include <cstdint>
#include <string>

#include <allot/expected.hpp>

#include "shared/platform/descriptor.hpp"

namespace allot::platform {

/// Makes a memory file of `size_bytes` (holes only: no memory is used yet), mode 0600,
/// close-on-exec, not executable where the kernel can say so (6.3), sealed against shrinking,
/// growing and further seals. `name` shows in /proc and has no other meaning.
[[nodiscard]] Expected<Descriptor> make_sealed_memfd(const std::string& name,
                                                     std::uint64_t size_bytes);

/// Makes a presence file: length zero, mode 0600, sealed against shrinking and growing only, so
/// that try_seal_presence() can tell whether any process still maps it.
[[nodiscard]] Expected<Descriptor> make_presence_file(const std::string& name);

enum class PresenceState : std::uint8_t { kMapped, kGone, kTampered };

/// Tries to seal the presence file against writing. kGone: no image maps it and none ever can
/// again (idempotent). kMapped: some image still does. kTampered: somebody sealed the seals.
[[nodiscard]] PresenceState try_seal_presence(const Descriptor& presence) noexcept;

/// True if `file` carries every seal that make_sealed_memfd() sets.
[[nodiscard]] bool is_sealed_memfd(const Descriptor& file) noexcept;

/// True for a memory file of whatever kind, and for no pidfd, socket or pipe.
[[nodiscard]] bool is_memory_file(const Descriptor& file) noexcept;

/// A second descriptor of the same file, opened read-only through /proc/self/fd.
[[nodiscard]] Expected<Descriptor> reopen_read_only(const Descriptor& file);

/// Commits pages for [offset, offset + length): later touches cannot fail. ENOSPC or ENOMEM if
/// the machine has none.
[[nodiscard]] Expected<void> commit_range(const Descriptor& file, std::uint64_t offset_bytes,
                                          std::uint64_t length_bytes);

/// Gives the pages wholly inside [offset, offset + length) back; every mapping reads zeros after.
[[nodiscard]] Expected<void> punch_range(const Descriptor& file, std::uint64_t offset_bytes,
                                         std::uint64_t length_bytes);

/// How long the file is; 0 if that cannot be told.
[[nodiscard]] std::uint64_t file_bytes(const Descriptor& file) noexcept;

/// Bytes of memory the file holds now (st_blocks).
[[nodiscard]] std::uint64_t committed_bytes(const Descriptor& file) noexcept;

}  // namespace allot::platform
