// ALLOT_DEBUG: debug modes of sessions by the environment, without a change of the program.
#pragma once

#include <string_view>

#include <allot/debug.hpp>
#include <allot/expected.hpp>

namespace allot::detail {

/// `options` and what `words` switches on besides: fill, report, stacks, annotate, sample and
/// sample=BYTES, with commas between them. kBadArgument for another word; it is in the detail.
[[nodiscard]] Expected<DebugOptions> with_debug_words(DebugOptions options, std::string_view words);

/// The same, of ALLOT_DEBUG. Not in a program that runs with more rights than its caller.
[[nodiscard]] Expected<DebugOptions> with_debug_environment(const DebugOptions& options);

}  // namespace allot::detail
