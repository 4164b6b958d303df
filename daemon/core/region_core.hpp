// RegionCore: what the daemon decides about one region: sessions, grants, reservations, names,
// recovery.
//
// Used by the daemon, by embedded mode and by tests. A function of its state and of each event:
// no I/O, no clock, no allocation in shared memory; it reads and writes the region through a
// RegionView of the caller's mapping (which must be open to header().high_water_granules). What
// needs the kernel comes out as a plan (commit these ranges, then finish) or as work to do in
// slices. Times named unix_ns are shown to people; now_ns is of a clock that nobody sets, for
// delays. Everything it reads from the ledger is input: bounds-checked, read once, loops bounded.
//
// Invariants (numbers as in docs/design.md)
// I4. After the recovery of session x no own word and no span names x; its id is reused only then.
// I7. Per session and region, granted bytes by descriptors equal the bytes accounted for here.
//
// Not thread-safe: one thread, no mutex.
#pragma once

#include <sys/types.h>

#include <array>
#include <bitset>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <allot/expected.hpp>
#include <allot/handle.hpp>

#include "daemon/core/dirty_ranges.hpp"
#include "daemon/core/extents.hpp"
#include "daemon/core/limits.hpp"
#include "daemon/core/totals.hpp"
#include "daemon/core/vault.hpp"
#include "shared/platform/seqpacket.hpp"
#include "shared/protocol/message.hpp"
#include "shared/region/region_view.hpp"

namespace allot::core {

using region::RegionView;

using Peer = platform::PeerCredentials;

enum class RegionFile : std::uint8_t { kDirectory, kLedger, kData };

struct FileRange {
  RegionFile file = RegionFile::kData;
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  friend bool operator==(const FileRange&, const FileRange&) = default;
};

/// A grant that is decided but not yet visible: commit `ranges`, open the mapping to
/// `high_water_granules`, then finish_grant(); or abandon_grant() if that fails. One of the two
/// must follow: the recovery of a session waits for its plans.
struct GrantPlan {
  std::uint32_t session = 0;
  std::uint64_t incarnation = 0;
  std::uint32_t first = 0;
  std::uint32_t granules = 0;
  std::uint32_t count = 0;
  std::uint32_t words = 0;
  std::uint64_t high_water_granules = 0;
  std::vector<FileRange> ranges;
  std::uint64_t used_granules = 0;  // whose pages may hold what was there before
};

struct SessionTicket {
  std::uint32_t id = 0;
  std::uint64_t incarnation = 0;
};

class RegionCore {
 public:
  /// Begins an empty region in zeroed memory; `tag` is the handles' region tag (1 .. 1023). Without
  /// a vault of the caller's the region ends with this object.
  RegionCore(RegionView view, std::string name, std::uint32_t tag, const Limits& limits,
             std::uint64_t now_unix_ns, VaultView vault = {});
  /// Goes on with a region whose daemon ended at any instruction; the caller has checked the
  /// directory's header, and opened `view` to its high-water mark and to every heap it names. Every
  /// session waits for resume() or begin_recovery(); begin_recovery() is done for those that were
  /// being recovered. kUntrustedRegion if directory and vault are not of one region.
  [[nodiscard]] static Expected<std::unique_ptr<RegionCore>> restore(RegionView view,
                                                                     VaultView vault,
                                                                     const Limits& limits);
  /// How many heaps' ledgers restore() touches.
  [[nodiscard]] static std::uint32_t heaps_to_open(const RegionView& view, const VaultView& vault);

