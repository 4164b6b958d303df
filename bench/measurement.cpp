#include "bench/measurement.hpp"

#include <algorithm>

namespace allot::bench {

Sample Sample::scaled(double factor) const {
  Sample scaled;
  for (const double value : values_) scaled.add(value * factor);
  return scaled;
}

double Sample::median() const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double Sample::min() const {
  return values_.empty() ? 0 : *std::min_element(values_.begin(), values_.end());
}

double Sample::max() const {
  return values_.empty() ? 0 : *std::max_element(values_.begin(), values_.end());
}

const NamedSample* Measurement::best_peer() const {
  const auto best = std::min_element(peers.begin(), peers.end(), [](const auto& a, const auto& b) {
    return a.sample.median() < b.sample.median();
  });
  return best == peers.end() ? nullptr : &*best;
}

std::optional<double> Measurement::ratio() const {
  const NamedSample* const best = best_peer();
  if (best == nullptr || best->sample.median() <= 0) return std::nullopt;
  return ours.median() / best->sample.median();
}

}  // namespace allot::bench
