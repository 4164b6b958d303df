// must not compile: not known to store offset pointers only

#include <forward_list>

#include <allot/offset_allocator.hpp>

using List = std::forward_list<int, allot::OffsetAllocator<int>>;

List* made(allot::OffsetArena& lent) { return lent.make<List>(lent.allocator<int>()); }