  // Sessions.
  [[nodiscard]] Expected<SessionTicket> open_session(const Peer& peer, std::string_view label,
                                                     std::uint64_t now_unix_ns);
  /// The connection is gone but the image may live: no more grants, nothing taken.
  void detach(std::uint32_t session);
  /// Call it before the client gets its Welcome: from then on only its presence file tells that it is
  /// dead, also to the next daemon.
  void note_welcomed(std::uint32_t session);
  /// The daemon is about to end a connection that it cannot serve just now: the session may resume.
  void let_resume(std::uint32_t session);
  /// The process of a detached session that waits for it is connected again; kUnknownSession if none
  /// does. It waits until the client is heard of, who may not have got the answer.
  [[nodiscard]] Expected<void> resume(std::uint32_t session, std::uint64_t incarnation,
                                      const Peer& peer);
  void note_heard(std::uint32_t session);
  /// The client said goodbye: its counters are exact.
  void note_goodbye(std::uint32_t session);
  /// No image maps the session's presence file any more: recover what it held.
  void begin_recovery(std::uint32_t session);

  // Grants.
  [[nodiscard]] Expected<GrantPlan> plan_grant(std::uint32_t session,
                                               const protocol::GrantRequest& request,
                                               std::uint64_t available_bytes);
  [[nodiscard]] Expected<protocol::Granted> finish_grant(const GrantPlan& plan,
                                                         std::uint64_t now_unix_ns);
  void abandon_grant(const GrantPlan& plan);
  /// Gives spans back. kNotOwner, kBadArgument: then none of them.
  [[nodiscard]] Expected<void> return_spans(std::uint32_t session,
                                            const protocol::ReturnSpan& request,
                                            std::uint64_t now_ns);
  // Reservations: address space that only its session is granted from. No memory, no quota.
  [[nodiscard]] Expected<protocol::Reserved> reserve(std::uint32_t session,
                                                     const protocol::Reserve& request);
  /// What was granted in it stays granted; the rest is free.
  [[nodiscard]] Expected<void> unreserve(std::uint32_t session, std::uint64_t first);
  /// The reservation of `session` that begins at `from` or next behind it; of 0 granules if none.
  [[nodiscard]] Expected<protocol::Reserved> next_reservation(std::uint32_t session,
                                                              std::uint64_t from);
  /// The heap's id; commit its ledger (heap_range), open the mapping to it, then finish_heap(),
  /// which must follow: the recovery of the session waits for it, since it reads the ledger.
  [[nodiscard]] Expected<std::uint32_t> attach_heap(std::uint32_t session);
  /// If the ledger could not be committed, the heap is free again.
  void finish_heap(std::uint32_t heap, bool committed);
  [[nodiscard]] static FileRange heap_range(std::uint32_t heap) noexcept;
  /// Grants `session` an orphan of its user with free blocks of size class `bin`, whose live blocks stay
  /// whose they are; nothing if there is none, or the session has half of its quota. Looks at a bounded
  /// number of them. kBadArgument.
  [[nodiscard]] Expected<std::optional<protocol::Adopted>> adopt_orphan(std::uint32_t session,
                                                                        std::uint64_t bin);
  /// A block of the span at `first` was freed by somebody who does not have the span.
  void note_freed(std::uint64_t first, std::uint64_t now_ns);

  // Names.
  [[nodiscard]] Expected<void> publish(std::uint32_t session, std::string_view name, Handle handle,
                                       std::uint64_t now_unix_ns);
  [[nodiscard]] Expected<protocol::Found> find(std::uint32_t session, std::string_view name);
  [[nodiscard]] Expected<void> unpin(std::uint32_t session, Handle handle, std::uint64_t now_ns);
  /// What `session` has pinned, with the least handle above `above`; the null handle if nothing.
  [[nodiscard]] Expected<protocol::Found> next_pin(std::uint32_t session, std::uint64_t above);
  [[nodiscard]] Expected<void> unpublish(std::uint32_t session, std::string_view name,
                                         Handle handle, bool administrator, std::uint64_t now_ns);
  /// Makes every chunk of a published block of chunks untouched, if `session` is the only one that
  /// has it pinned and of the user who published it.
  [[nodiscard]] Expected<void> clear_chunks(std::uint32_t session, Handle handle);

