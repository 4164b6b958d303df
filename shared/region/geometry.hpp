// Constants of every region: units and table sizes. Changing one changes the layout fingerprint.
#pragma once

#include <cstddef>
#include <cstdint>

#include <allot/detail/own_word.hpp>

namespace allot::region {

/// A granule: the unit of grants. 64 KiB, aligned, whatever the page size.
inline constexpr std::uint64_t kGranuleBytes = std::uint64_t{64} * 1024;
/// Own words reserved for each granule: one for every 16 bytes.
inline constexpr std::uint32_t kWordsPerGranule = 4096;
/// Own words are committed in units of this many; a descriptor counts units.
inline constexpr std::uint32_t kWordsPerUnit = 256;
/// Own words that a granted span has at least: one page of the ledger where pages have 4 KiB.
inline constexpr std::uint32_t kDefaultWords = 1024;
/// And at most.
inline constexpr std::uint32_t kMaxWordsPerSpan = 65'536;

/// Smallest and largest region.
inline constexpr std::uint64_t kMinGranules = 16;
inline constexpr std::uint64_t kMaxGranules = std::uint64_t{1} << 24;  // 1 TiB

inline constexpr std::uint32_t kFirstSession = detail::OwnWord::kFirstSession;
inline constexpr std::uint32_t kSessionLimit = detail::OwnWord::kSessionLimit;
inline constexpr std::uint32_t kHeapLimit = 4096;
inline constexpr std::uint32_t kNameLimit = 4096;
inline constexpr std::uint32_t kBinsPerHeap = 128;

inline constexpr std::size_t kNameBytes = 64;        // of a published block, with the final NUL
inline constexpr std::size_t kRegionNameBytes = 32;  // of a region, with the final NUL
inline constexpr std::size_t kLabelBytes = 16;       // of a session, with the final NUL
inline constexpr std::size_t kPoolNameBytes = 16;    // of a pool, with the final NUL

static_assert(std::uint64_t{kWordsPerGranule} * 16 == kGranuleBytes);
static_assert(kMaxGranules * kGranuleBytes == Handle::kAddressUnitBytes << Handle::kAddressBits);

}  // namespace allot::region
