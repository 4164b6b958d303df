// CoreOracle: what a region must look like, kept the slow and plain way beside RegionCore.
//
// Used by CoreSimulation. It knows every own word, span, name, session, heap and dirty granule; it
// shares no code with the daemon's core (sums are added up anew, free runs are searched granule by
// granule, what a free leaves behind is worked out here). The simulation tells it what clients
// stored and what the daemon answered; compare() says where the region differs.
//
// Blocks that many sessions fill in chunks (carve word 3) are large blocks whose further words are no
// blocks: core_oracle_chunks.cpp.
//
// Recovery alone is not predicted store by store, since where a slice ends is the core's affair:
// after_recovery() accepts what a pass may have done so far, and checks it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/core/region_core.hpp"
#include "shared/region/region_view.hpp"

namespace allot::test {

struct BlockKey {
  std::uint32_t first = 0;  // granule of its span
  std::uint32_t index = 0;
  friend auto operator<=>(const BlockKey&, const BlockKey&) = default;
};

class CoreOracle {
 public:
  struct Session {
    std::uint64_t incarnation = 0;
    uid_t uid = 0;
    region::SessionState state = region::SessionState::kLive;
  };
  struct Span {
    std::uint32_t granules = 0;
    std::uint32_t words = 0;
    std::uint32_t session = 0;  // 0: orphan
    uid_t uid = 0;
    bool pending = false;  // planned, not visible
  };
  struct Reservation {
    std::uint32_t granules = 0;
    std::uint32_t session = 0;
    uid_t uid = 0;
  };
  struct Name {
    Handle handle;
    BlockKey block;
    std::uint64_t size_bytes = 0;
    uid_t uid = 0;
    std::set<std::uint32_t> pins;
  };

  CoreOracle(std::uint32_t granules, const core::Limits& limits);

  // Words, as clients store them.
  [[nodiscard]] std::uint32_t word(BlockKey block) const { return words_[at(block)]; }
  void set_word(BlockKey block, std::uint32_t to) { words_[at(block)] = to; }
  [[nodiscard]] std::uint64_t carve(std::uint32_t first) const { return carves_[first]; }
  void set_carve(std::uint32_t first, std::uint64_t to) { carves_[first] = to; }
  [[nodiscard]] bool holds_live_block(std::uint32_t first) const;

  // Spans.
  [[nodiscard]] const std::map<std::uint32_t, Span>& spans() const { return spans_; }
  /// Why a grant may be refused; empty: it must be served.
  [[nodiscard]] std::set<Errc> grant_obstacles(std::uint32_t session,
                                               const protocol::GrantRequest& request) const;
  void plan(const core::GrantPlan& plan);
  [[nodiscard]] const std::map<std::uint32_t, Reservation>& reservations() const {
    return reservations_;
  }
  /// How much must be reserved; `obstacles`: why nothing may be, if that is 0.
  [[nodiscard]] std::uint64_t reservable(std::uint32_t session, const protocol::Reserve& request,
                                         std::set<Errc>& obstacles) const;
  void reserve(std::uint32_t session, const protocol::Reserved& reserved);
  void unreserve(std::uint32_t first);
  /// True in a reservation, granted from or not.
  [[nodiscard]] bool is_set_aside(std::uint32_t granule) const { return set_aside_[granule]; }
  void finish(const core::GrantPlan& plan, bool visible);
  void free_span(std::uint32_t first, std::uint64_t since_ns);
  /// The daemon hears that a block of the span was freed.
  void note_freed(std::uint32_t first, std::uint64_t now_ns);
  void sweep(std::uint64_t now_ns);
  /// The core may also have taken freed large blocks that it found by their hints.
  void accept_taken_large(const region::RegionView& view);
  /// The daemon punches these; fails the test if it may not.
  void punch(const std::vector<core::FileRange>& ranges, std::uint64_t now_ns);

  // Names.
  std::map<std::string, Name>& names() { return names_; }
  [[nodiscard]] const std::vector<Name>& hidden() const { return hidden_; }
  void hide(const std::string& name, std::uint64_t now_ns);
  /// The visible or hidden name of `handle`; nullptr if there is none.
  [[nodiscard]] const Name* record(Handle handle) const;
  /// True if that was the last pin of a hidden name: its block is freed.
  bool unpin(Handle handle, std::uint32_t session, std::uint64_t now_ns);