  // Work in slices.
  struct Ended {
    std::uint32_t session = 0;
    std::uint64_t incarnation = 0;
  };
  /// True while recover_step() has something to do.
  [[nodiscard]] bool recovery_pending() const noexcept;
  /// Scans about `budget_words` own words; returns the sessions whose recovery is complete.
  [[nodiscard]] std::vector<Ended> recover_step(std::uint64_t budget_words, std::uint64_t now_ns);
  struct Repairs {
    std::uint64_t orphaned_spans = 0;   // of a session that is not there
    std::uint64_t rewritten_spans = 0;  // whose descriptor named another session than this one's
    std::uint64_t freed_blocks = 0;  // owned by a session that is not there, or kept without a name
  };
  /// What restore() and a recovery do about what no session owns, over the tables of a region in use:
  /// looks at spans from granule `next` on, about `budget_words` own words, and moves `next`; true at
  /// the end. What the accounts of this object say is believed, not what a descriptor says.
  [[nodiscard]] bool repair_step(std::uint32_t& next, std::uint64_t budget_words,
                                 std::uint64_t now_ns, Repairs& done);
  /// Frees orphans that hold no live block, a slice of them a call, and takes large blocks nobody
  /// collected.
  void sweep(std::uint64_t now_ns);
  /// True while a timer should call sweep().
  [[nodiscard]] bool sweep_wanted() const noexcept;
  /// Ranges to punch now (one free extent's part of at most `max_granules`), or nothing.
  [[nodiscard]] std::vector<FileRange> next_punch(std::uint32_t max_granules, std::uint64_t now_ns);
  /// What next_punch() gave last could not be punched: it is not zero, and is tried again later.
  void punch_failed(const FileRange& range, std::uint64_t now_ns);
  [[nodiscard]] bool punch_wanted() const noexcept { return !dirty_.is_empty() || !taken_.empty(); }
  /// So much is free and not punched that next_punch() does not wait any longer.
  [[nodiscard]] bool punch_is_urgent() const noexcept {
    return dirty_.granules() > kMostDelayedGranules;
  }

  // More than a session is likely to want back soon: 128 MiB.
  static constexpr std::uint64_t kMostDelayedGranules = 2048;

