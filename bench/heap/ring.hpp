// Ring: words from one producer to one consumer, in threads or processes, published 32 at a time.
//
// Lives in memory that both share. Each side keeps its own index and writes it for the other once a
// batch, so that the lines of the indices cross between processors rarely.
#pragma once

#include <sched.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <stdexcept>

namespace allot::bench {

/// Waits actively at first, since the other side is about to answer on another processor; then lets
/// others run, in case there is none.
class Patience {
 public:
  void wait() noexcept {
    if (++waits_ % kSpins != 0) {
      __builtin_ia32_pause();
    } else {
      sched_yield();
    }
  }

 private:
  static constexpr std::uint32_t kSpins = 2000;
  std::uint32_t waits_ = 0;
};

class Ring {
 public:
  static constexpr std::uint64_t kBatch = 32;

  /// The producer's: `fill(words, i)` makes the next kBatch words, of which the first is the `i`th;
  /// then they are published.
  template <class Fill>
  void put_batch(Fill fill) {
    Patience patience;
    while (put_ + kBatch - taken_.load(std::memory_order_acquire) > kWords) {
      check();
      patience.wait();
    }
    fill(std::span<std::uint64_t, kBatch>(&words_[put_ % kWords], kBatch), put_);
    put_ += kBatch;
    published_.store(put_, std::memory_order_release);
  }

  /// The producer's: waits until everything was taken.
  void drain() const {
    Patience patience;
    while (taken_.load(std::memory_order_acquire) != put_) {
      check();
      patience.wait();
    }
  }

  /// The consumer's: gives `use(words, i)` kBatch words at a time, of which the first is the `i`th,
  /// until the end.
  template <class Use>
  void take_all(Use use) {
    std::uint64_t at = 0;
    Patience patience;
    while (!ended_.load(std::memory_order_relaxed)) {
      const std::uint64_t published = published_.load(std::memory_order_acquire);
      if (at == published) {
        patience.wait();
        continue;
      }
      use(std::span<const std::uint64_t, kBatch>(&words_[at % kWords], kBatch), at);
      at += kBatch;
      taken_.store(at, std::memory_order_release);
    }
  }

  /// Ends take_all().
  void end() noexcept { ended_.store(true, std::memory_order_relaxed); }
  /// Makes the producer give up: the consumer cannot go on.
  void fail() noexcept { failed_.store(true, std::memory_order_relaxed); }

 private:
  static constexpr std::uint64_t kWords = 1024;
  static_assert(kWords % kBatch == 0);

  void check() const {
    if (failed_.load(std::memory_order_relaxed)) throw std::runtime_error("the consumer failed");
  }

  alignas(64) std::atomic<std::uint64_t> published_{0};
  std::uint64_t put_ = 0;  // the producer's own
  alignas(64) std::atomic<std::uint64_t> taken_{0};
  alignas(64) std::atomic<bool> ended_{false};
  std::atomic<bool> failed_{false};
  alignas(64) std::array<std::uint64_t, kWords> words_{};
};

}  // namespace allot::bench
