// must not compile: no destructor would run: see OwningArena

#include <string>

#include <allot/arena.hpp>

std::string* made(allot::Arena& arena) { return arena.make<std::string>("lost"); }
