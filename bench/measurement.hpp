// Sample and Measurement: what a family measured, and how it compares.
//
// Used by every family; printed by report.hpp. A measurement compares ours with peers of the same
// run; its ratio is that of the medians.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace allot::bench {

/// Values of the repetitions of one thing. Statistics of an empty sample are 0.
class Sample {
 public:
  Sample() = default;
  explicit Sample(double value) : values_{value} {}

  void add(double value) { values_.push_back(value); }
  /// Each value times `factor`.
  [[nodiscard]] Sample scaled(double factor) const;
  [[nodiscard]] const std::vector<double>& values() const noexcept { return values_; }
  [[nodiscard]] std::size_t count() const noexcept { return values_.size(); }
  [[nodiscard]] double median() const;
  [[nodiscard]] double min() const;
  [[nodiscard]] double max() const;

 private:
  std::vector<double> values_;
};

struct NamedSample {
  std::string name;
  Sample sample;
};

/// One line of the report.
struct Measurement {
  std::string family;
  std::string case_name;
  std::string unit;
  Sample ours;
  std::vector<NamedSample> peers;   // what ours is compared with
  std::vector<NamedSample> beside;  // shown, not compared

  /// The peer with the least median; nullptr if there are none.
  [[nodiscard]] const NamedSample* best_peer() const;
  /// ours / best peer; nothing without peers.
  [[nodiscard]] std::optional<double> ratio() const;
};

}  // namespace allot::bench
