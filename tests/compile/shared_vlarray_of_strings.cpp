// must not compile: an array in a region holds plain bytes

#include <string>

#include <allot/shared_vlarray.hpp>

allot::SharedVlArray<std::string> made() { return {}; }
