// batch: 1,000 objects of 16 to 1,024 B allocated, then freed in another order. An item is one of
// them.

#include <memory>
#include <numeric>
#include <vector>

#include "bench/heap/heaps.hpp"
#include "bench/heap/random.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

namespace {

constexpr std::size_t kObjects = 1000;
constexpr std::size_t kPlans = 8;  // one after the other, that no predictor learns the order

struct Plan {
  std::array<std::uint16_t, kObjects> sizes{};
  std::array<std::uint16_t, kObjects> order{};
};

std::vector<Plan> make_plans() {
  Random random(3);
  std::vector<Plan> plans(kPlans);
  for (Plan& plan : plans) {
    for (auto& size : plan.sizes) size = static_cast<std::uint16_t>(16 + random.below(1009));
    std::iota(plan.order.begin(), plan.order.end(), std::uint16_t{0});
    for (std::size_t i = kObjects; i > 1; --i) {
      std::swap(plan.order[i - 1], plan.order[random.below(i)]);
    }
  }
  return plans;
}

template <class Heap>
void run_batches(benchmark::State& state, Heap& heap) {
  const std::vector<Plan> plans = make_plans();
  const auto blocks = std::make_unique<std::array<void*, kObjects>>();
  std::size_t at = 0;
  for (auto _ : state) {
    const Plan& plan = plans[at++ % kPlans];
    for (std::size_t i = 0; i < kObjects; ++i) (*blocks)[i] = take(heap, plan.sizes[i]);
    for (const std::uint16_t index : plan.order) heap.free((*blocks)[index], plan.sizes[index]);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kObjects));
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  bench::Suite suite(argc, argv);
  suite.add(
      bench::PrivateHeaps{}, "mixed", bench::Clock::kThread,
      []<class Heap>(benchmark::State& state, Heap& heap) { bench::run_batches(state, heap); });
  return suite.run();
}
