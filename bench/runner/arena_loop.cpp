#include "bench/runner/arena_loop.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <map>
#include <memory_resource>
#include <thread>
#include <utility>
#include <vector>

#include <boost/container/pmr/global_resource.hpp>
#include <boost/container/pmr/monotonic_buffer_resource.hpp>

#include <allot/scratch.hpp>
#include <allot/session.hpp>
#include <allot/shared_arena.hpp>
#include <allot/vlarray.hpp>

#include "bench/daemon_clock.hpp"

namespace allot::bench {

namespace {

ArenaOptions measured_options() {
  ArenaOptions options;
  options.checks = ArenaChecks::kOff;
  return options;
}

// Touched, so that no contender pays for the first use of a page.
struct Buffer {
  std::unique_ptr<std::byte[]> bytes{new std::byte[kArenaBufferBytes]()};
  [[nodiscard]] std::byte* begin() const { return bytes.get(); }
};

// The floor: what one writes by hand.
struct HandWritten {
  std::uintptr_t cursor = 0;
  std::uintptr_t end = 0;

  [[gnu::always_inline]] void* push(std::size_t size) {
    const std::uintptr_t start = (cursor + 15) & ~std::uintptr_t{15};
    if (start + size > end) return nullptr;
    cursor = start + size;
    return reinterpret_cast<void*>(start);  // NOLINT(performance-no-int-to-ptr): a bump cursor
  }
};

template <bool kWrite>
class BumpLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t size_bytes) override {
    const auto start = reinterpret_cast<std::uintptr_t>(buffer_.begin());
    bump_ = {start, start + kArenaBufferBytes};
    run_pushes<kWrite>(
        count, size_bytes, [&] { return bump_.push(size_bytes); }, [&] { bump_.cursor = start; });
  }

 private:
  Buffer buffer_;
  HandWritten bump_;
};

template <bool kWrite, bool kLocked = false>
class ArenaLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t size_bytes) override {
    const ArenaMark start = arena_.pos();
    run_pushes<kWrite>(
        count, size_bytes, [&] { return arena_.push(size_bytes, 16); },
        [&] { (void)arena_.pop_to(start); });
  }

 private:
  Arena arena_ = make();
  static Arena make() {
    ArenaOptions options = measured_options();
    options.locked = kLocked;
    Arena arena = Arena::reserve(kArenaReserveBytes, options);
    if (arena.push_zero(2 * kArenaBufferBytes) == nullptr) throw std::runtime_error("no arena");
    std::memset(arena.push_array<char>(kArenaBufferBytes), 1, kArenaBufferBytes);
    (void)arena.clear();
    return arena;
  }
};

// std::pmr's and Boost's have one interface.
// Containers know a memory_resource and not which; `kKnown`: the compiler sees which.
template <class Resource, class Base, bool kWrite, bool kKnown = false>
class MonotonicLoop final : public Loop {
 public:
  explicit MonotonicLoop(Base* upstream)
      : resource_(buffer_.begin(), kArenaBufferBytes, upstream) {}
  void run(std::uint64_t count, std::size_t size_bytes) override {
    Base* resource = &resource_;
    if constexpr (!kKnown) asm volatile("" : "+r"(resource));
    run_pushes<kWrite>(
        count, size_bytes,
        [&] {
          if constexpr (kKnown) return resource_.allocate(size_bytes, 16);
          return resource->allocate(size_bytes, 16);
        },
        [&] { resource_.release(); });
  }

 private:
  Buffer buffer_;
  Resource resource_;
};

template <bool kWrite, bool kKnown = false>
std::unique_ptr<Loop> make_std_pmr() {
  using Resource = std::pmr::monotonic_buffer_resource;
  return std::make_unique<MonotonicLoop<Resource, std::pmr::memory_resource, kWrite, kKnown>>(
      std::pmr::null_memory_resource());
}

template <bool kWrite>
std::unique_ptr<Loop> make_boost_pmr() {
  namespace pmr = boost::container::pmr;
  return std::make_unique<
      MonotonicLoop<pmr::monotonic_buffer_resource, pmr::memory_resource, kWrite>>(
      pmr::null_memory_resource());
}

// First growth: each page of a new arena pushed and written once. Making and unmapping it counts,
// here and for the peer.
constexpr std::uint64_t kPagesPerArena = std::uint64_t{1} << 14;

// One arena of the region for all processes that run this loop; whoever comes first makes it. It is
// never emptied: one process pushes as much as one round wants.
class SharedLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t size_bytes) override {
    run_pushes<false>(
        count, size_bytes, [&] { return arena_.push(size_bytes, 16); }, [] {});
  }

 private:
  static constexpr SharedArenaOptions kOptions{std::uint64_t{1536} << 20, std::uint64_t{1} << 20};
  [[nodiscard]] static SharedArena join() {
    const Session session = Session::connect().value();
    auto made = SharedArena::create(session, "bench", kOptions);
    if (made) return std::move(*made);
    return SharedArena::attach(session, "bench").value();
  }
  SharedArena arena_ = join();
};

class GrowthLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t page_bytes) override {
    for (; count > 0; count -= std::min(count, kPagesPerArena)) {
      Arena arena = Arena::reserve(kArenaReserveBytes, measured_options());
      for (std::uint64_t i = 0; i < std::min(count, kPagesPerArena); ++i) {
        auto* const page = static_cast<char*>(arena.push(page_bytes, page_bytes));
        if (page == nullptr) throw std::runtime_error("an arena does not grow");
        *page = 1;
      }
    }
  }
};

