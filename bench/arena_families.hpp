// Parts of the family `arena` that have files of their own.
#pragma once

#include <vector>

#include "bench/family.hpp"

namespace allot::bench {

void measure_shared_pushes(const Effort& effort, std::vector<Measurement>& measurements);

}  // namespace allot::bench
