// Session: one process's use of one region. Allocate, free, hand over, publish, find.
//
// Used by every thread of a client process. A Session is a handle (a shared pointer) to the one
// session that this process has in a region; copies are cheap; the session ends when the last copy
// is gone, at close(), or with the process, however it ends. All calls may be made from any thread
// unless they say otherwise. allocate() and free() cost a few nanoseconds and make no system call
// unless a span must be granted; they never throw. Calls that return Expected may send a message
// to allotd and then wait, at most until the session's deadline.
//
// After fork() the child has no session: every call on the inherited one returns Errc::kForked
// (allocate: nullptr) and destructors do nothing; the child may connect() anew. After exec() the
// old session ends. Call it in no signal handler: a session with a debug mode
// on ends the program that does so in the middle of another call.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <allot/debug.hpp>
#include <allot/errc.hpp>
#include <allot/expected.hpp>
#include <allot/export.hpp>
#include <allot/handle.hpp>

namespace allot {

namespace detail {
class SessionState;
struct SessionAccess;
struct FastHeap;
}  // namespace detail

template <class T>
class Owned;
template <class T>
class Pinned;

/// Names a session among all that a region ever had. Plain data: send it as it is.
struct SessionId {
  std::uint32_t session = 0;
  std::uint32_t reserved = 0;
  std::uint64_t incarnation = 0;
  friend bool operator==(const SessionId&, const SessionId&) = default;
};

struct ConnectOptions {
  /// The daemon's client socket. Empty: $ALLOT_RUNTIME_DIR/client.sock if that is set, else
  /// /run/allot/client.sock, then $XDG_RUNTIME_DIR/allot/client.sock.
  std::filesystem::path socket_path;
  /// Which region; "default" exists unless the configuration names others.
  std::string region = "default";
  /// Shown by allotctl sessions; at most 15 bytes are kept. Empty: the program's name.
  std::string label;
  /// How long any call waits for the daemon.
  std::chrono::milliseconds deadline{5000};
  /// How often a thread of the library calls trim(), so that memory goes back while the program's
  /// threads sleep; each of these gives back its own wholly free spans when it next allocates what
  /// its heap has no free block of. 0: never. Of a session that this process has there already, the
  /// first connect's value holds. A negative one is kBadArgument.
  std::chrono::milliseconds trim_every{0};
  /// What it fills, checks and remembers to find mistakes; ALLOT_DEBUG adds to it. Of a session that
  /// this process has there already the options of its first connect hold.
  DebugOptions debug = {};
};

/// A block that was found by name: readable for as long as `pin` lives.
struct FoundBlock {
  const void* address = nullptr;
  std::size_t size_bytes = 0;
  Handle handle;
};

/// What a call on several blocks did.
struct Batch {
  std::size_t count = 0;  // blocks that it allocated, freed, offered or adopted
  Errc errc = Errc::kOk;  // why it is not all of them: of the first that was refused
  explicit operator bool() const noexcept { return errc == Errc::kOk; }
  /// One more was done, or refused.
  void note(Errc one) noexcept {
    if (one == Errc::kOk) {
      ++count;
    } else if (errc == Errc::kOk) {
      errc = one;
    }
  }
};

class ALLOT_EXPORT Session {
 public:
  /// Connects to allotd and maps the region, or returns the session that this process has there
  /// already. A session outlives its daemon where another one takes over the region: the next call
  /// that needs it waits for that one and goes on. If none does (kDaemonGone), this makes a new
  /// session with the daemon that answers now. The old one's blocks stay valid for those who hold
  /// its handles, but the new one knows nothing of them: its region is another, kForeignRegion.
  /// Errors say where it looked and what to do (kNoDaemon, kNotAllowed, kUnknownRegion,
  /// kLayoutMismatch, kTooManySessions, kAddressSpace, kDeadline, ...), or which word of ALLOT_DEBUG
  /// means nothing (kBadArgument).
  [[nodiscard]] static Expected<Session> connect(const ConnectOptions& options = {});

  // --- memory ---

