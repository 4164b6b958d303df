// Every byte of a region's shared memory: the specification of its three files.
//
// Used by the daemon (writes the directory, reads all) and by clients (map the directory
// read-only, write the ledger). A changed byte here changes fingerprint(), tests/layout/golden.txt,
// docs/layout.md and CHANGELOG.md in one commit.
//
//   directory   DirectoryHeader | SessionEntry[4096] | HeapEntry[4096] | NameEntry[4096]
//               | span descriptor[granules]
//   ledger      HeapLedger[4096] | SpanLedger[granules] | own word[granules * 4096]
//   data        granule[granules]: users' bytes and nothing else
//
// Everything in the ledger is written by clients: to the daemon and to other sessions it is input.
// Zeroed memory reads as "absent".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <allot/detail/atomic.hpp>

#include "shared/region/geometry.hpp"
#include "shared/region/span_descriptor.hpp"

namespace allot::region {

using detail::Atomic;

inline constexpr std::uint64_t kMagic = 0x31544F4C4C41ULL;  // "ALLOT1"

// Written once before any client sees it, but for the atomics.
struct DirectoryHeader {
  std::uint64_t magic;
  std::uint64_t fingerprint;
  std::uint64_t granules;
  std::uint64_t region_tag;
  std::uint64_t created_unix_ns;
  // Granules [0, high_water) were granted at some time; windows open that far. Only grows.
  Atomic<std::uint64_t> high_water_granules;
  // Non-zero: memory is short, clients give back what they can spare, once for each new value.
  Atomic<std::uint64_t> pressure;
  // Counts the daemons that have served this region.
  Atomic<std::uint64_t> boot_epoch;
  std::array<char, kRegionNameBytes> name;
  // By size class: counts spans that became orphans, and of whose blocks one was freed since. The bins
  // of large blocks and pools are not used.
  std::array<Atomic<std::uint64_t>, kBinsPerHeap> orphan_news;
  std::array<std::byte, 2976> reserved;
};

enum class SessionState : std::uint8_t { kAbsent = 0, kLive = 1, kDetached = 2, kDraining = 3 };

// Immutable while state is not kAbsent, but for the atomics. Published by the store of state.
struct SessionEntry {
  Atomic<std::uint32_t> state;  // a SessionState
  std::uint32_t pid;            // in the daemon's pid namespace
  std::uint32_t uid;
  std::uint32_t heap_count;  // heaps attached since the session began
  std::uint64_t incarnation;
  std::uint64_t connected_unix_ns;
  Atomic<std::uint64_t> granted_bytes;
  Atomic<std::uint64_t> granted_spans;
  std::array<char, kLabelBytes> label;
};

// One word: 0, or the session that has the heap.
struct HeapEntry {
  Atomic<std::uint64_t> session;
};

// Immutable while visible. Published and hidden by the store of state.
struct NameEntry {
  Atomic<std::uint64_t> state;  // 0 absent, 1 visible
  std::uint64_t handle;
  std::uint64_t size_bytes;
  std::uint64_t published_unix_ns;
  std::uint32_t uid;
  std::uint32_t reserved0;
  std::array<char, kNameBytes> name;
  std::array<std::byte, 24> reserved1;
};

// Counters of one bin of one heap. One writer: the heap's thread. Readers sum.
struct BinCounters {
  Atomic<std::uint64_t> allocations;
  Atomic<std::uint64_t> frees;
  Atomic<std::uint64_t> fills;    // times the private stack was filled from spans
  Atomic<std::uint64_t> granted;  // blocks in the spans that the heap has for this bin
  Atomic<std::uint64_t>
      peak;  // most blocks that it had, none to be found free, when it fetched more
  // Of a pool's bin; 0 in others.
  Atomic<std::uint64_t> block_bytes;
  std::array<Atomic<std::uint64_t>, 2> pool;  // its name, kPoolNameBytes with the final NUL
};

struct HeapLedger {
  std::array<BinCounters, kBinsPerHeap> bins;
};

// What a span's session says about it; lies at the span's first granule.
struct SpanLedger {
  Atomic<std::uint64_t> carve;  // a CarveWord
  Atomic<std::uint64_t> hint;   // non-zero: some block of this span was freed by somebody else
  std::array<std::byte, 48> reserved;
};

// How a span is cut: written by its session after the own words (release), read as input.
struct CarveWord {
  static constexpr std::uint64_t kNone = 0;
  static constexpr std::uint64_t kBlocks = 1;   // bits 8..15: the bin; from 16: see pool()
  static constexpr std::uint64_t kLarge = 2;    // one block, the whole span
  static constexpr std::uint64_t kChunked = 3;  // the same; further words are ChunkWords

