// SessionState: the process's side of one session: mapping, heaps, spans, and the slow paths.
//
// Shared by all Session handles of the process. The fast paths (FastHeap) do not come here. One
// mutex guards spans, windows, pins and the channel; it may be held for as long as a request takes,
// so that who wants it gives up at his own deadline. No loop here waits for a store of another
// process. Split over several files: session_state.cpp (life), session_*.cpp, *_blocks.cpp,
// freeing.cpp and hand_over.cpp.
//
// When the daemon has been killed, the first request to the next one resumes the session and looks
// in the directory for what the dead one did and nobody heard of (session_reconnect.cpp).
//
// Invariants
// S1. A span of this session is in exactly one place: a heap's list, spares_, large_ or the list of
//     a reservation; or on its way from spares_ to a heap, which says so (ThreadHeap::arriving). It
//     is in none from before its return is sent on, unless the return was refused or never sent. A
//     return whose answer did not come in time may still be done: such a span is not used again
//     before the daemon that was asked is dead. Then the directory says whether it was done, and
//     what is left goes back into a list; whoever has spans in his hands while he makes a request
//     must not use them after it if walks_ has changed.
// S2. cells_[g] describes granule g if and only if the granule's span is in a heap's list.
// S3. window_granules_ only grows, and is published after the mapping is open that far.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include <allot/pool.hpp>
#include <allot/session.hpp>

#include "client/arena_notes.hpp"
#include "client/background_trim.hpp"
#include "client/call_deadline.hpp"
#include "client/channel.hpp"
#include "client/exit_watch.hpp"
#include "client/library_scope.hpp"
#include "client/owed_pins.hpp"
#include "client/presence.hpp"
#include "client/session_spans.hpp"
#include "client/thread_heap.hpp"
#include "shared/platform/window.hpp"
#include "shared/region/region_files.hpp"

namespace allot::detail {

class DebugState;
class DebuggedFree;

inline constexpr std::size_t kMaxAlignmentBytes = std::size_t{2} << 20;

/// Records why this thread's latest allocation failed.
void set_last_error(Error error) noexcept;

enum class Life : std::uint8_t { kOpen = 0, kClosed = 1, kForked = 2 };

class SessionState {
 public:
  struct Parts {
    protocol::Welcome welcome;
    std::string region_name;
    region::RegionFiles files;
    platform::Descriptor presence;
    std::unique_ptr<Channel> channel;
    std::unique_ptr<ExitWatch> exit_watch;  // null: deaths cannot be watched
    // Of the process's private heap: mapped already, used by its service too; there are no files.
    std::shared_ptr<region::RegionMapping> private_mapping;
    std::chrono::milliseconds deadline{0};
    std::chrono::milliseconds trim_every{0};  // 0: never by itself
    DebugOptions debug;
  };
  /// Maps the region and attaches the session's own heap.
  [[nodiscard]] static Expected<std::shared_ptr<SessionState>> open(Parts parts);
  /// One on which every call is kClosed.
  [[nodiscard]] static std::shared_ptr<SessionState> make_closed();
  SessionState(const SessionState&) = delete;
  SessionState& operator=(const SessionState&) = delete;
  ~SessionState();

  // Memory (session_spans.cpp, large_blocks.cpp, freeing.cpp).
  [[nodiscard]] void* allocate(std::size_t size_bytes, std::size_t alignment) noexcept;
  Errc free(void* block) noexcept;
  [[nodiscard]] void* reallocate(void* block, std::size_t size_bytes) noexcept;
  [[nodiscard]] std::size_t usable_size(const void* block) noexcept;
  std::size_t trim() noexcept;
  /// As trim(), without waiting; the other threads' heaps are asked to do what is theirs to do.
  void trim_in_background() noexcept;

