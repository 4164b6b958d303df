// hand-over: one side allocates and writes, the other reads and frees, through a ring. An item is
// an object; its time is elapsed time from the first to the last one freed, over their number.
//
// Two threads pass pointers. Two processes pass what their allocator has for that: ours handles,
// offered and adopted; Boost.Interprocess its offsets. ping-pong is the machine's own: one word
// back and forth between two threads on the two processors, an item for each round trip.

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <string>

#include "bench/heap/companion.hpp"
#include "bench/heap/heaps.hpp"
#include "bench/heap/random.hpp"
#include "bench/heap/ring.hpp"
#include "bench/heap/suite.hpp"

namespace allot::bench {

namespace {

constexpr std::uint64_t kObjects = std::uint64_t{1} << 13;  // of an iteration
constexpr std::uint64_t kRoundTrips = 10'000;

struct Object {
  void* block;
  std::size_t size_bytes;
};

using Words = std::span<std::uint64_t, Ring::kBatch>;
using ConstWords = std::span<const std::uint64_t, Ring::kBatch>;

void check(const void* block, std::uint64_t i) {
  if (*static_cast<const std::uint64_t*>(block) != i) {
    throw std::runtime_error("a block came with other bytes than were written");
  }
}

/// A pointer, with the size in the bits that pointers of user space leave.
struct ByPointer {
  static constexpr Kind kKind = Kind::kThread;
  template <class Heap>
  static std::uint64_t pack(Heap& /*heap*/, const Object& object) {
    return reinterpret_cast<std::uintptr_t>(object.block) | object.size_bytes << 48;
  }
  template <class Heap>
  static Object unpack(Heap& /*heap*/, std::uint64_t word) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a packed pointer
    return {reinterpret_cast<void*>(word & ((std::uint64_t{1} << 48) - 1)), word >> 48};
  }
};

struct ByHandle {
  static constexpr Kind kKind = Kind::kProcess;
  template <class Heap>
  static std::uint64_t pack(Heap& heap, const Object& object) {
    if constexpr (requires { heap.session(); }) {
      return heap.session().offer(object.block).value().bits();
    } else {
      return static_cast<std::uint64_t>(heap.segment().get_handle_from_address(object.block));
    }
  }
  template <class Heap>
  static Object unpack(Heap& heap, std::uint64_t word) {
    if constexpr (requires { heap.session(); }) {
      return {heap.session().adopt(Handle::from_bits(word)).value(), 0};
    } else {
      using Offset = typename Heap::Segment::handle_t;
      return {heap.segment().get_address_from_handle(static_cast<Offset>(word)), 0};
    }
  }
};

class Sizes {
 public:
  explicit Sizes(bool mixed) : mixed_(mixed) {
    Random random(5);
    for (auto& size : sizes_)
      size = mixed ? static_cast<std::uint16_t>(16 + random.below(1009)) : 64;
  }
  [[nodiscard]] bool are_mixed() const noexcept { return mixed_; }
  [[nodiscard]] std::size_t of(std::uint64_t i) const noexcept { return sizes_[i % sizes_.size()]; }

 private:
  bool mixed_;
  std::array<std::uint16_t, 4096> sizes_{};
};

/// One object after the other.
template <class Passing>
struct OneByOne {
  static constexpr Kind kKind = Passing::kKind;
  template <class Heap>
  static void make(Heap& heap, Words words, std::uint64_t i, const Sizes& sizes) {
    for (std::uint64_t& word : words) {
      const std::size_t size_bytes = sizes.of(i);
      void* const block = take(heap, size_bytes);
      *static_cast<std::uint64_t*>(block) = i++;
      word = Passing::pack(heap, {block, size_bytes});
    }
  }
  template <class Heap>
  static void use(Heap& heap, ConstWords words, std::uint64_t i) {
    for (const std::uint64_t word : words) {
      const Object object = Passing::unpack(heap, word);
      check(object.block, i++);
      heap.free(object.block, object.size_bytes);
    }
  }
};

/// As many as the ring publishes by one call each of allocate_n() (where they are all of a size),
/// offer_n(), adopt_n() and free_n().
struct ByTheBatch {
  static constexpr Kind kKind = Kind::kProcess;
  using Blocks = std::array<void*, Ring::kBatch>;
  using Handles = std::array<Handle, Ring::kBatch>;

  template <class Heap>
  static void make(Heap& heap, Words words, std::uint64_t i, const Sizes& sizes) {
    Blocks blocks;
    if (sizes.are_mixed()) {
      for (std::size_t at = 0; at < blocks.size(); ++at)
        blocks[at] = heap.allocate(sizes.of(i + at));
    } else {
      demand(heap.session().allocate_n(sizes.of(i), blocks));
    }
    for (void* const block : blocks) *static_cast<std::uint64_t*>(block) = i++;
    Handles handles;
    demand(heap.session().offer_n(blocks, handles));
    std::transform(handles.begin(), handles.end(), words.begin(),
                   [](Handle handle) { return handle.bits(); });
  }
  template <class Heap>
  static void use(Heap& heap, ConstWords words, std::uint64_t i) {
    Handles handles;
    std::transform(words.begin(), words.end(), handles.begin(), Handle::from_bits);
    Blocks blocks;
    demand(heap.session().adopt_n(handles, blocks));
    for (const void* const block : blocks) check(block, i++);
    demand(heap.session().free_n(blocks));
  }

