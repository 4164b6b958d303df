// must compile

#include <string>

#include <boost/container/vector.hpp>

#include <allot/offset_allocator.hpp>
#include <allot/return_scratch.hpp>
#include <allot/shared_vlarray.hpp>

using Numbers = boost::container::vector<int, allot::OffsetAllocator<int>>;

int* made(allot::Arena& arena) { return arena.make<int>(1); }
int* pushed(allot::Arena& arena) { return arena.push_array<int>(3); }
std::string* owned(allot::OwningArena& arena) { return arena.make<std::string>("destroyed"); }
allot::SharedVlArray<int> array() { return {}; }
bool returned(allot::Arena& arena) { return static_cast<bool>(allot::ReturnScratch<int>(arena)); }
int* shared(allot::SharedArena& arena) { return arena.make<int>(1); }
Numbers* lent(allot::OffsetArena& lent) { return lent.make<Numbers>(lent.allocator<int>()); }
