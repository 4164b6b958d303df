// JobRecord and ResultRecord: what lies in the region beside the files' bytes.
//
// A job block is a JobRecord and behind it one DataBlock for each block of the file's bytes; the
// reader fills and offers it. A result block is a ResultRecord, filled and offered by a worker.
// Both are read by processes that map the region elsewhere, hence handles and no pointers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "examples/pipeline/messages.hpp"

namespace pipeline {

inline constexpr std::size_t kMaxDataBlockBytes = std::size_t{1} << 20;

struct DataBlock {
  std::uint64_t handle = 0;
  std::uint64_t size_bytes = 0;
};

struct JobRecord {
  std::uint64_t file = 0;
  std::uint64_t block_count = 0;  // 0: an empty file

  static constexpr std::size_t size_for(std::size_t blocks) {
    return sizeof(JobRecord) + blocks * sizeof(DataBlock);
  }
  /// The blocks behind the record, which lies in a block of at least size_for(block_count).
  [[nodiscard]] std::span<DataBlock> blocks() {
    return {reinterpret_cast<DataBlock*>(this + 1), block_count};
  }
  [[nodiscard]] bool fits(std::size_t usable_bytes) const {
    return usable_bytes >= sizeof(JobRecord) &&
           block_count <= (usable_bytes - sizeof(JobRecord)) / sizeof(DataBlock);
  }
};

struct ResultRecord {
  FileDone done;
  std::uint64_t job_handle = 0;  // offered to the collector too, as are the job's data blocks
};

static_assert(std::is_trivially_copyable_v<JobRecord> &&
              sizeof(JobRecord) % alignof(DataBlock) == 0);
static_assert(std::is_trivially_copyable_v<ResultRecord>);

}  // namespace pipeline
