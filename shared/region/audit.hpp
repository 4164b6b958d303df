// Audit: does a region add up? Invariant I7 of docs/design.md, in slices.
//
// Used by the daemon (for allotctl check, stats and sessions), by embedded mode and by tests. Three
// independent accounts must agree: what the descriptors and own words say, what the daemon's core
// accounts for (AuditInput), and what the heaps' counters say:
//
//   allocations - frees (heaps now attached) + retired_allocations - retired_frees
//     - recovered_blocks - reclaimed_blocks == live blocks by own words
//
// up to killed_heaps blocks: a killed thread may have stored the own word and not the counter.
//
// A region in use moves while it is read. Local violations are confirmed by a second read. Sums are
// compared only if neither the daemon's numbers nor any counter changed during the pass; otherwise
// the pass is repeated, up to max_passes times, and a difference that is left is in_motion, no
// violation. A thread that is attached may be in mid-operation for as long as it likes: one block
// for each heap is put down to that, unless the caller knows that nobody runs (AuditInput::quiet).
//
// Nothing read here is trusted and every loop is bounded. Not thread-safe; the caller's own events
// must not run during step(), but may between two steps.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include <allot/handle.hpp>

#include "shared/region/audit_report.hpp"
#include "shared/region/span_walk.hpp"

namespace allot::region {

/// What the daemon's core accounts for at one instant, and what may be touched.
struct AuditInput {
  struct Session {
    std::uint32_t id = 0;
    bool is_live = true;               // its threads may be in mid-operation
    std::uint32_t pending_grants = 0;  // charged already, without descriptors as yet
    std::uint64_t incarnation = 0;
    std::uint64_t granted_bytes = 0;

    friend bool operator==(const Session&, const Session&) = default;
  };

  std::uint64_t window_granules = 0;       // spans are looked for below
  std::uint32_t heap_window = kHeapLimit;  // heaps whose ledgers may be touched
  bool quiet = false;                      // no thread of any session runs: counters are exact
  bool has_accounts = true;                // false: sums and hidden names are not known
  std::vector<Session> sessions;           // all that are not absent
  std::vector<Handle> hidden_names;        // kept blocks whose name is gone, still pinned
  std::uint64_t granted_bytes = 0;
  std::uint64_t orphans = 0;
  std::uint64_t grants = 0;
  std::uint64_t returns = 0;
  std::uint64_t recovered_blocks = 0;
  std::uint64_t reclaimed_blocks = 0;
  std::uint64_t retired_allocations = 0;
  std::uint64_t retired_frees = 0;
  std::uint64_t killed_heaps = 0;

  friend bool operator==(const AuditInput&, const AuditInput&) = default;
};

class Audit final : private SpanSink {
 public:
  static constexpr std::uint32_t kDefaultPasses = 3;
  /// Asked at the start and at the end of each pass, and for names in between.
  using Source = std::function<AuditInput()>;

  Audit(RegionView view, Source source, std::uint32_t max_passes = kDefaultPasses);
  /// For a region whose core does nothing meanwhile.
  Audit(RegionView view, std::uint64_t window_granules, AuditInput input);

  /// Looks at about `budget_words` (at least 1) own words, or as much of something else. True when
  /// the audit is complete: report() is final then.
  [[nodiscard]] bool step(std::uint64_t budget_words);

  [[nodiscard]] const AuditReport& report() const noexcept { return report_; }

 private:
  enum class Stage : std::uint8_t { kBegin, kCounters, kSpans, kRecount, kNames, kFinish, kDone };
  struct Counters {
    std::uint64_t allocations = 0;
    std::uint64_t frees = 0;
    std::uint64_t heaps = 0;
    std::uint64_t heaps_of_live = 0;  // whose threads may be in mid-operation
    std::uint32_t next_heap = 0;
    std::map<std::uint64_t, HeapSums> of_sessions;

    friend bool operator==(const Counters&, const Counters&) = default;
  };

  void begin_pass();
  [[nodiscard]] bool count_heaps(Counters& counters, std::uint64_t& budget_words) const;
  [[nodiscard]] bool count_spans(std::uint64_t& budget_words);
  [[nodiscard]] bool check_names(std::uint64_t& budget_words);
  void check_name(Handle handle, std::uint32_t slot);
  void finish_pass();
  void check_table(const AuditInput& now);
  void check_accounts(const AuditInput& now, bool steady);
  void check_counters(const AuditInput& now, bool steady);
  void compare(bool steady, const Violation& violation);
  void collect_sessions();
  void refresh_names();

  void on_violation(const Violation& violation) override;
  void on_owned(std::uint32_t session, const OwnerSums& blocks) override;
  bool on_kept(std::uint64_t offset_bytes, std::uint32_t word, std::uint64_t block_bytes) override;
  bool is_present(std::uint32_t session) override;
  std::uint64_t present_limit_granules() override;

  RegionView view_;
  Source source_;
  std::uint32_t max_passes_;
  Stage stage_ = Stage::kBegin;
  AuditReport report_;

  // Of this pass.
  AuditInput input_;
  Counters before_;
  Counters after_;
  std::optional<SpanWalk> walk_;
  std::vector<SpaceSums> spaces_;     // by session: of the spans it has
  std::vector<OwnerSums> owned_;      // by session: of the blocks it owns
  std::vector<std::uint64_t> named_;  // handles that a name holds, sorted
  bool names_are_fresh_ = false;      // read during this step: nothing can have changed
  std::uint32_t next_name_ = 0;
  bool forgave_ = false;  // a difference was put down to motion
};

}  // namespace allot::region
