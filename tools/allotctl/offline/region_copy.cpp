#include "tools/allotctl/offline/region_copy.hpp"

#include <utility>

#include "shared/region/layout.hpp"

namespace allot::ctl {

using region::FileLayout;

Expected<RegionCopy> RegionCopy::take(ProcessRegion files) {
  RegionCopy out(std::move(files));
  const FileLayout layout{out.files_.granules};
  const auto sum = out.checksum_of_files();
  if (!sum) return sum.error();
  out.checksum_ = *sum;
  auto directory = PrivateMapping::copy(out.files_.directory, layout.directory_bytes());
  if (!directory) return directory.error();
  out.directory_ = std::move(*directory);
  if (out.files_.vault) {
    auto vault =
        PrivateMapping::copy(*out.files_.vault, core::VaultView::size_bytes(out.files_.granules));
    if (!vault) return vault.error();
    out.vault_ = std::move(*vault);
  }
  const auto& header = *reinterpret_cast<region::DirectoryHeader*>(out.directory_.base());
  out.window_granules_ = header.high_water_granules.load_relaxed();
  if (header.granules != out.files_.granules || out.window_granules_ > header.granules) {
    return Error(Errc::kUntrustedRegion, out.name() + ": its header makes no sense");
  }
  auto ledger = PrivateMapping::map(
      out.files_.ledger, layout.words_offset() + out.window_granules_ * region::kWordsPerGranule *
                                                     sizeof(std::uint32_t));
  if (!ledger) return ledger.error();
  out.ledger_ = std::move(*ledger);
  return out;
}

region::RegionView RegionCopy::view() const noexcept {
  const FileLayout layout{files_.granules};
  return {{directory_.base(), directory_.base() + FileLayout::kDescriptorsOffset,
           ledger_.base() + FileLayout::kHeapLedgersOffset,
           ledger_.base() + FileLayout::kSpanLedgersOffset, ledger_.base() + layout.words_offset()},
          files_.granules};
}

Expected<bool> RegionCopy::is_unchanged() const {
  const auto sum = checksum_of_files();
  if (!sum) return sum.error();
  return *sum == checksum_;
}

Expected<std::uint64_t> RegionCopy::checksum_of_files() const {
  const FileLayout layout{files_.granules};
  auto directory = checksum(files_.directory, layout.directory_bytes());
  if (!directory || !files_.vault) return directory;
  auto vault = checksum(*files_.vault, core::VaultView::size_bytes(files_.granules));
  if (!vault) return vault;
  return *directory ^ (*vault << 1 | *vault >> 63);
}

}  // namespace allot::ctl