  // Pools and batches (session_pools.cpp).
  struct OpenedPool {
    std::uint32_t bin = 0;
    std::uint32_t block_bytes = 0;
  };
  [[nodiscard]] Expected<OpenedPool> open_pool(const BlockPoolOptions& options);
  [[nodiscard]] void* allocate_in_pool(std::uint32_t bin) noexcept;
  [[nodiscard]] Batch allocate_n(std::size_t size_bytes, std::span<void*> blocks) noexcept;
  [[nodiscard]] Batch allocate_n(std::uint32_t bin, std::span<void*> blocks) noexcept;
  static constexpr std::uint32_t kAnyBin = ~std::uint32_t{0};
  /// Only of this bin, or another session's of `block_bytes`, unless it is kAnyBin.
  Batch free_n(std::span<void* const> blocks, std::uint32_t bin = kAnyBin,
               std::size_t block_bytes = 0) noexcept;
  Batch offer_n(std::span<const void* const> blocks, std::span<Handle> handles) noexcept;
  Batch adopt_n(std::span<const Handle> handles, std::span<void*> blocks) noexcept;

  // Reservations (session_reservations.cpp): address space for one arena, made usable from its
  // beginning, span by span. What the calls take and give are addresses of this process.
  struct Range {
    std::byte* base = nullptr;
    std::size_t bytes = 0;
  };
  /// `bytes`, or half as much as often as it takes, but at least `minimum_bytes`.
  [[nodiscard]] Expected<Range> reserve(std::size_t bytes, std::size_t minimum_bytes) noexcept;
  /// Makes the reservation usable from `base`, where its usable part ends, for `bytes`; new memory
  /// is zero. `populate`: mapped at once. If it fails nothing has changed.
  [[nodiscard]] Errc grow(std::byte* base, std::size_t bytes, bool populate) noexcept;
  /// Gives back what it can of the end of the usable part, down to `base`. Returns how many of its
  /// last `bytes` are no longer usable.
  std::size_t shrink(std::byte* base, std::size_t bytes) noexcept;
  /// Ends the reservation that begins at `base`; its memory goes back.
  void unreserve(std::byte* base) noexcept;

  // Handles (hand_over.cpp).
  [[nodiscard]] Expected<Handle> expose(const void* block, bool offer) noexcept;
  [[nodiscard]] Expected<void*> resolve(Handle handle) noexcept;
  [[nodiscard]] Expected<void*> adopt(Handle handle) noexcept;
  [[nodiscard]] Expected<void*> retract(Handle handle) noexcept;
  [[nodiscard]] std::vector<Handle> offers();

  // Names (session_names.cpp).
  [[nodiscard]] Expected<Handle> publish(std::string_view name, void* block);
  [[nodiscard]] Expected<FoundBlock> find(std::string_view name);
  [[nodiscard]] Expected<void> unpin(Handle handle);
  /// For who cannot try again: what cannot be sent in time is sent before the next request.
  void end_pin(Handle handle) noexcept;
  [[nodiscard]] Expected<void> unpublish(std::string_view name, Handle handle);

  [[nodiscard]] Expected<void> on_exit(const SessionId& other, std::function<void()> callback);

  // Blocks of chunks (chunked_blocks.cpp).
  struct ChunkedBlock {
    Handle handle;
    std::byte* data = nullptr;
    Atomic<std::uint32_t>* words = nullptr;  // word 0: the block's own
    std::uint32_t word_count = 0;
    std::uint64_t size_bytes = 0;
  };
  /// A large block with `words` own words, a multiple of kWordsPerUnit, `head` in those from 1 on
  /// and untouched chunks behind. `handle` is empty.
  struct ChunkedWanted {
    std::uint64_t size_bytes = 0;
    std::uint32_t words = 0;
    std::uint32_t chunk_count = 0;
    bool is_help = false;  // nobody waits long for it, and nothing is given up for it
  };
  [[nodiscard]] Expected<ChunkedBlock> make_chunked(const ChunkedWanted& wanted,
                                                    std::span<const std::uint32_t> head);
  /// As free(), if it is ours; it has `words` own words.
  void free_chunked(std::byte* block, std::uint32_t words) noexcept;
  /// The same, published.
  [[nodiscard]] Expected<Handle> publish_chunked(std::string_view name, std::uint64_t size_bytes,
                                                 std::span<const std::uint32_t> head,
                                                 std::uint32_t chunk_count);
  [[nodiscard]] Expected<ChunkedBlock> find_chunked(std::string_view name);
  /// The block's data once more, mapped without write permission.
  [[nodiscard]] Expected<std::shared_ptr<std::byte>> map_read_only(const ChunkedBlock& block);
  /// kArenaShared if this process or another one has found it more than once.
  [[nodiscard]] Expected<void> clear_chunks(Handle handle);

