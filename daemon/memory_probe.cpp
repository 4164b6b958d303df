#include "daemon/memory_probe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <utility>

#include "daemon/log.hpp"

namespace allot::daemon {

namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();
// Version 1 writes "no limit" as the largest multiple of a page in 63 bits.
constexpr std::uint64_t kLargestLimit = std::uint64_t{1} << 62;
constexpr std::chrono::milliseconds kCacheTime{100};

// The number in a file of one number; unlimited for "max" and for what is not there.
std::uint64_t read_number(const std::string& text) {
  std::istringstream in(text);
  std::uint64_t value = 0;
  return in >> value ? value : kUnlimited;
}

// The number after `key` in a file of "key number" lines.
std::optional<std::uint64_t> read_entry(const std::string& text, std::string_view key) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string name;
    std::uint64_t value = 0;
    if (fields >> name >> value && name == key) return value;
  }
  return std::nullopt;
}

bool contains_word(const std::string& list, std::string_view word) {
  std::istringstream words(list);
  for (std::string one; std::getline(words, one, ',');) {
    if (one == word) return true;
  }
  return false;
}

struct Mount {
  std::filesystem::path point;
  std::string root;  // which part of the hierarchy is mounted there
};

// Where the hierarchy of the memory controller is mounted, by /proc/self/mountinfo:
// "36 35 98:0 /root /mount options tags - type source super-options".
std::optional<Mount> find_mount(const std::filesystem::path& proc, bool unified) {
  std::ifstream in(proc / "self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    const auto separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::istringstream left(line.substr(0, separator));
    std::istringstream right(line.substr(separator + 3));
    std::string skipped;
    std::string root;
    std::string point;
    std::string type;
    std::string options;
    left >> skipped >> skipped >> skipped >> root >> point;
    right >> type >> skipped >> options;
    const bool found =
        unified ? type == "cgroup2" : type == "cgroup" && contains_word(options, "memory");
    if (found) return Mount{point, root};
  }
  return std::nullopt;
}

}  // namespace

MemoryProbe::KernelFile::KernelFile(std::filesystem::path path)
    : path_(std::move(path)), file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {}

std::string MemoryProbe::KernelFile::text() {
  if (!file_) file_ = platform::Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> part;
  for (;;) {
    const auto got =
        ::pread(file_.get(), part.data(), part.size(), static_cast<off_t>(text.size()));
    if (got < 0 && errno == EINTR) continue;
    // A group's files are made anew when its controller is switched off and on again.
    if (got < 0) file_.reset();
    if (got <= 0) return text;
    text.append(part.data(), static_cast<std::size_t>(got));
  }
}

MemoryProbe::MemoryProbe(const std::filesystem::path& proc) : meminfo_(proc / "meminfo") {
  // "4:memory:/path" for version 1, "0::/path" for version 2.
  std::ifstream in(proc / "self/cgroup");
  for (std::string line; std::getline(in, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool unified = controllers.empty() && line.starts_with("0:");
    if (!unified && !contains_word(controllers, "memory")) continue;
    const auto mount = find_mount(proc, unified);
    if (!mount) continue;
    std::string path = line.substr(second + 1);
    // In a container the mount shows only the part of the hierarchy below its root.
    if (mount->root != "/" && path.starts_with(mount->root)) path.erase(0, mount->root.size());
    add_groups(mount->point, path, unified);
  }
}

void MemoryProbe::add_groups(const std::filesystem::path& mount, const std::string& path,
                             bool unified) {
  std::filesystem::path directory = mount;
  add_group(directory, unified);
  for (const auto& part : std::filesystem::path(path).relative_path()) {
    if (part.empty() || part == "..") continue;  // "..": above what this namespace can see
    directory /= part;
    add_group(directory, unified);
  }
}

void MemoryProbe::add_group(const std::filesystem::path& directory, bool unified) {
  groups_.push_back(
      {.limit = KernelFile(directory / (unified ? "memory.max" : "memory.limit_in_bytes")),
       .used = KernelFile(directory / (unified ? "memory.current" : "memory.usage_in_bytes")),
       .stat = KernelFile(directory / "memory.stat"),
       .reclaimable = unified ? "inactive_file" : "total_inactive_file"});
}

std::uint64_t MemoryProbe::machine_available() {
  const auto kibibytes = read_entry(meminfo_.text(), "MemAvailable:");
  if (kibibytes) return *kibibytes * 1024;
  if (!complained_) {
    complained_ = true;
    log_warning("cannot read MemAvailable in " + meminfo_.path().native() +
                ": available_floor_bytes has no effect");
  }
  return kUnlimited;
}

std::uint64_t MemoryProbe::room_in(Group& group) {
  const std::uint64_t limit = read_number(group.limit.text());
  if (limit > kLargestLimit) return kUnlimited;
  const std::uint64_t used = read_number(group.used.text());
  if (used == kUnlimited) return kUnlimited;
  const std::uint64_t reclaimable = read_entry(group.stat.text(), group.reclaimable).value_or(0);
  const std::uint64_t in_use = used - std::min(used, reclaimable);
  return limit - std::min(limit, in_use);
}

std::uint64_t MemoryProbe::available_bytes() {
  const auto now = std::chrono::steady_clock::now();
  if (read_at_ && now - *read_at_ < kCacheTime) return cached_bytes_;
  read_at_ = now;
  cached_bytes_ = machine_available();
  for (Group& group : groups_) cached_bytes_ = std::min(cached_bytes_, room_in(group));
  return cached_bytes_;
}

void MemoryProbe::note_committed(std::uint64_t bytes) noexcept {
  if (cached_bytes_ != kUnlimited) cached_bytes_ -= std::min(cached_bytes_, bytes);
}

}  // namespace allot::daemon
