// Every quota of a region: name, unit, default. The configuration file (daemon/config.hpp) sets
// them under the same names. What nobody needs to set is a constant at the end.
#pragma once

#include <cstddef>
#include <cstdint>

namespace allot::core {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
/// A limit that is a part of size_bytes; RegionCore::limits() says how much that is.
inline constexpr std::uint64_t kPartOfRegion = 0;

struct Limits {
  std::uint64_t size_bytes = 64 * kGiB;              // reserved address space of the region
  std::uint64_t commit_limit_bytes = 16 * kGiB;      // all granted spans together
  std::uint64_t session_quota_bytes = 16 * kGiB;     // spans granted to one session
  std::uint64_t uid_quota_bytes = 16 * kGiB;         // spans charged to one user
  std::uint64_t available_floor_bytes = 256 * kMiB;  // memory the machine must keep available
  std::uint64_t max_grant_bytes = 16 * kGiB;         // one request
  // Address space set aside for one session each, granted from or not.
  std::uint64_t session_reserve_bytes = kPartOfRegion;  // of one session; an eighth of size_bytes
  std::uint64_t uid_reserve_bytes = kPartOfRegion;      // of one user; a quarter
  std::uint64_t reserve_limit_bytes = kPartOfRegion;    // all together; a half
  std::uint32_t max_sessions = 1024;
  std::uint32_t max_sessions_per_uid = 512;
  std::uint32_t max_heaps = 4096;  // threads with a heap, all sessions
  std::uint32_t max_heaps_per_uid = 2048;
  std::uint32_t max_names = 4096;
  std::uint32_t max_names_per_uid = 2048;
  std::uint32_t messages_per_second = 50'000;  // of one connection
  std::uint32_t message_burst = 10'000;
  std::uint64_t large_reclaim_delay_ms = 100;  // a freed large block waits for its session
  std::uint64_t punch_delay_ms = 200;          // free memory goes back this long after its free
};

// What one message may ask for, so that no message keeps the others waiting. Far above what
// liballot asks for.
inline constexpr std::uint32_t kMaxSpansPerGrant = 1024;
// Own words of all its spans: they are looked at in one turn. One span may have as many.
inline constexpr std::uint64_t kMaxWordsPerMessage = std::uint64_t{1} << 20;
inline constexpr std::uint32_t kMaxAlignGranules = 4096;  // 256 MiB
inline constexpr std::size_t kMaxReservationsPerSession = 1024;
/// Sessions that one connection may watch: all of a region.
inline constexpr std::size_t kMaxWatchesPerConnection = 4096;

}  // namespace allot::core