  /// Null: no mode is on.
  [[nodiscard]] const DebugState* debug() const noexcept { return debug_.get(); }
  /// The samples of DebugOptions::sample_bytes (session_debug.cpp).
  [[nodiscard]] Expected<std::string> heap_profile();

  // Life.
  [[nodiscard]] SessionId id() const noexcept;
  [[nodiscard]] std::size_t slot() const noexcept { return slot_; }
  [[nodiscard]] ArenaNotes& arena_notes() noexcept { return arena_notes_; }
  /// kOk, kClosed or kForked.
  [[nodiscard]] Errc life_error() const noexcept;
  /// False once it is closed or has lost its service; tries to reach the next one.
  [[nodiscard]] bool is_connected(CallDeadline& deadline) noexcept;
  void close() noexcept;
  /// The calling thread is about to end: its heap waits for the next thread.
  void park(ThreadHeap* heap) noexcept;
  // fork(): see process.cpp.
  void lock_for_fork();
  void unlock_after_fork();
  void become_forked() noexcept;
  /// Of the private heap, under those locks (session_in_child.cpp).
  void go_on_in_child();

 private:
  explicit SessionState(Parts parts) noexcept;
  [[nodiscard]] Expected<void> map_region();
  using Lock = ScopedLock<std::timed_mutex>;
  /// Holds mutex_ of an open session: kDeadline if others hold it too long, kClosed, kForked.
  [[nodiscard]] Expected<Lock> lock_open(CallDeadline& deadline);
  /// Goes on with the next daemon if this one dies, unless the session is closed.
  [[nodiscard]] Expected<protocol::Body> request_locked(const protocol::Body& body,
                                                        CallDeadline& deadline);
  /// False if it is lost, or must wait until the session is reconciled.
  bool post_locked(const protocol::Body& body) {
    return !unreconciled_ && parts_.channel->post(body);
  }
  [[nodiscard]] std::uint64_t request_ahead_locked(const protocol::Body& body) {
    return unreconciled_ ? 0 : parts_.channel->request_ahead(body);
  }
  [[nodiscard]] Expected<protocol::Body> request(const protocol::Body& body,
                                                 CallDeadline& deadline);
  void book_late_answers_locked(platform::Deadline until = platform::Deadline::min());

  // After a daemon's death (session_reconnect.cpp).
  /// Before a call that has something to give back: what was lost is found first.
  void reconnect_if_lost_locked(CallDeadline& deadline);
  [[nodiscard]] Expected<void> reconnect_locked(CallDeadline& deadline);
  [[nodiscard]] protocol::Resume make_resume() const;
  [[nodiscard]] Expected<void> reconcile_locked(CallDeadline& deadline);
  [[nodiscard]] std::set<std::uint32_t> known_spans_locked() const;
  void find_lost_spans_locked();
  void book_lost_span_locked(const region::SpanRef& span);
  void find_lost_heaps_locked();
  [[nodiscard]] Expected<void> end_lost_reservations_locked(CallDeadline& deadline);
  [[nodiscard]] Expected<void> end_lost_pins_locked(CallDeadline& deadline);
  [[nodiscard]] Expected<void> tell_locked(const protocol::Body& body, CallDeadline& deadline);
  [[nodiscard]] bool is_published_locked(const protocol::Publish& wanted) const;
  [[nodiscard]] bool was_done_locked(const protocol::Body& body, const Error& refused) const;

