#include "client/debug_options.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace allot::detail {

namespace {

constexpr std::string_view kSample = "sample=";
constexpr std::size_t kMaxSampleBytes = std::size_t{1} << 40;

std::optional<std::size_t> sample_bytes_of(std::string_view text) noexcept {
  std::size_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (bytes == 0 || bytes > kMaxSampleBytes) return std::nullopt;
  return bytes;
}

bool switch_on(DebugOptions& options, std::string_view word) noexcept {
  if (word == "fill") return options.fill = true;
  if (word == "report") return options.report = true;
  if (word == "stacks") return options.stacks = true;
  if (word == "annotate") return options.annotate = true;
  if (word == "sample") {
    options.sample_bytes = kUsualSampleBytes;
    return true;
  }
  if (!word.starts_with(kSample)) return false;
  const auto bytes = sample_bytes_of(word.substr(kSample.size()));
  if (bytes) options.sample_bytes = *bytes;
  return bytes.has_value();
}

}  // namespace

Expected<DebugOptions> with_debug_words(DebugOptions options, std::string_view words) {
  while (!words.empty()) {
    const std::string_view word = words.substr(0, words.find(','));
    words.remove_prefix(std::min(word.size() + 1, words.size()));
    if (word.empty() || switch_on(options, word)) continue;
    return Error(Errc::kBadArgument, "ALLOT_DEBUG: '" + std::string(word) +
                                         "' is none of fill, report, stacks, annotate, sample, "
                                         "sample=BYTES (1 .. 2^40)");
  }
  return options;
}

Expected<DebugOptions> with_debug_environment(const DebugOptions& options) {
  const char* const words = ::secure_getenv("ALLOT_DEBUG");
  return with_debug_words(options, words == nullptr ? "" : words);
}

}  // namespace allot::detail
