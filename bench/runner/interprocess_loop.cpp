// The peer in shared memory: Boost.Interprocess, whose default algorithm is rbtree_best_fit.

#include <unistd.h>

#include <boost/interprocess/managed_shared_memory.hpp>

#include "bench/runner/loop.hpp"

namespace allot::bench {

namespace {

namespace interprocess = boost::interprocess;

constexpr std::size_t kSegmentBytes = std::size_t{64} << 20;

// The name is gone as soon as the segment is mapped, so that a killed runner leaves nothing.
interprocess::managed_shared_memory make_segment() {
  const std::string name = "allot_bench." + std::to_string(getpid());
  interprocess::shared_memory_object::remove(name.c_str());
  interprocess::managed_shared_memory segment(interprocess::create_only, name.c_str(),
                                              kSegmentBytes);
  interprocess::shared_memory_object::remove(name.c_str());
  return segment;
}

class InterprocessLoop final : public Loop {
 public:
  void run(std::uint64_t pairs, std::size_t size_bytes) override {
    auto& segment = segment_;
    run_pairs(
        pairs, [&segment, size_bytes] { return segment.allocate(size_bytes, std::nothrow); },
        [&segment](void* block) { segment.deallocate(block); });
  }

  [[nodiscard]] std::string served_by() const override { return "Boost.Interprocess"; }

 private:
  interprocess::managed_shared_memory segment_ = make_segment();
};

}  // namespace

std::unique_ptr<Loop> make_interprocess_loop() { return std::make_unique<InterprocessLoop>(); }

}  // namespace allot::bench
