// BlockSource: where an arena gets its blocks: pages, a region, another arena.
//
// Used by ArenaCore's cold paths only, in the thread that uses the arena. An Extent belongs to the
// arena that acquired it until give_back(). No call throws; a failed one gives an Extent without
// base and says why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <allot/arena_options.hpp>

namespace allot::detail {

struct Extent {
  std::byte* base = nullptr;
  std::size_t bytes = 0;
  bool zeroed = false;
  void* token = nullptr;  // the source's own
};

/// What an arena says of itself to its source.
struct ArenaReport {
  ArenaKind kind = ArenaKind::kFixed;
  std::string_view name;
  Place made_at;
  std::uint64_t used_bytes = 0;
  std::uint64_t committed_bytes = 0;
  std::uint64_t reserved_bytes = 0;
};

class BlockSource {
 public:
  BlockSource() = default;
  BlockSource(const BlockSource&) = delete;
  BlockSource& operator=(const BlockSource&) = delete;
  virtual ~BlockSource() = default;

  /// At least `bytes` of memory, aligned to `alignment` or as far as the source can.
  [[nodiscard]] virtual Extent acquire(std::size_t bytes, std::size_t alignment,
                                       Errc& why) noexcept = 0;
  /// `bytes` of address space, at least `minimum_bytes`; nothing may be touched before commit().
  [[nodiscard]] virtual Extent reserve(std::size_t bytes, std::size_t minimum_bytes,
                                       Errc& why) noexcept;
  /// Makes pages of a reservation usable; they are zero. With `populate` the kernel maps them now.
  [[nodiscard]] virtual Errc commit(std::byte* base, std::size_t bytes, bool populate) noexcept;
  /// Takes the end of what is usable of a reservation back, down to `base`, or as much of its
  /// `bytes` as it can; commit() makes it usable and zero again. Returns how much; what is left
  /// stays as it is.
  [[nodiscard]] virtual std::size_t decommit(std::byte* base, std::size_t bytes) noexcept;
  virtual void give_back(const Extent& extent) noexcept = 0;
  /// True if `bytes` acquired now would lie right behind `end`.
  [[nodiscard]] virtual bool continues_at(std::uintptr_t end, std::size_t bytes) const noexcept;
  /// Told when the arena was made, grew, was cleared, shrunk or popped across blocks.
  virtual void report(const ArenaReport& arena) noexcept;
  /// Unit of commits and of blocks.
  [[nodiscard]] virtual std::size_t page_bytes() const noexcept = 0;
};

/// The source of `options`; nullptr and why if there can be none. `reserves`: of a virtual kind.
[[nodiscard]] std::unique_ptr<BlockSource> make_source(const ArenaOptions& options, bool reserves,
                                                       Errc& why);

/// Pages of this process. `page_bytes` is a power of two, at least the machine's page.
[[nodiscard]] std::unique_ptr<BlockSource> make_page_source(std::size_t page_bytes);

}  // namespace allot::detail