  /// Allocates `size_bytes` (1 .. the session's quota), aligned to 16 or to the largest power of
  /// two that divides the block's size class. Contents unspecified. Owned by this session until
  /// freed or adopted by another. nullptr on failure: last_error() says why. No syscall unless a
  /// span must be granted.
  [[nodiscard]] void* allocate(std::size_t size_bytes) noexcept;

  /// Like allocate(), aligned to `alignment` (a power of two, 1 .. 2 MiB).
  [[nodiscard]] void* allocate_aligned(std::size_t size_bytes, std::size_t alignment) noexcept;

  /// Frees a block that this session owns, whoever allocated it. nullptr is ignored. Anything but
  /// a block of ours changes nothing: kNotInRegion, kNotABlock, kInteriorPointer, kDoubleFree,
  /// kNotOwner, kCorruptWord, kForked.
  Errc free(void* block) noexcept;

  /// Makes a block of ours `size_bytes` long, in place if it has the room and would not be less than
  /// half full; else its contents move to a new block, as far as they fit, and `block` is freed. A
  /// handle of a block that moves is stale. nullptr on failure: last_error() says why, and `block`
  /// is as it was; one that is offered must be retracted first (kBadArgument). nullptr for `block`:
  /// as allocate().
  [[nodiscard]] void* reallocate(void* block, std::size_t size_bytes) noexcept;

  /// Allocates a block of `size_bytes` for each element of `blocks`, as allocate() does, until all
  /// are there or one is refused: those behind it are set to nullptr, and last_error() says why.
  [[nodiscard]] Batch allocate_n(std::size_t size_bytes, std::span<void*> blocks) noexcept;

  /// Frees each of `blocks`, as free() does; one that is refused keeps none of the others. Cheaper
  /// than one by one for blocks of other threads and processes, best with neighbours side by side.
  Batch free_n(std::span<void* const> blocks) noexcept;

  /// Bytes that may be used at `block`: at least what was asked for. 0 if it is no block.
  [[nodiscard]] std::size_t usable_size(const void* block) const noexcept;

  /// Why this thread's latest allocate() returned nullptr.
  [[nodiscard]] static const Error& last_error() noexcept;

  /// Gives back what this process holds free: spare spans, cached large blocks, and wholly free
  /// spans of the calling thread and of threads that have ended. Returns bytes given back.
  std::size_t trim() noexcept;

  // --- handles and ownership ---

  /// The handle of a block that this session owns (any address it returned). From now on its
  /// generation changes when it is freed, so the handle goes stale.
  [[nodiscard]] Expected<Handle> handle_of(const void* block) noexcept;

  /// Where the block of `handle` lies in this process, without owning it: it may be freed by its
  /// owner at any time. kStaleHandle, kForeignRegion, kNotInRegion.
  [[nodiscard]] Expected<void*> resolve(Handle handle) noexcept;

  /// Lets any one session of the region adopt `block`. Ours, and freed by free() or at our end,
  /// until somebody does.
  [[nodiscard]] Expected<Handle> offer(const void* block) noexcept;

  /// Takes an offered block: this session owns it from now on. Exactly one adopter succeeds.
  /// kStaleHandle, kNotOffered, kForeignRegion, kNotInRegion.
  [[nodiscard]] Expected<void*> adopt(Handle handle) noexcept;

  /// Offers each of `blocks`, as offer() does, into `handles`, which is as long; an empty handle for
  /// one that is refused, and the others go on. Cheaper than one by one right after the blocks were
  /// written: each offer waits until what its thread has written is in its processor's cache.
  /// kBadArgument, and nothing is offered, if the spans differ in length.
  Batch offer_n(std::span<const void* const> blocks, std::span<Handle> handles) noexcept;

  /// Adopts each of `handles`, as adopt() does, into `blocks`, which is as long; nullptr for one that
  /// is refused, and the others go on. Cheaper than one by one: the first bytes of all blocks are on
  /// their way to this processor's cache when it returns. kBadArgument, and nothing is adopted, if
  /// the spans differ in length.
  Batch adopt_n(std::span<const Handle> handles, std::span<void*> blocks) noexcept;

  /// Takes back what this session offered, unless somebody adopted it (kNotOwner, kNotOffered).
  [[nodiscard]] Expected<void*> retract(Handle handle) noexcept;

