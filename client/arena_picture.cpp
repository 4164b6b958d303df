#include <allot/arena_picture.hpp>

#include <algorithm>
#include <utility>
#include <vector>

#include "client/arena_core.hpp"

namespace allot {

namespace detail {

std::vector<BlockExtent> ArenaCore::block_extents(const ArenaBump& bump) const {
  std::vector<BlockExtent> extents;
  const auto add = [&](const ArenaBlock& block, std::uintptr_t cursor, bool lone) {
    extents.push_back({cursor - block.begin, block.usable_end() - block.begin,
                       block.end - block.begin, lone ? block.first_offset() : cursor - block.origin,
                       lone});
  };
  for (const ArenaBlock* block = current_; block != nullptr; block = block->older) {
    add(*block, block == current_ ? bump.cursor : block->cursor, false);
  }
  for (const ArenaBlock* block = lone_; block != nullptr; block = block->older) {
    add(*block, block->cursor, true);
  }
  // In the order of what lies in them.
  std::stable_sort(extents.begin(), extents.end(), [](const BlockExtent& a, const BlockExtent& b) {
    return a.last_offset < b.last_offset;
  });
  return extents;
}

}  // namespace detail

namespace {

std::string size_text(std::uint64_t bytes) {
  const char* unit = " B";
  for (const char* const larger : {" KiB", " MiB", " GiB"}) {
    if (bytes < 1024 || bytes % 1024 != 0) break;
    bytes /= 1024;
    unit = larger;
  }
  return std::to_string(bytes) + unit;
}

}  // namespace

std::string draw(const Arena& arena, std::size_t columns) {
  const detail::ArenaEntry entry(arena);
  if (!entry) return "no arena\n";
  const auto extents = entry.core()->block_extents(entry.bump());
  std::uint64_t longest = 1;
  for (const auto& extent : extents) longest = std::max(longest, extent.reserved);
  // Rounded up, so that what there is of is seen.
  const auto width = [&](std::uint64_t bytes) {
    return static_cast<std::size_t>((bytes * std::max<std::uint64_t>(columns, 1) + longest - 1) /
                                    longest);
  };
  std::string out(entry.core()->name());
  out += ": " + std::string(describe(entry.core()->kind())) + ", " +
         size_text(detail::ArenaCore::used(entry.bump())) + " used, " +
         size_text(entry.core()->committed()) + " committed, " +
         size_text(entry.core()->reserved()) + " reserved\n";
  for (const auto& extent : extents) {
    const std::size_t used = width(extent.used);
    const std::size_t committed = std::max(width(extent.committed), used);
    const std::size_t reserved = std::max(width(extent.reserved), committed);
    out += '[' + std::string(used, '#') + std::string(committed - used, '.') +
           std::string(reserved - committed, '-') + ']' + (extent.lone ? " one push" : "") + '\n';
  }
  return out;
}

}  // namespace allot