  // Sessions.
  std::map<std::uint32_t, Session>& sessions() { return sessions_; }
  std::map<std::uint32_t, std::uint32_t>& heaps() { return heaps_; }
  [[nodiscard]] bool names_session(std::uint32_t session) const;
  /// A slice of recovery ran, and ended these sessions.
  void after_recovery(core::RegionCore& core, const std::vector<std::uint32_t>& ended,
                      std::uint64_t now_ns);

  /// The daemon was killed and restarted: nobody is connected, and all free memory up to the
  /// high-water mark may have pages.
  void restart(std::uint32_t high_water_granules);

  // Chunks.
  [[nodiscard]] bool is_chunked(std::uint32_t first) const {
    return carves_[first] == region::CarveWord::kChunked;
  }
  /// The words of the open chunks of `session` in the span at `first`.
  [[nodiscard]] std::vector<BlockKey> open_chunks(std::uint32_t session, std::uint32_t first) const;
  [[nodiscard]] bool fills_a_chunk(std::uint32_t session, std::uint32_t first) const {
    return !open_chunks(session, first).empty();
  }
  [[nodiscard]] bool fills_a_chunk(std::uint32_t session) const;
  [[nodiscard]] bool has_chunked_span(std::uint32_t session) const;
  /// Why `session` may not clear the chunks of `handle`; empty: it must be served.
  [[nodiscard]] std::set<Errc> clear_obstacles(std::uint32_t session, Handle handle) const;
  void clear_chunks(Handle handle);

  /// Fails the test where the core or the shared memory differ from what they must be.
  void compare(core::RegionCore& core) const;
  /// Fails the test if the product's audit finds anything, or counts other blocks than are here.
  void audit(const core::RegionCore& core) const;

 private:
  static std::size_t at(BlockKey block) {
    return std::size_t{block.first} * region::kWordsPerGranule + block.index;
  }
  [[nodiscard]] bool is_draining(std::uint32_t session) const;
  [[nodiscard]] bool has_free_run(std::uint64_t granules, std::uint32_t align) const;
  void add_run_obstacles(std::uint32_t session, const protocol::GrantRequest& request,
                         std::set<Errc>& obstacles) const;
  /// One block, shared in chunks or not.
  [[nodiscard]] bool is_large(std::uint32_t first) const;
  void end_chunks(std::uint32_t first);
  void free_kept(const Name& name, std::uint64_t now_ns);
  void drop_pins(std::uint32_t session, std::uint64_t now_ns);
  void accept_dropped_pins(const core::RegionCore& core, std::uint64_t now_ns);
  std::set<std::uint32_t> accept_recovered_words(const region::RegionView& view,
                                                 std::uint64_t now_ns);
  void accept_recovered_spans(core::RegionCore& core, std::uint64_t now_ns);

  void compare_spans(core::RegionCore& core) const;
  void compare_reservations(core::RegionCore& core) const;
  void compare_words(const core::RegionCore& core) const;
  void compare_space(std::uint32_t first, const Span& span) const;
  void compare_chunks(const core::RegionCore& core) const;
  void compare_sums(const core::RegionCore& core) const;
  void compare_names(const core::RegionCore& core) const;
  void compare_tables(const core::RegionCore& core) const;

  static constexpr std::uint64_t kClean = ~std::uint64_t{0};

  core::Limits limits_;
  std::map<std::uint32_t, Span> spans_;
  std::map<std::uint32_t, Reservation> reservations_;
  std::vector<bool> set_aside_;             // granules
  std::vector<bool> used_;                  // granules
  std::vector<std::uint64_t> dirty_since_;  // granules; kClean: nothing to punch
  std::vector<std::uint32_t> words_;
  std::vector<std::uint64_t> carves_;
  std::map<std::uint32_t, Session> sessions_;
  std::map<std::uint32_t, std::uint32_t> heaps_;  // heap -> session
  std::map<std::string, Name> names_;
  std::vector<Name> hidden_;
  std::map<std::uint32_t, std::uint64_t> noted_;  // large, freed by others: since when
  std::uint64_t recovered_blocks_ = 0;
  std::uint64_t reclaimed_blocks_ = 0;
};

}  // namespace allot::test
