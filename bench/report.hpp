// Reports: measurements as a table for people and as JSON for programs.
#pragma once

#include <ostream>
#include <vector>

#include "bench/measurement.hpp"

namespace allot::bench {

/// An array of objects, one a line (docs/benchmarks.md lists the fields).
void write_json(std::ostream& out, const std::vector<Measurement>& measurements);

void write_table(std::ostream& out, const std::vector<Measurement>& measurements);

}  // namespace allot::bench
