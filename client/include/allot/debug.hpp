// Debug modes of a session: what it fills, checks, remembers and says besides its work.
//
// Switched on when a session connects, by ConnectOptions::debug or by the environment variable
// ALLOT_DEBUG, and on until it ends. Used by programs that look for a mistake of theirs, or for what
// holds their memory; docs/debugging.md shows how. All of it is of this process: another session of
// the region has modes of its own, and sees none of these.
//
// While none is on there is no cost, neither in time nor in memory. While any is on, every
// allocation and every free takes the slow path (some 100 ns and a mutex of the session), and:
//   fill      writes every byte of a block when it is handed out and when it is freed, and reads it
//             in between; large blocks become resident as a whole
//   report    nothing more before there is something to report
//   stacks    some microseconds for each call, and some 150 bytes for each block
//   sample    some microseconds and 150 bytes for each block that is sampled
//   annotate  what the sanitizer or Valgrind takes; nothing where neither is there
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <allot/export.hpp>

namespace allot {

/// What DebugOptions::fill writes.
inline constexpr unsigned char kFreshByte = 0xA5;
inline constexpr unsigned char kFreedByte = 0xDD;

/// The mean distance of samples of which a heap profile is exact enough, and cheap.
inline constexpr std::size_t kUsualSampleBytes = std::size_t{512} << 10;

/// A mistake, of this program or of one that writes where it should not. Who owns the block, and its
/// generation, are as its own word said when the report was made.
struct Misuse {
  enum class Kind : std::uint8_t {
    kDoubleFree = 0,        // freed, and it was free
    kForeignFree = 1,       // freed, and it was another session's, or published
    kBadPointer = 2,        // freed, and no block begins there
    kWrongPool = 3,         // freed to a pool that it is not of
    kCorruptWord = 4,       // its own word says what no session writes; the block is not used again
    kWrittenAfterFree = 5,  // its bytes changed while it was free; found when it is handed out
  };
  Kind kind = Kind::kDoubleFree;
  const void* block = nullptr;
  std::size_t size_bytes = 0;             // 0: not known, as of the following
  std::size_t offset_bytes = 0;           // kWrittenAfterFree: of the first byte that changed
  std::uint32_t own_word = 0;             // as in docs/layout.md
  std::uint32_t generation = 0;           // in it
  std::uint32_t owner = 0;                // in it: a session from 16 on, else as in docs/design.md
  std::uint32_t owner_pid = 0;            // 0 unless the owner is a session that is there
  std::string owner_label;                // the same
  std::vector<const void*> allocated_at;  // return addresses, the innermost first; empty: not known
  std::vector<const void*> freed_at;      // of the latest free that this process made
};

/// "double free of 0x7f.. (64 bytes), generation 7, owner: free; freed at app+0x1234 ..": one line,
/// without a line feed. The places are for addr2line(1). Any thread; allocates.
[[nodiscard]] ALLOT_EXPORT std::string describe(const Misuse& misuse);

struct DebugOptions {
  /// A block that is handed out is full of kFreshByte, one that was freed of kFreedByte. A block
  /// that this session freed into a span of its own and whose bytes have changed when it is handed
  /// out again is reported, whether `report` is on or not.
  bool fill = false;
  /// Reports each free that is refused, but that of an address outside the region, and each own
  /// word that was found corrupt. The calls return what they return without it.
  bool report = false;
  /// Where reports go; empty: each a line on standard error. Called by the thread that made the
  /// mistake or found it, possibly by several at once, without a lock of the library's: it may use
  /// the session. One that throws ends the program.
  std::function<void(const Misuse&)> on_misuse;
  /// Remembers where each block was allocated and freed, for reports.
  bool stacks = false;
  /// Remembers where some blocks were allocated, for Session::heap_profile(): after each of them the
  /// number of bytes until the next is drawn from an exponential distribution of this mean. 0: none.
  std::size_t sample_bytes = 0;
  /// Draws the same distances again; 0: others in every session.
  std::uint64_t sample_seed = 0;
  /// Says to AddressSanitizer and to Valgrind, if the program runs under one, which bytes are
  /// nobody's: a use of a block that this session freed into a span of its own is an error to them.
  bool annotate = false;
};

}  // namespace allot