  /// Blocks that this session offers and nobody has adopted. Scans the region's own words.
  [[nodiscard]] std::vector<Handle> offers() const;

  // --- names ---

  /// Gives `block` to the service under `name` (1 .. 63 printable characters): it stays when this
  /// session ends, until unpublish(). On error the block is still ours; but after kDeadline or
  /// kDaemonGone the service may have taken it all the same. Then free() says kNotOwner, and find()
  /// and unpublish() work as after a success.
  [[nodiscard]] Expected<Handle> publish(std::string_view name, void* block);

  /// Finds a published block and pins it: it stays readable until unpin(), also if it is
  /// unpublished meanwhile. Pins end with the session. Many may find one block.
  [[nodiscard]] Expected<FoundBlock> find(std::string_view name);

  /// Ends this session's pin: the block must be read no more, whatever this returns. After an error
  /// try again; it succeeds if the pin has ended meanwhile.
  [[nodiscard]] Expected<void> unpin(Handle handle);

  /// Hides the name at once; the block is freed when nobody pins it any more. kNotOwner unless
  /// the same user published it.
  [[nodiscard]] Expected<void> unpublish(std::string_view name, Handle handle);

  // --- typed ---

  /// Constructs a T in a new block. T must be trivially destructible: when its owner is killed no
  /// destructor runs.
  template <class T, class... Args>
  [[nodiscard]] Owned<T> make(Args&&... args);

  /// `count` value-initialised Ts in a new block.
  template <class T>
  [[nodiscard]] Owned<T[]> make_array(std::size_t count);

  /// Adopts a block as a T (or T[]); kTypeMismatch if it is too small or badly aligned for one,
  /// and then nothing is adopted.
  template <class T>
  [[nodiscard]] Expected<Owned<T>> adopt(Handle handle);

  /// Finds and pins a published T for reading.
  template <class T>
  [[nodiscard]] Expected<Pinned<T>> find(std::string_view name);

  // --- what holds memory ---

  /// The live blocks of this session that DebugOptions::sample_bytes made it sample, by the stack
  /// that allocated or adopted them, as text that pprof reads ("heap_v2": pprof scales it to all
  /// blocks). A block that was given away or published is not in it. kBadArgument if nothing is
  /// sampled, kClosed, kForked. Any thread; time and memory as the number of samples.
  [[nodiscard]] Expected<std::string> heap_profile() const;

  /// Writes heap_profile() to a file, new or emptied: `google-pprof PROGRAM path` shows it.
  [[nodiscard]] Expected<void> write_heap_profile(const std::filesystem::path& path) const;

  // --- the session itself ---

  [[nodiscard]] SessionId id() const noexcept;

  /// Calls `callback` once, on a thread of the library, when the other session has ended and
  /// everything it held is recovered. If it has ended already, soon after this call returns. The
  /// callback may use this session, close() it, and drop its last handle; a callback that was not
  /// called when the session closes never is. One that throws ends the program (std::terminate).
  /// kSystem if there can be no thread.
  [[nodiscard]] Expected<void> on_exit(const SessionId& other, std::function<void()> callback);

  /// Ends the session now: what it still owns is freed, its mappings go. No other thread of the
  /// program may be inside a call; an on_exit() callback that runs is waited for, unless this is
  /// called in it. Copies of this Session return kClosed from then on.
  void close() noexcept;

  /// True for two handles to one session.
  friend bool operator==(const Session& a, const Session& b) noexcept {
    return a.state_ == b.state_;
  }

 private:
  friend class EmbeddedRegion;
  friend struct FastAccess;
  friend struct detail::SessionAccess;
  template <class T>
  friend class Pinned;
  /// unpin() for a destructor: what cannot be said in time is said before the next request.
  void end_pin(Handle handle) noexcept;
  explicit Session(std::shared_ptr<detail::SessionState> state) noexcept;

  std::shared_ptr<detail::SessionState> state_;
  std::ptrdiff_t heap_entry_;  // see detail::this_threads_fast_heap()
};

}  // namespace allot

#include <allot/owned.hpp>