  // Heaps; mutex_ held where the name ends in _locked.
  [[nodiscard]] ThreadHeap* this_threads_heap() noexcept;
  [[nodiscard]] ThreadHeap* unpark() noexcept;
  [[nodiscard]] std::vector<ThreadHeap*> take_parked() noexcept;
  [[nodiscard]] Expected<ThreadHeap*> heap_for_this_thread(CallDeadline& deadline);
  [[nodiscard]] Expected<ThreadHeap*> unpark_or_attach(CallDeadline& deadline);
  [[nodiscard]] Expected<ThreadHeap*> attach_heap_locked(CallDeadline& deadline);
  [[nodiscard]] Expected<std::uint32_t> take_heap_id_locked(CallDeadline& deadline);

  // Small and medium blocks.
  [[nodiscard]] Expected<void*> allocate_from_bin(std::uint32_t bin, CallDeadline& deadline);
  [[nodiscard]] Expected<void*> allocate_from(ThreadHeap& heap, std::uint32_t bin,
                                              CallDeadline& deadline);
  /// For `heap`, which is to carve it.
  [[nodiscard]] Expected<std::uint32_t> take_span(ThreadHeap& heap, const SpareKind& kind,
                                                  CallDeadline& deadline);
  void take_spares_locked(std::size_t kept_granules, std::vector<std::uint32_t>& out);
  [[nodiscard]] Expected<void> obtain_spares_locked(const SpareKind& kind, CallDeadline& deadline);
  [[nodiscard]] std::uint32_t next_batch(const SpareKind& kind);
  void ask_ahead_locked(const SpareKind& kind, bool is_slow);
  void await_growth_locked(CallDeadline& deadline);
  /// True if `heap` has got a span of `bin` with free blocks, of a session that is gone.
  [[nodiscard]] bool adopt_orphan(ThreadHeap& heap, std::uint32_t bin, const SpareKind& kind,
                                  CallDeadline& deadline);
  [[nodiscard]] bool take_over_late_locked(ThreadHeap& heap, std::uint32_t bin);
  void take_over_all_late_locked(ThreadHeap& heap);
  [[nodiscard]] std::uint32_t orphan_bin_locked(std::uint64_t first) const;
  [[nodiscard]] Expected<protocol::Granted> grant_locked(const protocol::GrantRequest& wanted,
                                                         CallDeadline& deadline);
  /// The same; if there is no room, what this process has in reserve goes back first.
  [[nodiscard]] Expected<protocol::Granted> grant_or_trim_locked(
      const protocol::GrantRequest& wanted, CallDeadline& deadline);
  std::size_t trim_locked(CallDeadline& deadline);
  void store_spares_locked(const protocol::Granted& granted);
  [[nodiscard]] Expected<void> open_window_locked(std::uint64_t granules);
  // The caller has taken the span out of all lists; it goes on if the return was refused. kUnknown
  // says, too, that the directory was looked at meanwhile: what was left is in a list.
  using Outcome = Channel::Outcome;
  enum class Return : std::uint8_t { kDone, kRefused, kNotSent, kUnknown };
  static constexpr bool answered(Return returned) noexcept { return returned <= Return::kRefused; }
  static constexpr bool is_still_ours(Return returned) noexcept {
    return returned == Return::kRefused || returned == Return::kNotSent;
  }
  /// `granules`: not 0 for a run of spans side by side from `first` on.
  [[nodiscard]] Return return_span_locked(std::uint32_t first, CallDeadline& deadline,
                                          std::uint32_t granules = 0);
  std::size_t return_spans_locked(std::vector<std::uint32_t>& spans, bool& is_answered,
                                  CallDeadline& deadline);
  using SpanIterator = std::vector<std::uint32_t>::const_iterator;
  struct SpanRun {
    SpanIterator end;
    std::uint32_t granules = 0;
  };
  /// The spans side by side, as many as a message may have, from `begin` on.
  [[nodiscard]] SpanRun run_of(SpanIterator begin, SpanIterator end) const;
  void relieve_pressure_locked(CallDeadline& deadline);
  void forget_obtained_locked(std::uint32_t first);
  void give_back_surplus(ThreadHeap& heap, std::uint32_t bin) noexcept;
  void give_back_free(ThreadHeap& heap, std::uint32_t wanted_bin) noexcept;
  [[nodiscard]] bool may_post_locked();
  void post_returns_locked(std::vector<std::uint32_t>& spans) noexcept;
  void keep_span_locked(std::uint32_t first);

