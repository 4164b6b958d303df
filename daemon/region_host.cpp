#include "daemon/region_host.hpp"

#include <algorithm>
#include <utility>

#include "shared/platform/memfd.hpp"

namespace allot::daemon {

Expected<std::unique_ptr<RegionHost>> RegionHost::create(const RegionConfig& config) {
  const std::uint64_t granules = config.limits.size_bytes / region::kGranuleBytes;
  auto files = region::RegionFiles::create(config.name, granules);
  if (!files) return files.error();
  auto read_only = platform::reopen_read_only(files->directory);
  if (!read_only) return read_only.error();
  auto mapping = region::RegionMapping::map(*files, granules, region::RegionMapping::Role::kDaemon);
  if (!mapping) return mapping.error();
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<RegionHost> host(new RegionHost());
  host->files_ = std::move(*files);
  host->read_only_directory_ = std::move(*read_only);
  host->mapping_ = std::move(*mapping);
  return host;
}

std::unique_ptr<core::RegionCore> RegionHost::make_core(const RegionConfig& config,
                                                        std::uint32_t tag,
                                                        std::uint64_t now_unix_ns) const {
  return std::make_unique<core::RegionCore>(mapping_.view(), config.name, tag, config.limits,
                                            now_unix_ns);
}

const platform::Descriptor& RegionHost::file(core::RegionFile file) const noexcept {
  switch (file) {
    case core::RegionFile::kDirectory: return files_.directory;
    case core::RegionFile::kLedger: return files_.ledger;
    case core::RegionFile::kData: break;
  }
  return files_.data;
}

Expected<void> RegionHost::commit(const core::FileRange& range) const {
  return platform::commit_range(file(range.file), range.offset_bytes, range.length_bytes);
}

Expected<void> RegionHost::punch(const core::FileRange& range) const {
  return platform::punch_range(file(range.file), range.offset_bytes, range.length_bytes);
}

Expected<void> RegionHost::open(std::uint64_t granules, std::uint32_t heaps) {
  if (auto opened = mapping_.extend(files_, granules); !opened) return opened;
  if (auto opened = mapping_.extend_heaps(files_, heaps); !opened) return opened;
  window_heaps_ = std::max(window_heaps_, heaps);
  return {};
}

std::uint64_t RegionHost::committed_bytes(core::RegionFile which) const noexcept {
  return platform::committed_bytes(file(which));
}

}  // namespace allot::daemon
