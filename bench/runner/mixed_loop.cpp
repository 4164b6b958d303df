#include "bench/runner/mixed_loop.hpp"

#include <sys/mman.h>

#include <cmath>
#include <cstdlib>
#include <new>
#include <random>
#include <span>

#include <boost/interprocess/managed_external_buffer.hpp>

#include <allot/fit_heap.hpp>

namespace allot::bench {

namespace {

constexpr std::size_t kLiveBlocks = 10'000;
constexpr std::size_t kChurnPairs = 5 * kLiveBlocks;
constexpr std::size_t kSteps = std::size_t{1} << 16;  // drawn in advance, then repeated
constexpr std::size_t kLeastBytes = 16;
constexpr std::size_t kBufferBytes = std::size_t{512} << 20;

// Private memory, touched by whoever allocates in it.
class Buffer {
 public:
  Buffer()
      : bytes_(::mmap(nullptr, kBufferBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (bytes_ == MAP_FAILED) throw std::bad_alloc();
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::munmap(bytes_, kBufferBytes); }
  [[nodiscard]] std::byte* begin() const { return static_cast<std::byte*>(bytes_); }

 private:
  void* bytes_;
};

class FitHeapMix {
 public:
  void* allocate(std::size_t size) { return heap_.allocate(size); }
  void free(void* block) { (void)heap_.free(block); }

 private:
  Buffer buffer_;
  FitHeap heap_ = FitHeap::over(std::span(buffer_.begin(), kBufferBytes));
};

// Boost.Interprocess's default algorithm, rbtree_best_fit, with no mutex.
class InterprocessMix {
 public:
  void* allocate(std::size_t size) { return segment_.allocate(size, std::nothrow); }
  void free(void* block) { segment_.deallocate(block); }

 private:
  Buffer buffer_;
  boost::interprocess::managed_external_buffer segment_{boost::interprocess::create_only,
                                                        buffer_.begin(), kBufferBytes};
};

// NOLINTBEGIN(cppcoreguidelines-no-malloc): malloc is what is measured.
class MallocMix {
 public:
  static void* allocate(std::size_t size) { return std::malloc(size); }
  static void free(void* block) { std::free(block); }
};
// NOLINTEND(cppcoreguidelines-no-malloc)

template <class Heap>
class MixedLoop final : public Loop {
 public:
  void run(std::uint64_t pairs, std::size_t size_bytes) override {
    if (live_.empty()) prepare(size_bytes);
    churn(pairs);
  }
  [[nodiscard]] std::uint64_t time_ns() const override { return thread_time_ns() - prepared_ns_; }

 private:
  struct Step {
    std::uint32_t block;
    std::uint32_t size_bytes;
  };

  void prepare(std::size_t most_bytes) {
    const std::uint64_t start_ns = thread_time_ns();
    std::mt19937_64 random(1);  // NOLINT(cert-msc51-cpp): the same for every contender
    std::uniform_real_distribution<double> doublings(
        0, std::log2(static_cast<double>(most_bytes) / kLeastBytes));
    for (std::size_t i = 0; i < kSteps; ++i) {
      const double size = kLeastBytes * std::exp2(doublings(random));
      steps_.push_back(
          {static_cast<std::uint32_t>(random() % kLiveBlocks), static_cast<std::uint32_t>(size)});
    }
    for (std::size_t i = 0; i < kLiveBlocks; ++i) live_.push_back(take(steps_[i].size_bytes));
    churn(kChurnPairs);
    prepared_ns_ = thread_time_ns() - start_ns;
  }

  [[gnu::always_inline]] void* take(std::size_t size_bytes) {
    void* const block = heap_.allocate(size_bytes);
    if (block == nullptr) [[unlikely]]
      throw std::runtime_error("an allocation failed");
    *static_cast<unsigned char*>(block) = 1;
    escape(block);
    return block;
  }

  void churn(std::uint64_t pairs) {
    for (; pairs > 0; --pairs, ++at_) {
      const Step step = steps_[at_ % kSteps];
      heap_.free(live_[step.block]);
      live_[step.block] = take(step.size_bytes);
    }
  }

  Heap heap_;
  std::vector<Step> steps_;
  std::vector<void*> live_;
  std::uint64_t at_ = 0;
  std::uint64_t prepared_ns_ = 0;
};

}  // namespace

const LoopTable& mixed_loops() {
  static const LoopTable kLoops = {
      {"mixed-fit", [] { return std::make_unique<MixedLoop<FitHeapMix>>(); }},
      {"mixed-interprocess", [] { return std::make_unique<MixedLoop<InterprocessMix>>(); }},
      {"mixed-malloc", [] { return std::make_unique<MixedLoop<MallocMix>>(); }}};
  return kLoops;
}

}  // namespace allot::bench
