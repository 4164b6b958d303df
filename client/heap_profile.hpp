// A heap profile as gperftools write it, format heap_v2, which Debian's google-pprof and Go's pprof
// read: one line for each stack and size of block, then what is mapped where.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include <allot/expected.hpp>

#include "client/debug_state.hpp"

namespace allot::detail {

/// `sample_bytes`: the mean distance of samples, by which the reader scales them to all blocks.
[[nodiscard]] Expected<std::string> heap_profile_text(std::span<const DebugState::Sample> samples,
                                                      std::size_t sample_bytes);

/// kSystem, with the path.
[[nodiscard]] Expected<void> write_profile(const std::filesystem::path& path,
                                           const std::string& text);

}  // namespace allot::detail