  // Large blocks.
  [[nodiscard]] Expected<void*> allocate_large(std::uint64_t size_bytes, std::size_t alignment,
                                               CallDeadline& deadline);
  struct LargeWanted {
    std::uint32_t granules = 0;
    std::uint32_t align_granules = 1;
    std::uint32_t words = 0;  // at least
    bool may_trim = true;
  };
  struct LargeTaken {
    std::uint32_t first = 0;
    std::uint32_t generation = 0;
  };
  /// A span for one block, in large_, from the cache or the daemon.
  [[nodiscard]] Expected<LargeTaken> obtain_large_locked(const LargeWanted& wanted,
                                                         CallDeadline& deadline);
  [[nodiscard]] Expected<std::uint32_t> take_large_span_locked(const LargeWanted& wanted,
                                                               CallDeadline& deadline);
  /// Makes a block of the whole span, ours, and counts it; the other words are written before.
  void own_span_locked(std::uint32_t first, std::uint32_t generation,
                       std::uint64_t carve = region::CarveWord::kLarge);
  [[nodiscard]] std::uint32_t find_cached_large_locked(const LargeWanted& wanted);
  // False if the daemon does not answer.
  [[nodiscard]] bool collect_large_locked(CallDeadline& deadline);
  using LargeCache = std::multimap<std::uint32_t, std::uint32_t>;  // granules -> first
  void cache_large_locked(std::uint32_t first);
  void uncache_large_locked(LargeCache::iterator entry);
  [[nodiscard]] Return return_large_locked(std::uint32_t first, CallDeadline& deadline);
  std::size_t return_cached_large_locked(CallDeadline& deadline);
  void post_cached_large_locked() noexcept;
  void keep_freed_large(std::uint32_t first, CallDeadline& deadline);

  // Reservations.
  [[nodiscard]] std::uint32_t granule_of(const std::byte* address) const noexcept;
  [[nodiscard]] Reservations::iterator reservation_at(std::uint32_t granule) noexcept;
  [[nodiscard]] Errc grow_locked(Reservation& reservation, std::uint32_t end,
                                 std::vector<GrownSpan>& grown, CallDeadline& deadline);
  [[nodiscard]] bool book_growth_locked(const protocol::Granted& granted);
  [[nodiscard]] bool disown_span_locked(std::uint32_t first);
  [[nodiscard]] bool drop_last_span_locked(Reservation& reservation, CallDeadline& deadline);
  void prepare_grown(const std::vector<GrownSpan>& grown, bool populate) noexcept;

