// A file that is written whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include <allot/expected.hpp>

namespace allot::ctl {

/// Replaces `path` by one that holds `text`, at once: until then, and if that fails, what was there
/// stays. What is there and no ordinary file (a pipe, a device) is written to. The error names
/// the path.
[[nodiscard]] Expected<void> write_whole(const std::string& path, std::string_view text);

}  // namespace allot::ctl
