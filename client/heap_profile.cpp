#include "client/heap_profile.hpp"

#include <fstream>
#include <map>
#include <sstream>
#include <utility>

#include "shared/platform/system_error.hpp"

namespace allot::detail {

Expected<std::string> heap_profile_text(std::span<const DebugState::Sample> samples,
                                        std::size_t sample_bytes) {
  // By size too: the reader scales a line by the mean size of its blocks, and that of a mixture
  // would be wrong.
  std::map<std::pair<CallStack, std::size_t>, std::size_t> counts;
  std::size_t total_bytes = 0;
  for (const DebugState::Sample& sample : samples) {
    ++counts[{sample.allocated, sample.bytes}];
    total_bytes += sample.bytes;
  }
  std::ostringstream out;
  // In use, and in brackets all that was ever allocated: of that no count is kept.
  const auto line = [&](std::size_t count, std::size_t bytes) {
    out << count << ": " << bytes << " [" << count << ": " << bytes << "] @";
  };
  out << "heap profile: ";
  line(samples.size(), total_bytes);
  out << " heap_v2/" << sample_bytes << "\n";
  for (const auto& [key, count] : counts) {
    line(count, count * key.second);
    for (const void* const frame : key.first) {
      out << " 0x" << std::hex << reinterpret_cast<std::uintptr_t>(frame) << std::dec;
    }
    out << "\n";
  }
  std::ifstream maps("/proc/self/maps");
  if (!maps) return platform::system_error("/proc/self/maps");
  out << "\nMAPPED_LIBRARIES:\n" << maps.rdbuf();
  return std::move(out).str();
}

Expected<void> write_profile(const std::filesystem::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return platform::system_error(path.native());
  return {};
}

}  // namespace allot::detail
