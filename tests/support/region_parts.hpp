// The files of a region that a process has open, opened anew for writing: for tests that do damage.
#pragma once

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include "shared/platform/descriptor.hpp"
#include "shared/region/layout.hpp"

namespace allot::test {

/// `part` is "directory", "ledger" or "vault". Throws if the process has none.
[[nodiscard]] inline platform::Descriptor open_region_part(pid_t pid, const std::string& part,
                                                           const std::string& region = "default") {
  const std::string wanted = "/memfd:allot:" + region + ":" + part + " (deleted)";
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) != wanted) continue;
    platform::Descriptor file(::open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
    if (file) return file;
  }
  throw std::runtime_error("process " + std::to_string(pid) + " has no " + wanted);
}

template <class T>
void write_at(const platform::Descriptor& file, std::uint64_t offset_bytes, const T& value) {
  if (::pwrite(file.get(), &value, sizeof(value), static_cast<off_t>(offset_bytes)) !=
      static_cast<ssize_t>(sizeof(value))) {
    throw std::runtime_error("pwrite");
  }
}

template <class T>
[[nodiscard]] T read_at(const platform::Descriptor& file, std::uint64_t offset_bytes) {
  T value{};
  if (::pread(file.get(), &value, sizeof(value), static_cast<off_t>(offset_bytes)) !=
      static_cast<ssize_t>(sizeof(value))) {
    throw std::runtime_error("pread");
  }
  return value;
}

/// Where the ledger has own word `index` of the span that begins at granule `first`.
[[nodiscard]] inline std::uint64_t own_word_offset(std::uint64_t granules, std::uint64_t first,
                                                   std::uint64_t index) {
  return region::FileLayout{granules}.words_offset() +
         (first * region::kWordsPerGranule + index) * sizeof(std::uint32_t);
}

}  // namespace allot::test