// The same in a region. The daemon commits the memory and takes it back: what it used counts too.
// `kBack`: so does giving back, which here, without it, takes place all the same.
template <bool kBack>
class RegionGrowthLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t page_bytes) override {
    for (; count > 0; count -= std::min(count, kPagesPerArena)) {
      ArenaOptions options = measured_options();
      options.source = session_;
      Arena arena = Arena::reserve(kArenaReserveBytes, options);
      for (std::uint64_t i = 0; i < std::min(count, kPagesPerArena); ++i) {
        auto* const page = static_cast<char*>(arena.push(page_bytes, page_bytes));
        if (page == nullptr) throw std::runtime_error("an arena in a region does not grow");
        *page = 1;
      }
      const std::uint64_t grown_ns = time_ns();
      arena = Arena();
      // Until the daemon has given it back to the machine, for the next one would not be fresh.
      std::this_thread::sleep_for(kTwicePunchDelay);
      if (!kBack) uncounted_ns_ += time_ns() - grown_ns;
    }
  }
  [[nodiscard]] std::uint64_t time_ns() const override {
    timespec time{};
    if (clock_gettime(daemon_clock_, &time) != 0) throw std::runtime_error("the daemon's clock");
    return thread_time_ns() + static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
           static_cast<std::uint64_t>(time.tv_nsec) - uncounted_ns_;
  }

 private:
  static constexpr std::chrono::milliseconds kTwicePunchDelay{400};

  Session session_ = Session::connect().value();
  clockid_t daemon_clock_ = clock_of_daemon();
  std::uint64_t uncounted_ns_ = 0;
};

// `kBack`: unmapping counts too.
template <bool kBack>
class TouchLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t page_bytes) override {
    for (; count > 0; count -= std::min(count, kPagesPerArena)) {
      const std::size_t bytes = kPagesPerArena * page_bytes;
      void* const got = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (got == MAP_FAILED) throw std::runtime_error("mmap");
      auto* page = static_cast<volatile char*>(got);
      for (std::uint64_t i = 0; i < std::min(count, kPagesPerArena); ++i, page += page_bytes) {
        *page = 1;
      }
      const std::uint64_t touched_ns = time_ns();
      ::munmap(got, bytes);
      if (!kBack) uncounted_ns_ += time_ns() - touched_ns;
    }
  }
  [[nodiscard]] std::uint64_t time_ns() const override { return thread_time_ns() - uncounted_ns_; }

 private:
  std::uint64_t uncounted_ns_ = 0;
};

class TempLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t /*size_bytes*/) override {
    for (std::uint64_t i = 0; i < count; ++i) {
      const Temp temp(arena_);
      escape(&arena_);
    }
  }

 private:
  Arena arena_ = Arena::reserve(kArenaReserveBytes, measured_options());
};

// A "pair" is an array of `elements` ints.
class VlArrayLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t elements) override {
    for (; count > 0; --count) {
      Arena arena = Arena::reserve(kArenaReserveBytes, measured_options());
      VlArray<int> array(arena);
      for (std::size_t i = 0; i < elements; ++i) {
        if (array.push_back(static_cast<int>(i)) == nullptr) throw std::runtime_error("full");
      }
      escape(&array[elements - 1]);
    }
  }
};

class VectorLoop final : public Loop {
 public:
  void run(std::uint64_t count, std::size_t elements) override {
    for (; count > 0; --count) {
      std::vector<int> array;
      // NOLINTNEXTLINE(performance-inefficient-vector-operation): that is what is compared.
      for (std::size_t i = 0; i < elements; ++i) array.push_back(static_cast<int>(i));
      escape(&array[elements - 1]);
    }
  }
};

template <class T>
std::unique_ptr<Loop> make() {
  return std::make_unique<T>();
}

}  // namespace

const LoopTable& arena_loops() {
  static const LoopTable kLoops = {{"push-arena", make<ArenaLoop<false>>},
                                   {"push-bump", make<BumpLoop<false>>},
                                   {"push-std-pmr", make_std_pmr<false>},
                                   {"push-std-pmr-known", make_std_pmr<false, true>},
                                   {"push-locked", make<ArenaLoop<false, true>>},
                                   {"push-boost-pmr", make_boost_pmr<false>},
                                   {"push-protobuf", [] { return make_protobuf_loop(false); }},
                                   {"write-arena", make<ArenaLoop<true>>},
                                   {"write-bump", make<BumpLoop<true>>},
                                   {"write-std-pmr", make_std_pmr<true>},
                                   {"write-boost-pmr", make_boost_pmr<true>},
                                   {"write-protobuf", [] { return make_protobuf_loop(true); }},
                                   {"push-shared", make<SharedLoop>},
                                   {"grow-arena", make<GrowthLoop>},
                                   {"grow-touch", make<TouchLoop<true>>},
                                   {"grow-region", make<RegionGrowthLoop<false>>},
                                   {"grow-region-and-back", make<RegionGrowthLoop<true>>},
                                   {"grow-touch-only", make<TouchLoop<false>>},
                                   {"temp-arena", make<TempLoop>},
                                   {"array-vlarray", make<VlArrayLoop>},
                                   {"array-vector", make<VectorLoop>}};
  return kLoops;
}

}  // namespace allot::bench