  // Freeing and handing over. Tries of a compare-and-swap on a word that will not hold still.
  static constexpr int kTries = 16;
  [[nodiscard]] Errc locate(std::uint64_t offset_bytes, region::BlockRef& found,
                            CallDeadline& deadline) noexcept;
  [[nodiscard]] Errc locate(const void* block, region::BlockRef& found,
                            CallDeadline& deadline) noexcept;
  [[nodiscard]] Errc check_owner(std::uint32_t word) const noexcept;
  // Blocks of one span that were freed to whoever has it, and that he does not know of as yet.
  struct FreedRun {
    region::BlockRef latest;
    bool is_empty = true;
    bool of_session = false;
  };
  [[nodiscard]] Atomic<std::uint32_t>* known_word(const ThreadHeap* heap,
                                                  std::uint64_t offset_bytes) noexcept;
  /// This thread's heap, for what needs no debug mode; null where one wants to see every block.
  [[nodiscard]] ThreadHeap* knowing_heap() const noexcept {
    FastHeap* const heap = tls_heaps.data()[slot_];
    return debug_ == nullptr && heap->session == this ? static_cast<ThreadHeap*>(heap) : nullptr;
  }
  [[nodiscard]] std::uint64_t offset_of(const void* block) const noexcept {
    return reinterpret_cast<std::uintptr_t>(block) -
           reinterpret_cast<std::uintptr_t>(mapping_.data());
  }
  [[nodiscard]] static bool is_granted(const region::BlockRef& found) noexcept;
  [[nodiscard]] bool is_of_session(const region::BlockRef& found) const noexcept;
  [[nodiscard]] std::uint32_t counted_bin(const region::BlockRef& found) const noexcept;
  [[nodiscard]] bool free_met(ThreadHeap* heap, const void* block) noexcept;
  static bool set_hint(region::SpanLedger& ledger) noexcept;
  [[nodiscard]] Errc free(const region::BlockRef& found, void* block, FreedRun& run,
                          CallDeadline& deadline) noexcept;
  [[nodiscard]] Errc free_in_pool(std::uint32_t bin, std::size_t block_bytes, void* block,
                                  FreedRun& run, CallDeadline& deadline) noexcept;
  void end_run(FreedRun& run) noexcept;
  void free_elsewhere(const region::BlockRef& found, bool of_session) noexcept;
  void prefetch(std::span<const Handle> handles) const noexcept;
  [[nodiscard]] static Batch finish_batch(std::span<void*> blocks, std::size_t count,
                                          Error error) noexcept;
  void count_free(std::uint32_t bin, ThreadHeap* heap) noexcept;
  [[nodiscard]] Expected<void*> take_offered(Handle handle, bool only_own,
                                             CallDeadline& deadline) noexcept;
  [[nodiscard]] std::optional<Errc> take_known(const ThreadHeap* heap, Handle handle,
                                               bool only_own) noexcept;
  /// `before`: the own word that it replaced.
  [[nodiscard]] Errc take_offered(Atomic<std::uint32_t>& own, Handle handle, bool only_own,
                                  std::uint32_t& before) noexcept;
  [[nodiscard]] Expected<region::BlockRef> locate_handle(Handle handle,
                                                         CallDeadline& deadline) noexcept;
  [[nodiscard]] Expected<Handle> expose(const void* block, bool offer,
                                        CallDeadline& deadline) noexcept;
  [[nodiscard]] Errc expose(const ThreadHeap* heap, const void* block, bool offer,
                            Handle& handle) noexcept;
  [[nodiscard]] Errc expose(Atomic<std::uint32_t>& own, std::uint64_t offset_bytes, bool offer,
                            Handle& handle) const noexcept;
  [[nodiscard]] Expected<void*> resolve(Handle handle, CallDeadline& deadline) noexcept;
  [[nodiscard]] Expected<void> unpin_locked(Handle handle, CallDeadline& deadline);
  void end_pin(Handle handle, CallDeadline& deadline) noexcept;
  void book_owed_pins_locked();

  // Debug modes (session_debug.cpp). Reports are made without a lock: they may call us. Each is
  // called only where debug_ is there, but for the two that say so.
  void debug_allocated(void* block) noexcept;
  void debug_adopted(const region::BlockRef& found, void* block) noexcept;
  void debug_exposed(const region::BlockRef& found, const void* block) noexcept;
  [[nodiscard]] bool debug_freeing(DebuggedFree& debugged, const region::BlockRef& found,
                                   void* block, std::uint32_t& word) noexcept;
  /// Of what a call refused; nothing if it is no mistake of the caller's, or no mode is on.
  void debug_refused(Errc errc, const void* block) noexcept;
  /// The range is out of use; nothing if no mode is on.
  void debug_forget(std::uint32_t first, std::uint64_t granules) noexcept;
  /// The same of what goes back: `granules` is 0 for one whole span.
  void debug_forget_returned(std::uint32_t first, std::uint32_t granules) noexcept;
  [[nodiscard]] Misuse misuse_of(Misuse::Kind kind, const void* block) noexcept;
  [[nodiscard]] bool drop_damaged(ThreadHeap& heap, std::uint32_t bin) noexcept;
  // A forked child.
  [[nodiscard]] bool is_private() const noexcept { return parts_.private_mapping != nullptr; }
  [[nodiscard]] std::set<std::uint32_t> listed_spans() const;
  void inherit_span(ThreadHeap& heir, const region::SpanRef& span);