  // For reports and the audit.
  struct SessionRecord {
    region::SessionState state = region::SessionState::kAbsent;
    Peer peer;
    std::uint64_t incarnation = 0;
    std::uint64_t granted_bytes = 0;
    std::uint64_t granted_spans = 0;
    std::uint64_t grants = 0;             // requests served
    std::uint64_t reservation_bytes = 0;  // granted from or not
    std::uint32_t heaps = 0;
    std::uint32_t pending_grants = 0;  // planned, neither finished nor abandoned
    std::uint32_t pending_heaps = 0;   // attached, not finished
    bool said_goodbye = false;
    bool waits_for_resume = false;  // it was welcomed, on a connection that the daemon's side lost
    std::set<std::uint32_t> reservations;  // first granules
  };
  [[nodiscard]] const SessionRecord* session(std::uint32_t id) const noexcept;
  [[nodiscard]] std::uint32_t session_count() const noexcept {
    return static_cast<std::uint32_t>(sessions_.size());
  }
  [[nodiscard]] const std::map<std::uint32_t, SessionRecord>& sessions() const noexcept {
    return sessions_;
  }
  [[nodiscard]] const Totals& totals() const noexcept { return totals_; }
  /// Daemons that have served the region before this one.
  [[nodiscard]] std::uint64_t restarts() const noexcept { return restarts_; }
  /// Not granted, but its pages are not yet given back.
  [[nodiscard]] std::uint64_t dirty_bytes() const noexcept {
    return dirty_.granules() * region::kGranuleBytes;
  }
  /// Those given, with numbers where they said kPartOfRegion.
  [[nodiscard]] const Limits& limits() const noexcept { return limits_; }
  [[nodiscard]] const RegionView& view() const noexcept { return view_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint32_t tag() const noexcept { return tag_; }
  [[nodiscard]] std::uint64_t high_water_granules() const noexcept { return high_water_; }
  [[nodiscard]] ExtentMap& extents() noexcept { return extents_; }
  [[nodiscard]] std::uint64_t uid_granted_bytes(uid_t uid) const noexcept;
  [[nodiscard]] std::uint64_t uid_reservation_bytes(uid_t uid) const noexcept;
  /// The session that `granule` is reserved for, granted from or not; 0 if for none.
  [[nodiscard]] std::uint32_t reserved_for(std::uint32_t granule) const noexcept;
  /// How long the reservation that begins at `first` is; 0 if none does.
  [[nodiscard]] std::uint32_t reservation_granules(std::uint32_t first) const noexcept;
  [[nodiscard]] std::uint32_t orphan_count() const noexcept {
    return static_cast<std::uint32_t>(orphans_.size());
  }
  struct NameRecord {
    std::uint32_t slot = 0;
    Handle handle;
    uid_t uid = 0;
    std::set<std::uint32_t> pins;   // sessions
    std::uint64_t word = 0;         // which own word of the ledger is its block's
    std::uint32_t vault_index = 0;  // where the vault has it
  };
  /// Visible names, and hidden ones that are still pinned (their name is empty in the directory).
  [[nodiscard]] const std::map<std::string, NameRecord, std::less<>>& names() const noexcept {
    return names_;
  }
  [[nodiscard]] const std::vector<NameRecord>& hidden_names() const noexcept { return hidden_; }

 private:
  RegionCore(RegionView view, VaultView vault, const Limits& limits);
  // Of restore(), in this order.
  void restore_sessions();
  [[nodiscard]] Expected<void> restore_spans();
  [[nodiscard]] Expected<void> restore_reservations();
  void restore_heaps();
  void restore_memory();
  [[nodiscard]] bool names_are_possible() const noexcept;
  void restore_names();
  [[nodiscard]] Expected<SessionRecord*> live_session(std::uint32_t id);
  [[nodiscard]] Expected<void> check_grant(std::uint32_t session, const SessionRecord& record,
                                           const protocol::GrantRequest& request,
                                           std::uint64_t available_bytes);
  [[nodiscard]] Expected<std::uint32_t> place_spans(std::uint32_t session,
                                                    const protocol::GrantRequest& request);
  /// The span is free, or belongs to its reservation again.
  void release_span(std::uint32_t first);
  [[nodiscard]] Expected<void> check_reservation(std::uint32_t session, const SessionRecord& record,
                                                 std::uint64_t granules);
  void end_reservation(std::uint32_t first);
  void charge(const SpanInfo& info, std::uint32_t granules);
  void refund(const SpanInfo& info, std::uint32_t granules);
  void write_descriptors(const Extent& extent, region::SpanState state);
  void erase_descriptors(const Extent& extent);
  void note_refusal(Errc errc);
  void note_room();
  void free_span(Extent& extent, std::uint64_t now_ns);
  void recover_span(Extent& extent, std::uint64_t now_ns);
  void repair_span(Extent& extent, Repairs& done);
  void finish_recovery(std::uint32_t id);
  void add_orphan(Extent& extent);
  /// The class that its carve word says it is cut for; kLargeBin if for none.
  [[nodiscard]] std::uint32_t bin_of_span(const Extent& extent) const;
  /// An orphan that is cut for a class, and enough of whose blocks are free.
  [[nodiscard]] bool is_worth_adopting(const Extent& extent) const;
  void tell_of_orphan(const Extent& extent);
  void sweep_orphan(Extent& extent, std::uint64_t now_ns);
  void look_for_freed_large(std::uint64_t now_ns);
  void take_large_blocks(std::map<std::uint32_t, std::uint64_t>& noticed, std::uint64_t now_ns);
  bool holds_live_block(const Extent& extent) const noexcept;
  void take_large_block(const Extent& extent);
  /// True if nobody owns the block: its session is dead or not there, or the service has no name
  /// for own word `index` of the ledger (a member wrote it).
  [[nodiscard]] bool is_abandoned(std::uint32_t word, std::uint64_t index) const;
  [[nodiscard]] const NameRecord* find_record(Handle handle) const noexcept;
  [[nodiscard]] bool is_kept(const NameRecord& record) const noexcept;
  void end_chunks(std::uint64_t first);
  void free_kept_block(const NameRecord& record, std::uint64_t now_ns);
  /// Ends the pins of `session`, as many as `budget_words` allow, which it lessens. True if none is
  /// left.
  [[nodiscard]] bool drop_pins(std::uint32_t session, std::uint64_t& budget_words,
                               std::uint64_t now_ns);
  void hide(NameRecord& record, std::uint64_t now_ns);
  /// A block that is kept under `name` already.
  void add_name(std::string_view name, NameRecord record);
  void set_pin(NameRecord& record, std::uint32_t session, bool pinned);
  void retire_heap(std::uint32_t heap, bool killed);
  void finish_retirement();
  void fold_heaps(const SessionRecord& record, std::uint32_t id);

  RegionView view_;
  std::unique_ptr<std::byte, void (*)(void*)> own_vault_;
  VaultView vault_;
  std::string name_;
  std::uint32_t tag_ = 0;
  Limits limits_;
  ExtentMap extents_;
  std::uint64_t high_water_ = 0;
  std::uint64_t restarts_ = 0;
  std::map<std::uint32_t, SessionRecord> sessions_;
  std::unordered_map<uid_t, std::uint64_t> uid_granted_;
  struct Reservation {
    std::uint32_t end = 0;
    std::uint32_t session = 0;
  };
  using Reservations = std::map<std::uint32_t, Reservation>;  // by first granule; none overlap
  [[nodiscard]] Reservations::const_iterator reservation_at(std::uint32_t granule) const noexcept;
  Reservations reservations_;
  std::unordered_map<uid_t, std::uint64_t> uid_reserved_;
  std::bitset<region::kHeapLimit> heaps_used_;
  std::map<std::uint32_t, std::uint32_t> heap_sessions_;  // heap -> session

  std::map<std::string, NameRecord, std::less<>> names_;
  std::vector<NameRecord> hidden_;
  std::bitset<region::kNameLimit> name_slots_;
  std::bitset<region::kNameLimit> vault_names_;  // used
  std::multiset<std::uint64_t> kept_words_;      // of visible and hidden names

  // Recovery: one pass over all spans serves every session that was dead when it began.
  std::set<std::uint32_t> dead_waiting_;
  std::set<std::uint32_t> dead_in_pass_;
  std::uint32_t pass_granule_ = 0;
  std::uint32_t next_to_unpin_ = 0;  // those of the pass below it have no pins any more

  using OrphanKey = std::pair<std::uint32_t, std::uint32_t>;  // SpanInfo::orphan_bin, first granule
  std::set<OrphanKey> orphans_;
  OrphanKey next_orphan_;  // where the next sweep begins
  std::array<std::uint32_t, region::kClassCount>
      next_adoption_{};           // where a search begins: granule
  std::uint32_t next_large_ = 0;  // where it looks for large blocks
  bool large_left_to_look_at_ = false;
  bool found_large_ = false;                            // in the pass over the extents that goes on
  std::map<std::uint32_t, std::uint64_t> freed_large_;  // first granule -> when noticed
  std::map<std::uint32_t, std::uint64_t> unheard_large_;  // the same, without a message
  std::uint64_t pressure_count_ = 0;                      // times that memory was short
  DirtyRanges dirty_;
  std::map<std::uint32_t, std::uint32_t>
      taken_;       // spans of taken blocks: first -> granules punched
  Totals& totals_;  // in the vault
};

}  // namespace allot::core
