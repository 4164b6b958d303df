// Heaps: the contenders, each with allocate(size) and free(block, size).
//
// Used by every family. malloc is whatever the process has: glibc's, or that which LD_PRELOAD
// names. `after_fork` is what a forked child uses: a heap of its own, or that of its parent if the
// heap is shared memory (or a private malloc, which the child has a copy of).
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <memory_resource>

#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/mem_algo/rbtree_best_fit.hpp>
#include <boost/interprocess/mem_algo/simple_seq_fit.hpp>

#include <allot/fast.hpp>
#include <allot/session.hpp>

#include "bench/heap/suite.hpp"

namespace allot::bench {

// NOLINTBEGIN(readability-convert-member-functions-to-static): all heaps are used alike.
// NOLINTBEGIN(cppcoreguidelines-no-malloc): malloc is what is measured.
class MallocHeap {
 public:
  static constexpr const char* kName = "malloc";
  [[gnu::always_inline]] void* allocate(std::size_t size_bytes) { return std::malloc(size_bytes); }
  [[gnu::always_inline]] void free(void* block, std::size_t /*size_bytes*/) { std::free(block); }
  MallocHeap& after_fork() { return *this; }
};
// NOLINTEND(cppcoreguidelines-no-malloc)
// NOLINTEND(readability-convert-member-functions-to-static)

/// Session::allocate() and free(), calls into liballot.
class AllotHeap {
 public:
  static constexpr const char* kName = "allot";
  [[gnu::always_inline]] void* allocate(std::size_t size_bytes) {
    return session_.allocate(size_bytes);
  }
  [[gnu::always_inline]] void free(void* block, std::size_t /*size_bytes*/) {
    if (session_.free(block) != Errc::kOk) [[unlikely]]
      throw std::runtime_error("a free failed");
  }
  [[nodiscard]] static AllotHeap after_fork() { return {}; }
  [[nodiscard]] Session& session() noexcept { return session_; }

 private:
  Session session_ = Session::connect().value();
};

/// fast::allocate() and free(), compiled into the caller.
class AllotInlineHeap {
 public:
  static constexpr const char* kName = "allot-inline";
  [[gnu::always_inline]] void* allocate(std::size_t size_bytes) {
    return fast::allocate(session_, size_bytes);
  }
  [[gnu::always_inline]] void free(void* block, std::size_t /*size_bytes*/) {
    if (fast::free(session_, block) != Errc::kOk) [[unlikely]]
      throw std::runtime_error("a free failed");
  }
  [[nodiscard]] static AllotInlineHeap after_fork() { return {}; }
  [[nodiscard]] Session& session() noexcept { return session_; }

 private:
  Session session_ = Session::connect().value();
};

/// A pool of std::pmr, called through its base class, as containers do.
template <class Pool>
class PmrHeap {
 public:
  static constexpr const char* kName =
      std::is_same_v<Pool, std::pmr::synchronized_pool_resource> ? "pmr-synchronized" : "pmr";
  PmrHeap() { escape(&resource_); }
  [[gnu::always_inline]] void* allocate(std::size_t size_bytes) {
    return resource_->allocate(size_bytes);
  }
  [[gnu::always_inline]] void free(void* block, std::size_t size_bytes) {
    resource_->deallocate(block, size_bytes);
  }

 private:
  Pool pool_;
  std::pmr::memory_resource* resource_ = &pool_;
};

using PmrUnsynchronizedHeap = PmrHeap<std::pmr::unsynchronized_pool_resource>;
using PmrSynchronizedHeap = PmrHeap<std::pmr::synchronized_pool_resource>;

/// Boost.Interprocess managed_shared_memory. The segment's name is gone as soon as it is mapped, so
/// that a killed process leaves nothing.
template <class Algorithm>
class InterprocessHeap {
 public:
  using Segment = boost::interprocess::basic_managed_shared_memory<char, Algorithm,
                                                                   boost::interprocess::iset_index>;
  using Sequential = boost::interprocess::simple_seq_fit<boost::interprocess::mutex_family>;
  static constexpr const char* kName =
      std::is_same_v<Algorithm, Sequential> ? "seq-fit" : "best-fit";

  void* allocate(std::size_t size_bytes) { return segment_.allocate(size_bytes, std::nothrow); }
  void free(void* block, std::size_t /*size_bytes*/) { segment_.deallocate(block); }
  InterprocessHeap& after_fork() { return *this; }
  [[nodiscard]] Segment& segment() noexcept { return segment_; }

 private:
  static constexpr std::size_t kSegmentBytes = std::size_t{64} << 20;  // committed at once

  static Segment make_segment() {
    const std::string name = std::string("allot_heap.") + kName + '.' + std::to_string(getpid());
    boost::interprocess::shared_memory_object::remove(name.c_str());
    Segment segment(boost::interprocess::create_only, name.c_str(), kSegmentBytes);
    boost::interprocess::shared_memory_object::remove(name.c_str());
    return segment;
  }

  Segment segment_ = make_segment();
};

using BestFitHeap =
    InterprocessHeap<boost::interprocess::rbtree_best_fit<boost::interprocess::mutex_family>>;
using SequentialFitHeap =
    InterprocessHeap<boost::interprocess::simple_seq_fit<boost::interprocess::mutex_family>>;

/// For one thread.
using PrivateHeaps = HeapList<MallocHeap, AllotHeap, AllotInlineHeap, PmrUnsynchronizedHeap,
                              BestFitHeap, SequentialFitHeap>;
/// For several threads.
using ThreadHeaps = HeapList<MallocHeap, AllotHeap, AllotInlineHeap, PmrSynchronizedHeap,
                             BestFitHeap, SequentialFitHeap>;
/// For several processes.
using ProcessHeaps = HeapList<AllotHeap, AllotInlineHeap, BestFitHeap, SequentialFitHeap>;

}  // namespace allot::bench
