// BlockLoader: reads a file straight into blocks of the region. Used by the reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <allot/session.hpp>

#include "examples/pipeline/job.hpp"

namespace pipeline {

/// A file's bytes in blocks of ours; freed with it unless offered and detached.
struct LoadedFile {
  enum class Outcome { kLoaded, kUnreadable, kNoMemory };
  Outcome outcome = Outcome::kLoaded;
  int error = 0;  // errno if unreadable
  std::uint64_t size_bytes = 0;
  std::vector<allot::Owned<std::byte[]>> blocks;
};

/// Reads the file at `path` into blocks of at most kMaxDataBlockBytes.
[[nodiscard]] LoadedFile load_file(allot::Session& session, const std::string& path);

/// A job block for `file` with room for `blocks` of them; empty if there is no memory.
[[nodiscard]] allot::Owned<JobRecord> make_job(allot::Session& session, std::size_t file,
                                               std::size_t blocks);

}  // namespace pipeline
