// RegionView: the checked way to read and write a mapped region.
//
// Used by both sides over their own mappings. It holds base addresses and the bounds within which
// they may be used; what it reads from shared memory is copied once into a local, checked, and
// only then used, since others can change memory between two reads. It never allocates, never
// makes a system call and never trusts an offset.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include <allot/errc.hpp>
#include <allot/handle.hpp>

#include "shared/region/layout.hpp"
#include "shared/region/size_class.hpp"

namespace allot::region {

/// A span as its head descriptor says, checked: [first, first + granules) lies inside the window
/// and word_count own words of it are committed.
struct SpanRef {
  std::uint32_t first = 0;
  SpanDescriptor head;
  std::uint32_t word_count = 0;
};

/// How a span is cut, from its carve word, checked against the span: every own word that it
/// implies is committed.
struct Carving {
  enum class Kind : std::uint8_t { kNone, kBlocks, kLarge, kInvalid };
  Kind kind = Kind::kNone;
  std::uint32_t bin = 0;
  std::uint64_t block_bytes = 0;
  std::uint32_t block_count = 0;
  SizeClass cut;  // of kBlocks
  std::uint64_t word = 0;
  bool chunked = false;  // of kLarge: the words behind the first are ChunkWords
};

/// A block found by address.
struct BlockRef {
  SpanRef span;
  Carving carving;
  std::uint32_t index = 0;
  Atomic<std::uint32_t>* word = nullptr;
};

class RegionView {
 public:
  struct Bases {
    std::byte* directory = nullptr;    // fixed part; clients map it read-only
    std::byte* descriptors = nullptr;  // span descriptors
    std::byte* heap_ledgers = nullptr;
    std::byte* span_ledgers = nullptr;
    std::byte* words = nullptr;
  };

  RegionView() noexcept = default;
  RegionView(const Bases& bases, std::uint64_t granules) noexcept
      : bases_(bases), granules_(granules) {}

  [[nodiscard]] DirectoryHeader& header() const noexcept {
    return *reinterpret_cast<DirectoryHeader*>(bases_.directory);
  }
  [[nodiscard]] SessionEntry& session(std::uint32_t id) const noexcept {
    return reinterpret_cast<SessionEntry*>(bases_.directory + FileLayout::kSessionsOffset)[id];
  }
  [[nodiscard]] HeapEntry& heap(std::uint32_t id) const noexcept {
    return reinterpret_cast<HeapEntry*>(bases_.directory + FileLayout::kHeapsOffset)[id];
  }
  [[nodiscard]] NameEntry& name(std::uint32_t index) const noexcept {
    return reinterpret_cast<NameEntry*>(bases_.directory + FileLayout::kNamesOffset)[index];
  }
  [[nodiscard]] Atomic<std::uint64_t>& descriptor(std::uint64_t granule) const noexcept {
    return reinterpret_cast<Atomic<std::uint64_t>*>(bases_.descriptors)[granule];
  }
  [[nodiscard]] HeapLedger& heap_ledger(std::uint32_t id) const noexcept {
    return reinterpret_cast<HeapLedger*>(bases_.heap_ledgers)[id];
  }
  [[nodiscard]] SpanLedger& span_ledger(std::uint64_t granule) const noexcept {
    return reinterpret_cast<SpanLedger*>(bases_.span_ledgers)[granule];
  }
  /// Own word `index` of the span that begins at granule `first`.
  [[nodiscard]] Atomic<std::uint32_t>& word(std::uint64_t first,
                                            std::uint64_t index) const noexcept {
    return reinterpret_cast<Atomic<std::uint32_t>*>(bases_.words)[first * kWordsPerGranule + index];
  }

  [[nodiscard]] std::uint64_t granules() const noexcept { return granules_; }

  /// The span that granule `granule` belongs to; nothing if it belongs to none or the descriptors
  /// disagree. `limit_granules`: nothing at or above it is touched (the caller's window).
  [[nodiscard]] std::optional<SpanRef> find_span(std::uint64_t granule,
                                                 std::uint64_t limit_granules) const noexcept;

  /// How `span` is cut. kInvalid if the carve word makes no sense for it.
  [[nodiscard]] Carving carving_of(const SpanRef& span) const noexcept;

  /// The block that starts at `offset_bytes` of the data. kNotInRegion, kNotABlock or
  /// kInteriorPointer if none does; kOk fills `found`.
  [[nodiscard]] Errc find_block(std::uint64_t offset_bytes, std::uint64_t limit_granules,
                                BlockRef& found) const noexcept;

 private:
  Bases bases_;
  std::uint64_t granules_ = 0;
};

}  // namespace allot::region
