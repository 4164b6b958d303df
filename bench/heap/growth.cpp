// growth: fresh memory, 1 GiB of it, each 4 KiB written once. Counters:
//
//   stall_ns    elapsed time of the thread that asks, for each 4 KiB
//   in_all_ns   processor time for each 4 KiB: of this process, and of the daemon if there is one
//
// How many grants that took is the daemon's to say; the driver asks it. The floor is anonymous
// memory that nobody has touched, mapped at once. Boost.Interprocess commits its segment when it
// makes it, so that nothing in it is fresh, and is left out.

#include <sys/mman.h>

#include <chrono>
#include <ctime>

#include "bench/daemon_clock.hpp"
#include "bench/heap/heaps.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

namespace {

constexpr std::size_t kPageBytes = 4096;

/// One mapping, cut up by adding.
class FaultingHeap {
 public:
  static constexpr const char* kName = "mmap";
  FaultingHeap()
      : memory_(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  FaultingHeap(const FaultingHeap&) = delete;
  FaultingHeap& operator=(const FaultingHeap&) = delete;
  ~FaultingHeap() { ::munmap(memory_, kBytes); }

  void* allocate(std::size_t size_bytes) {
    std::byte* const block = static_cast<std::byte*>(memory_) + used_bytes_;
    used_bytes_ += size_bytes;
    return used_bytes_ <= kBytes ? block : nullptr;
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{2} << 30;
  void* memory_;
  std::size_t used_bytes_ = 0;
};

double nanoseconds_of(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) throw std::runtime_error("clock_gettime");
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

template <class Heap>
double processor_time_ns(Heap& /*heap*/) {
  const double own_ns = nanoseconds_of(CLOCK_PROCESS_CPUTIME_ID);
  if constexpr (requires(Heap & heap) { heap.session(); }) {
    static const clockid_t kDaemon = clock_of_daemon();
    return own_ns + nanoseconds_of(kDaemon);
  }
  return own_ns;
}

template <class Heap>
void grow(benchmark::State& state, Heap& heap, std::size_t block_bytes, std::size_t total_bytes) {
  const double start_ns = processor_time_ns(heap);
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) {
    for (std::size_t done = 0; done < total_bytes; done += block_bytes) {
      auto* const block = static_cast<volatile char*>(take(heap, block_bytes));
      for (std::size_t at = kPageBytes; at < block_bytes; at += kPageBytes) block[at] = 1;
    }
  }
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - start;
  const double spent_ns = processor_time_ns(heap) - start_ns;
  const double pages = static_cast<double>(total_bytes) / static_cast<double>(kPageBytes);
  state.counters["stall_ns"] = elapsed.count() / pages;
  state.counters["in_all_ns"] = spent_ns / pages;
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  using Heaps = bench::HeapList<bench::MallocHeap, bench::AllotHeap, bench::AllotInlineHeap,
                                bench::PmrUnsynchronizedHeap, bench::FaultingHeap>;
  bench::Suite suite(argc, argv);
  const std::size_t total_bytes = suite.quick() ? std::size_t{32} << 20 : std::size_t{1} << 30;
  suite.add(Heaps{}, "4096", bench::Clock::kOnce,
            [total_bytes]<class Heap>(benchmark::State& state, Heap& heap) {
              bench::grow(state, heap, std::size_t{4} << 10, total_bytes);
            });
  suite.add(Heaps{}, "65536", bench::Clock::kOnce,
            [total_bytes]<class Heap>(benchmark::State& state, Heap& heap) {
              bench::grow(state, heap, std::size_t{64} << 10, total_bytes);
            });
  return suite.run();
}
