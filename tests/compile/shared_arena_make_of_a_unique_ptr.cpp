// must not compile: a shared arena holds plain bytes

#include <memory>

#include <allot/shared_arena.hpp>

std::unique_ptr<int>* made(allot::SharedArena& arena) { return arena.make<std::unique_ptr<int>>(); }
