// must not compile: no destructor would run: see OwningArena

#include <string>

#include <allot/arena.hpp>

std::string* made(allot::Arena& arena) { return arena.push_array<std::string>(3); }
