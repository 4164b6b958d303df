// A picture of an arena, for people: its blocks, what is used of them and what is committed.
#pragma once

#include <cstddef>
#include <string>

#include <allot/arena.hpp>

namespace allot {

/// One line a block, oldest first, blocks of one push marked so; the longest has `columns`
/// characters:
///   # used   . committed, not used   - address space only
/// A caption says how much that is. Cost: O(blocks); allocates from the process's heap.
[[nodiscard]] ALLOT_EXPORT std::string draw(const Arena& arena, std::size_t columns = 60);

}  // namespace allot
