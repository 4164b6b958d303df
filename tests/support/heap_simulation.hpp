// HeapSimulation: two sessions of one embedded region, two threads in each, and chance.
//
// An oracle knows each live block: where it lies, how much of it may be used, what was written to
// it, whose it is, which handle it has. What a session answers must agree with it, and the audit
// must count what it counts; a broken promise is a failure of the test. A seed decides all but the
// generations that a carving begins with. One thread is at work at any time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <allot/embedded.hpp>
#include <allot/pool.hpp>
#include <allot/session.hpp>

#include "tests/support/seed.hpp"

namespace allot::test {

class HeapSimulation {
 public:
  /// What happened how often, so that a test can see that its seeds reach everything.
  using Counts = std::map<std::string, std::uint64_t>;

  HeapSimulation(std::uint64_t seed, Counts& counts);

  // Each stops at the first failure.
  /// Operations in a random order; an audit after each stint of one thread.
  void run(std::uint32_t stints);
  /// Blocks that were freed anywhere go out again before a new span is carved.
  void refill();
  /// Ever new blocks of one size, freed in every way, need no more than the first of them did.
  void reuse();
  /// Who frees much more than it may soon need gives some of it back.
  void recede();
  /// Who is refused raises the pressure: the other gives back what it holds free, once.
  void press();
  /// One session ends while the other has some of its blocks: who comes next allocates what was free
  /// in those spans.
  void inherit();
  /// All is freed and trimmed: nothing may be left.
  void drain();

 private:
  static constexpr std::size_t kNoPool = ~std::size_t{0};
  static constexpr std::size_t kPoolOfLines = 2;  // whose blocks share no cache line
  struct Block {
    std::byte* begin = nullptr;  // as the first session sees it
    std::size_t size = 0;        // that may be used, and is filled
    std::uint64_t contents = 0;
    std::size_t owner = 0;
    std::size_t pool = kNoPool;
    std::optional<Handle> handle;
    bool is_offered = false;
  };
  struct Member {
    Session session;
    std::vector<BlockPool> pools;
  };
  struct Wanted {
    std::size_t size = 0;
    std::size_t alignment = 1;
    std::size_t pool = kNoPool;
  };

  [[nodiscard]] Member connect();
  /// By a session that has just begun; the oracle learns where it sees the region.
  void replace_second();
  void operate();
  /// Here, or in a thread that uses the heaps which the one before it has left.
  void in_some_thread(const std::function<void()>& body);
  /// Returns the bytes that are granted.
  std::uint64_t audit();

  void allocate(std::size_t who);
  void allocate_batch(std::size_t who, const Wanted& wanted, std::size_t count);
  [[nodiscard]] Wanted any_kind();
  void allocated(std::size_t who, void* address, const Wanted& wanted);
  void check_place(std::size_t who, const Block& block, const Wanted& wanted);
  void insert(const Block& block);
  void refused_for_room();

  /// The block is as its owner left it; it is the oracle's no more.
  Block take(std::size_t index);
  void free(std::size_t index);
  void free_batch(std::size_t who, std::size_t most);
  void free_all();
  void freed(const Block& block);
  /// Offered; then adopted by the other, retracted, or left like that.
  void hand_over(std::size_t index);
  /// Some that `who` owns, and what is refused among them, to the other at once.
  void hand_over_batch(std::size_t who, std::size_t most);
  void reallocate(std::size_t index);
  /// What is no block of ours, or not in that pool, is refused and stays as it is.
  void misuse(const Block& block);
  void trim(std::size_t who);
  /// Frees a large block, and expects that another one does not make it go back.
  void expect_cached(Session& session, std::size_t freed_granules, std::size_t granules);

  [[nodiscard]] std::size_t any() { return random_.below(blocks_.size()); }
  [[nodiscard]] std::byte* seen_by(std::size_t who, const Block& block) const {
    return who == 0 ? block.begin : block.begin + distance_;
  }
  [[nodiscard]] Session& owner_of(const Block& block) { return members_[block.owner].session; }
  [[nodiscard]] std::byte* seen_by_owner(const Block& block) const {
    return seen_by(block.owner, block);
  }

  std::uint64_t seed_;
  Random random_;
  Counts& counts_;
  EmbeddedRegion region_;
  std::vector<Member> members_;
  std::ptrdiff_t distance_ = 0;  // from where the first session sees a block to the second's place
  std::vector<Block> blocks_;
  std::map<const std::byte*, const std::byte*> ranges_;  // begin, end
  std::map<const std::byte*, Handle> stale_;  // the latest of what was freed there, by its begin
  std::size_t live_bytes_ = 0;
  std::uint64_t next_contents_ = 0;
};

}  // namespace allot::test
