// A 128-bit unsigned integer, for products of two 64-bit ones. Both compilers have it on every
// 64-bit target, outside ISO C++.
#pragma once

namespace allot::detail {

__extension__ using Wide = unsigned __int128;

}  // namespace allot::detail
