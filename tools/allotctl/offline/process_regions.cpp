#include "tools/allotctl/offline/process_regions.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "daemon/core/vault.hpp"
#include "shared/platform/memfd.hpp"
#include "shared/region/layout.hpp"

namespace allot::ctl {

namespace {

namespace fs = std::filesystem;

struct Part {
  std::string region;
  std::string part;
  ino_t inode = 0;
  platform::Descriptor file;
};

// The first fields of region::DirectoryHeader.
struct DirectoryStart {
  std::uint64_t magic;
  std::uint64_t fingerprint;
  std::uint64_t granules;
};
static_assert(offsetof(region::DirectoryHeader, granules) == offsetof(DirectoryStart, granules));

std::string of_process(std::uint64_t pid) { return "process " + std::to_string(pid); }

Error failed(int error, const std::string& detail) {
  return Error(std::error_code(error, std::generic_category()), detail);
}

template <class Header>
std::optional<Header> read_header(const platform::Descriptor& file) {
  Header header{};
  const ssize_t got = ::pread(file.get(), &header, sizeof(header), 0);
  if (got != static_cast<ssize_t>(sizeof(header))) return std::nullopt;
  return header;
}

bool is_whole(const platform::Descriptor& file, std::uint64_t size_bytes) {
  return platform::is_sealed_memfd(file) && platform::file_bytes(file) == size_bytes;
}

Expected<std::vector<Part>> open_parts(std::uint64_t pid) {
  const fs::path directory = "/proc/" + std::to_string(pid) + "/fd";
  std::error_code error;
  if (!fs::exists(directory.parent_path(), error)) return failed(ESRCH, of_process(pid));
  std::vector<Part> parts;
  fs::directory_iterator entry(directory, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code gone;  // closed meanwhile
    const std::string link = fs::read_symlink(entry->path(), gone).native();
    const auto name = part_of_link(link);
    if (!name) continue;
    platform::Descriptor file(::open(entry->path().c_str(), O_RDONLY | O_CLOEXEC));
    if (!file && errno == ENOENT) continue;
    if (!file) return failed(errno, of_process(pid) + ", " + link + "; try it as root");
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) continue;
    // The daemon has the directory twice.
    const bool is_known = std::any_of(
        parts.begin(), parts.end(), [&](const Part& part) { return part.inode == status.st_ino; });
    if (is_known) continue;
    parts.push_back(
        {std::string(name->region), std::string(name->part), status.st_ino, std::move(file)});
  }
  if (error) {
    return failed(error.value(), "the files of " + of_process(pid) +
                                     (error.value() == EACCES ? "; try it as root" : ""));
  }
  return parts;
}

// The one file of this name, for which `fits` holds; nothing if there is none.
template <class Fits>
Expected<std::optional<platform::Descriptor>> take_part(std::vector<Part>& parts,
                                                        const std::string& region,
                                                        std::string_view part, const Fits& fits) {
  std::optional<platform::Descriptor> found;
  for (Part& one : parts) {
    if (!one.file || one.region != region || one.part != part || !fits(one.file)) continue;
    if (found) {
      return Error(Errc::kUntrustedRegion, "the process has two regions called " + region +
                                               " of one size, whose files cannot be told apart");
    }
    found = std::move(one.file);
  }
  return found;
}

Expected<ProcessRegion> put_together(std::vector<Part>& parts, const Part& directory,
                                     platform::Descriptor file) {
  const auto header = read_header<DirectoryStart>(file);
  if (!header || header->magic != region::kMagic) {
    return Error(Errc::kUntrustedRegion, directory.region + " has no header");
  }
  if (header->fingerprint != region::fingerprint()) {
    return Error(Errc::kLayoutMismatch,
                 directory.region + " is of another build than this allotctl");
  }
  const region::FileLayout layout{header->granules};
  if (header->granules < region::kMinGranules || header->granules > region::kMaxGranules ||
      !is_whole(file, layout.directory_bytes())) {
    return Error(Errc::kUntrustedRegion,
                 "the directory of " + directory.region + " is not sealed or has a wrong size");
  }
  const auto& region = directory.region;
  auto ledger = take_part(parts, region, "ledger", [&](const platform::Descriptor& one) {
    return is_whole(one, layout.ledger_bytes());
  });
  if (!ledger) return ledger.error();
  if (!*ledger) return Error(Errc::kUntrustedRegion, region + " has no ledger that fits");
  auto vault = take_part(parts, region, "vault", [&](const platform::Descriptor& one) {
    const auto kept = read_header<core::VaultHeader>(one);
    return kept && kept->magic == core::kVaultMagic && kept->granules == header->granules &&
           is_whole(one, core::VaultView::size_bytes(header->granules));
  });
  if (!vault) return vault.error();
  return ProcessRegion{region, header->granules, std::move(file), std::move(**ledger),
                       std::move(*vault)};
}

}  // namespace

std::optional<PartName> part_of_link(std::string_view link) {
  constexpr std::string_view kStart = "/memfd:allot:";
  constexpr std::string_view kEnd = " (deleted)";
  if (!link.starts_with(kStart) || !link.ends_with(kEnd)) return std::nullopt;
  link.remove_prefix(kStart.size());
  link.remove_suffix(std::min(kEnd.size(), link.size()));
  const std::size_t colon = link.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  const PartName name{link.substr(0, colon), link.substr(colon + 1)};
  if (name.part != "directory" && name.part != "ledger" && name.part != "vault") {
    return std::nullopt;
  }
  return name;
}

Expected<std::vector<ProcessRegion>> find_regions(std::uint64_t pid, const std::string& only) {
  auto parts = open_parts(pid);
  if (!parts) return parts.error();
  std::vector<ProcessRegion> regions;
  for (Part& one : *parts) {
    if (!one.file || one.part != "directory" || (!only.empty() && one.region != only)) continue;
    auto region = put_together(*parts, one, std::move(one.file));
    if (!region) return region.error();
    regions.push_back(std::move(*region));
  }
  if (regions.empty()) {
    return failed(ENOENT, of_process(pid) + " has no files of a region" +
                              (only.empty() ? "" : " called " + only) + " open");
  }
  std::sort(regions.begin(), regions.end(),
            [](const ProcessRegion& a, const ProcessRegion& b) { return a.name < b.name; });
  return regions;
}

}  // namespace allot::ctl
