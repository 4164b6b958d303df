// must not compile: what stays in the arena has nobody to destroy it

#include <string>

#include <allot/return_scratch.hpp>

bool made(allot::Arena& arena) {
  return static_cast<bool>(allot::ReturnScratch<std::string>(arena));
}