  Parts parts_;
  std::unique_ptr<DebugState> debug_;  // null: no mode is on
  std::uint32_t id_;
  std::size_t slot_ = kMaxSessionsPerProcess;     // none as yet
  detail::Atomic<std::uint32_t> life_{};          // a Life
  detail::Atomic<std::uint32_t> heap_refused_{};  // the latest thread that wanted a heap got none
  std::timed_mutex mutex_;
  std::mutex counters_mutex_;  // of session_heap_'s counters; taken last
  region::RegionMapping own_mapping_;
  region::RegionMapping& mapping_;
  region::RegionView view_;
  detail::Atomic<std::uint64_t> window_granules_{};
  SpanCell* cells_ = nullptr;
  Presence presence_;
  Outcome latest_outcome_ = Outcome::kAnswered;  // of request_locked()
  bool unreconciled_ = false;                    // connected again, and nothing else as yet
  std::uint64_t walks_ = 0;                      // for spans that nobody knew of
  // Counts large blocks, and what threads without a heap free; has no blocks.
  ThreadHeap* session_heap_ = nullptr;
  std::vector<ThreadHeap*> heaps_;
  std::mutex parked_mutex_;  // of parked_; a thread that ends waits for no daemon
  std::vector<ThreadHeap*> parked_;
  std::vector<PoolShape> pools_;  // by bin, from kFirstPoolBin on
  std::map<SpareKind, std::vector<std::uint32_t>> spares_;
  std::map<SpareKind, std::uint64_t> obtained_;  // spans, since the latest trim
  // The one request for spans whose answer nobody waits for; the number is 0 if there is none.
  struct Ahead {
    std::uint64_t request = 0;
    SpareKind kind{};
    bool is_refused = false;  // the latest; no other is made before spans come again
  };
  Ahead ahead_;
  std::array<std::uint64_t, region::kClassCount> seen_orphan_news_{};  // that were asked about
  std::vector<std::uint64_t> late_orphans_;             // first granules; adopted, and in no heap
  std::chrono::steady_clock::time_point requested_at_;  // spans, the latest time
  // Raised when every heap shall give back its free spans, at its own next call that is not fast.
  detail::Atomic<std::uint64_t> trim_round_{};
  std::unique_ptr<BackgroundTrim> background_trim_;
  std::uint64_t seen_pressure_ = 0;           // the directory's latest that was answered by a trim
  std::map<std::uint32_t, LargeSpan> large_;  // by first granule
  LargeCache large_cache_;
  std::uint64_t large_cache_bytes_ = 0;
  Reservations reservations_;
  struct Pin {
    std::uint32_t finds = 0;  // the daemon counts one a session
    bool ended = false;       // its end was sent, and no answer came: true if the daemon lives
  };
  std::map<Handle, Pin> pins_;
  // They still count in pins_. Null in a forked child.
  std::unique_ptr<OwedPins> owed_pins_ = std::make_unique<OwedPins>();
  std::vector<Handle> late_pins_;          // whose callers gave up; they are still to be ended
  std::vector<std::uint32_t> late_heaps_;  // the same; the next threads' heaps
  std::vector<std::uint32_t> late_reservations_;  // the same; still to be ended
  ArenaNotes arena_notes_{*this};
};

/// The state behind a public handle, for other parts of the library.
struct SessionAccess {
  static SessionState& state(const Session& session) noexcept { return *session.state_; }
  static Session wrap(std::shared_ptr<SessionState> state) noexcept {
    return Session(std::move(state));
  }
};

}  // namespace allot::detail
