#include "daemon/region_host.hpp"

#include <algorithm>
#include <utility>

#include "shared/platform/memfd.hpp"

namespace allot::daemon {

Expected<std::unique_ptr<RegionHost>> RegionHost::create(const RegionConfig& config) {
  const std::uint64_t granules = config.limits.size_bytes / region::kGranuleBytes;
  auto files = region::RegionFiles::create(config.name, granules);
  if (!files) return files.error();
  // Its pages come as they are touched: a few for a thousand spans, and no limit but the machine's.
  auto vault = platform::make_sealed_memfd("allot:" + config.name + ":vault",
                                           core::VaultView::size_bytes(granules));
  if (!vault) return vault.error();
  return make(std::move(*files), std::move(*vault), granules);
}

Expected<std::unique_ptr<RegionHost>> RegionHost::restore(StoredRegion stored) {
  if (stored.fingerprint != region::fingerprint()) {
    return Error(
        Errc::kLayoutMismatch,
        "its memory is laid out by another build of allotd, and goes on only with one like "
        "it; compare: allotd --layout");
  }
  if (auto checked = stored.files.check(stored.granules); !checked) return checked.error();
  if (!platform::is_sealed_memfd(stored.vault) ||
      platform::file_bytes(stored.vault) != core::VaultView::size_bytes(stored.granules)) {
    return Error(Errc::kUntrustedRegion, "its vault is not sealed or has a wrong size");
  }
  return make(std::move(stored.files), std::move(stored.vault), stored.granules);
}

Expected<std::unique_ptr<RegionHost>> RegionHost::make(region::RegionFiles files,
                                                       platform::Descriptor vault,
                                                       std::uint64_t granules) {
  auto read_only = platform::reopen_read_only(files.directory);
  if (!read_only) return read_only.error();
  auto mapping = region::RegionMapping::map(files, granules, region::RegionMapping::Role::kDaemon);
  if (!mapping) return mapping.error();
  const std::uint64_t vault_bytes = core::VaultView::size_bytes(granules);
  auto window = platform::Window::reserve(
      {0, vault_bytes, vault_bytes, 0, platform::Window::Access::kReadWrite});
  if (!window) return window.error();
  if (auto opened = window->extend(vault, vault_bytes); !opened) return opened.error();
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<RegionHost> host(new RegionHost());
  host->files_ = std::move(files);
  host->read_only_directory_ = std::move(*read_only);
  host->mapping_ = std::move(*mapping);
  host->vault_file_ = std::move(vault);
  host->vault_ = std::move(*window);
  return host;
}

core::VaultView RegionHost::vault() const noexcept {
  return {vault_.base(), mapping_.view().granules()};
}

std::unique_ptr<core::RegionCore> RegionHost::make_core(const RegionConfig& config,
                                                        std::uint32_t tag,
                                                        std::uint64_t now_unix_ns) const {
  return std::make_unique<core::RegionCore>(mapping_.view(), config.name, tag, config.limits,
                                            now_unix_ns, vault());
}

Expected<std::unique_ptr<core::RegionCore>> RegionHost::restore_core(const core::Limits& limits) {
  const region::RegionView view = mapping_.view();
  const std::uint64_t granules =
      std::min(view.header().high_water_granules.load_acquire(), view.granules());
  const std::uint32_t heaps = core::RegionCore::heaps_to_open(view, vault());
  // An earlier daemon may have ended between the decision and the commit.
  for (std::uint32_t heap = 0; heap < heaps; ++heap) {
    if (view.heap(heap).session.load_relaxed() == 0) continue;
    if (auto committed = commit(core::RegionCore::heap_range(heap)); !committed) {
      return committed.error();
    }
  }
  if (auto opened = open(granules, heaps); !opened) return opened.error();
  // What it had committed and not granted.
  const region::FileLayout layout{view.granules()};
  constexpr std::uint64_t kWordBytes = region::kWordsPerGranule * sizeof(std::uint32_t);
  const std::uint64_t rest = view.granules() - granules;
  for (const core::FileRange& range :
       {core::FileRange{core::RegionFile::kData, granules * region::kGranuleBytes,
                        rest * region::kGranuleBytes},
        core::FileRange{core::RegionFile::kLedger, layout.words_offset() + granules * kWordBytes,
                        rest * kWordBytes}}) {
    if (rest == 0) break;
    if (auto punched = punch(range); !punched) return punched.error();
  }
  return core::RegionCore::restore(view, vault(), limits);
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