 private:
  static void demand(const Batch& batch) {
    if (!batch) throw std::runtime_error(std::string(describe(batch.errc)));
  }
};

/// The consumer runs from the first iteration to the end of the program.
template <class Heap, class Passing>
class Pipeline {
 public:
  Pipeline(Heap& heap, bool mixed) : heap_(heap), sizes_(mixed) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline() { ring_->end(); }

  void pass_all() {
    for (std::uint64_t done = 0; done < kObjects; done += Ring::kBatch) {
      ring_->put_batch(
          [this](Words words, std::uint64_t i) { Passing::make(heap_, words, i, sizes_); });
    }
    ring_->drain();
  }

 private:
  void consume() {
    if constexpr (Passing::kKind == Kind::kProcess) {
      auto&& heap = heap_.after_fork();
      consume_with(heap);
    } else {
      consume_with(heap_);
    }
  }
  template <class Own>
  void consume_with(Own& heap) {
    ring_->take_all([&heap](ConstWords words, std::uint64_t i) { Passing::use(heap, words, i); });
  }

  Heap& heap_;
  Sizes sizes_;
  Shared<Ring> ring_;
  Companion consumer_{Passing::kKind, [this] { consume(); }, [this] { ring_->fail(); }};
};

template <class Passing, bool kMixed>
auto body() {
  return []<class Heap>(benchmark::State& state, Heap& heap) {
    static Pipeline<Heap, Passing> pipeline(heap, kMixed);
    using Time = std::chrono::steady_clock;
    for (auto _ : state) {
      const Time::time_point start = Time::now();
      pipeline.pass_all();
      state.SetIterationTime(std::chrono::duration<double>(Time::now() - start).count());
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kObjects));
  };
}

/// No heap at all.
struct Machine {
  static constexpr const char* kName = "machine";
};

struct PingPong {
  alignas(64) std::atomic<std::uint64_t> ping{0};
  alignas(64) std::atomic<std::uint64_t> pong{0};
};

void play(benchmark::State& state) {
  constexpr std::uint64_t kEnd = ~std::uint64_t{0};
  PingPong words;
  const Companion other(
      Kind::kThread,
      [&words] {
        for (std::uint64_t seen = 0; seen != kEnd;) {
          const std::uint64_t now = words.ping.load(std::memory_order_acquire);
          if (now == seen) continue;
          seen = now;
          words.pong.store(now, std::memory_order_release);
        }
      },
      [] {});
  std::uint64_t at = 0;
  while (state.KeepRunning()) {
    for (std::uint64_t i = 0; i < kRoundTrips; ++i) {
      words.ping.store(++at, std::memory_order_release);
      while (words.pong.load(std::memory_order_acquire) != at) {
      }
    }
  }
  words.ping.store(kEnd, std::memory_order_release);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kRoundTrips));
}

}  // namespace

}  // namespace allot::bench

int main(int argc, char** argv) {
  namespace bench = allot::bench;
  using InThreads = bench::HeapList<bench::MallocHeap, bench::AllotHeap, bench::AllotInlineHeap,
                                    bench::PmrSynchronizedHeap>;
  using AllotHeaps = bench::HeapList<bench::AllotHeap, bench::AllotInlineHeap>;
  bench::Suite suite(argc, argv);
  suite.add(InThreads{}, "threads-64", bench::Clock::kManual,
            bench::body<bench::OneByOne<bench::ByPointer>, false>());
  suite.add(InThreads{}, "threads-mixed", bench::Clock::kManual,
            bench::body<bench::OneByOne<bench::ByPointer>, true>());
  suite.add(bench::ProcessHeaps{}, "processes-64", bench::Clock::kManual,
            bench::body<bench::OneByOne<bench::ByHandle>, false>());
  suite.add(bench::ProcessHeaps{}, "processes-mixed", bench::Clock::kManual,
            bench::body<bench::OneByOne<bench::ByHandle>, true>());
  suite.add(AllotHeaps{}, "batches-64", bench::Clock::kManual,
            bench::body<bench::ByTheBatch, false>());
  suite.add(AllotHeaps{}, "batches-mixed", bench::Clock::kManual,
            bench::body<bench::ByTheBatch, true>());
  suite.add(bench::HeapList<bench::Machine>{}, "ping-pong", bench::Clock::kElapsed,
            [](benchmark::State& state, auto& /*heap*/) { bench::play(state); });
  return suite.run();
}