  static constexpr std::uint64_t blocks(std::uint32_t bin) noexcept {
    return kBlocks | (std::uint64_t{bin} << 8);
  }
  /// Of a pool's bin, whose block size no table gives.
  static constexpr std::uint64_t pool(std::uint32_t bin, std::uint32_t block_bytes) noexcept {
    return blocks(bin) | (std::uint64_t{block_bytes} << 16);
  }
  static constexpr std::uint64_t kind(std::uint64_t word) noexcept { return word & 0xFF; }
  static constexpr std::uint64_t bin(std::uint64_t word) noexcept { return word >> 8 & 0xFF; }
  static constexpr std::uint64_t block_bytes(std::uint64_t word) noexcept { return word >> 16; }
  static constexpr bool is_one_block(std::uint64_t word) noexcept {
    return word == kLarge || word == kChunked;
  }
};

template <class T>
inline constexpr bool kIsShareable =
    std::is_standard_layout_v<T>&& std::has_unique_object_representations_v<T>;

static_assert(kIsShareable<DirectoryHeader> && sizeof(DirectoryHeader) == 4096);
static_assert(offsetof(DirectoryHeader, fingerprint) == 8);
static_assert(offsetof(DirectoryHeader, granules) == 16);
static_assert(offsetof(DirectoryHeader, region_tag) == 24);
static_assert(offsetof(DirectoryHeader, created_unix_ns) == 32);
static_assert(offsetof(DirectoryHeader, high_water_granules) == 40);
static_assert(offsetof(DirectoryHeader, pressure) == 48);
static_assert(offsetof(DirectoryHeader, boot_epoch) == 56);
static_assert(offsetof(DirectoryHeader, name) == 64);
static_assert(offsetof(DirectoryHeader, orphan_news) == 96);
static_assert(offsetof(DirectoryHeader, reserved) == 1120);

static_assert(kIsShareable<SessionEntry> && sizeof(SessionEntry) == 64);
static_assert(offsetof(SessionEntry, pid) == 4 && offsetof(SessionEntry, uid) == 8);
static_assert(offsetof(SessionEntry, heap_count) == 12);
static_assert(offsetof(SessionEntry, incarnation) == 16);
static_assert(offsetof(SessionEntry, connected_unix_ns) == 24);
static_assert(offsetof(SessionEntry, granted_bytes) == 32);
static_assert(offsetof(SessionEntry, granted_spans) == 40);
static_assert(offsetof(SessionEntry, label) == 48);

static_assert(kIsShareable<HeapEntry> && sizeof(HeapEntry) == 8);

static_assert(kIsShareable<NameEntry> && sizeof(NameEntry) == 128);
static_assert(offsetof(NameEntry, handle) == 8 && offsetof(NameEntry, size_bytes) == 16);
static_assert(offsetof(NameEntry, published_unix_ns) == 24 && offsetof(NameEntry, uid) == 32);
static_assert(offsetof(NameEntry, name) == 40);

static_assert(kIsShareable<BinCounters> && sizeof(BinCounters) == 64);
static_assert(offsetof(BinCounters, frees) == 8 && offsetof(BinCounters, fills) == 16);
static_assert(offsetof(BinCounters, granted) == 24 && offsetof(BinCounters, peak) == 32);
static_assert(offsetof(BinCounters, block_bytes) == 40 && offsetof(BinCounters, pool) == 48);
static_assert(sizeof(BinCounters::pool) == kPoolNameBytes);
static_assert(kIsShareable<HeapLedger> && sizeof(HeapLedger) == 8192);

static_assert(kIsShareable<SpanLedger> && sizeof(SpanLedger) == 64);
static_assert(offsetof(SpanLedger, hint) == 8);
static_assert(Atomic<std::uint32_t>::kIsLockFree && Atomic<std::uint64_t>::kIsLockFree);

/// Where each table begins in its file, for a region of `granules`. Offsets are multiples of
/// 64 KiB, so that each table can have a window of its own on any page size.
struct FileLayout {
  std::uint64_t granules;

  static constexpr std::uint64_t kSessionsOffset = sizeof(DirectoryHeader);
  static constexpr std::uint64_t kHeapsOffset =
      kSessionsOffset + kSessionLimit * sizeof(SessionEntry);
  static constexpr std::uint64_t kNamesOffset = kHeapsOffset + kHeapLimit * sizeof(HeapEntry);
  static constexpr std::uint64_t kDescriptorsOffset =
      (kNamesOffset + kNameLimit * sizeof(NameEntry) + kGranuleBytes - 1) / kGranuleBytes *
      kGranuleBytes;
  static constexpr std::uint64_t kHeapLedgersOffset = 0;
  static constexpr std::uint64_t kSpanLedgersOffset = kHeapLimit * sizeof(HeapLedger);

  [[nodiscard]] constexpr std::uint64_t words_offset() const noexcept {
    return (kSpanLedgersOffset + granules * sizeof(SpanLedger) + kGranuleBytes - 1) /
           kGranuleBytes * kGranuleBytes;
  }
  [[nodiscard]] constexpr std::uint64_t directory_bytes() const noexcept {
    return kDescriptorsOffset +
           (granules * sizeof(std::uint64_t) + kGranuleBytes - 1) / kGranuleBytes * kGranuleBytes;
  }
  [[nodiscard]] constexpr std::uint64_t ledger_bytes() const noexcept {
    return words_offset() + granules * kWordsPerGranule * sizeof(std::uint32_t);
  }
  [[nodiscard]] constexpr std::uint64_t data_bytes() const noexcept {
    return granules * kGranuleBytes;
  }
};

/// The layout in words: one line a struct and field, offsets and sizes, every constant. Its text
/// is tests/layout/golden.txt; its hash is the fingerprint.
[[nodiscard]] std::string layout_text();

/// What two builds must agree on to share a region: a 64-bit hash (FNV-1a) of layout_text().
[[nodiscard]] std::uint64_t fingerprint();

}  // namespace allot::region
