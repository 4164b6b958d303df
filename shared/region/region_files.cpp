#include "shared/region/region_files.hpp"

#include <algorithm>
#include <utility>

#include "shared/platform/memfd.hpp"

namespace allot::region {

namespace {

using platform::Window;

// Windows open in steps of at least 4 MiB of data, of an eighth when they are large.
constexpr std::uint64_t kMinStepGranules = 64;
// Data is mapped at a multiple of this in every process, so that a block aligned to as much in one
// is so in all.
constexpr std::size_t kDataAlignmentBytes = std::size_t{2} << 20;

}  // namespace

Expected<RegionFiles> RegionFiles::create(const std::string& name, std::uint64_t granules) {
  if (granules < kMinGranules || granules > kMaxGranules) {
    return Error(Errc::kBadArgument, "a region has " +
                                         std::to_string(kMinGranules * kGranuleBytes) + " to " +
                                         std::to_string(kMaxGranules * kGranuleBytes) + " bytes");
  }
  const FileLayout layout{granules};
  RegionFiles files;
  const auto make = [&](platform::Descriptor& out, const char* part,
                        std::uint64_t bytes) -> Expected<void> {
    auto file = platform::make_sealed_memfd("allot:" + name + ":" + part, bytes);
    if (!file) return file.error();
    out = std::move(*file);
    return {};
  };
  if (auto made = make(files.directory, "directory", layout.directory_bytes()); !made) {
    return made.error();
  }
  if (auto made = make(files.ledger, "ledger", layout.ledger_bytes()); !made) return made.error();
  if (auto made = make(files.data, "data", layout.data_bytes()); !made) return made.error();
  // The fixed tables are touched all over; a later touch must not fail.
  if (auto committed = platform::commit_range(files.directory, 0, FileLayout::kDescriptorsOffset);
      !committed) {
    return committed.error();
  }
  return files;
}

Expected<void> RegionFiles::check(std::uint64_t granules) const {
  if (granules < kMinGranules || granules > kMaxGranules) return Error(Errc::kUntrustedRegion);
  const FileLayout layout{granules};
  const auto good = [](const platform::Descriptor& file, std::uint64_t bytes) {
    return platform::is_sealed_memfd(file) && platform::file_bytes(file) == bytes;
  };
  if (!good(directory, layout.directory_bytes()) || !good(ledger, layout.ledger_bytes()) ||
      !good(data, layout.data_bytes())) {
    return Error(Errc::kUntrustedRegion, "a file is not sealed or has a wrong size");
  }
  return {};
}

Expected<RegionMapping> RegionMapping::map(const RegionFiles& files, std::uint64_t granules,
                                           Role role) {
  RegionMapping out;
  out.granules_ = granules;
  out.role_ = role;
  const FileLayout layout{granules};
  const auto directory_access =
      role == Role::kClient ? Window::Access::kReadOnly : Window::Access::kReadWrite;
  constexpr auto kLedgerAccess = Window::Access::kReadWrite;

  struct Part {
    Window* window;
    Window::Options options;
  };
  std::vector<Part> parts = {
      {&out.directory_,
       {0, FileLayout::kDescriptorsOffset, FileLayout::kDescriptorsOffset, 0, directory_access}},
      {&out.descriptors_,
       {FileLayout::kDescriptorsOffset, layout.directory_bytes() - FileLayout::kDescriptorsOffset,
        kGranuleBytes, 0, directory_access}},
      {&out.heap_ledgers_,
       {FileLayout::kHeapLedgersOffset, FileLayout::kSpanLedgersOffset, kGranuleBytes, 0,
        kLedgerAccess}},
      {&out.span_ledgers_,
       {FileLayout::kSpanLedgersOffset, layout.words_offset() - FileLayout::kSpanLedgersOffset,
        kGranuleBytes, 0, kLedgerAccess}},
      {&out.words_,
       {layout.words_offset(), layout.ledger_bytes() - layout.words_offset(), kGranuleBytes, 0,
        kLedgerAccess}},
  };
  if (role != Role::kDaemon) {
    parts.push_back(
        {&out.data_,
         {0, layout.data_bytes(), kGranuleBytes, kDataAlignmentBytes, Window::Access::kReadWrite}});
  }
  for (const Part& part : parts) {
    auto window = Window::reserve(part.options);
    if (!window) return window.error();
    *part.window = std::move(*window);
  }
  if (auto opened = out.open(out.directory_, files.directory, FileLayout::kDescriptorsOffset);
      !opened) {
    return opened.error();
  }
  return out;
}

Expected<void> RegionMapping::open(Window& window, const platform::Descriptor& file,
                                   std::uint64_t size_bytes) const {
  return role_ == Role::kPrivate ? window.extend_privately(size_bytes)
                                 : window.extend(file, size_bytes);
}

Expected<void> RegionMapping::extend(const RegionFiles& files, std::uint64_t granules) {
  if (granules <= window_granules_) return {};
  const std::uint64_t step = std::max(kMinStepGranules, window_granules_ / 8);
  const std::uint64_t target = std::min(std::max(granules, window_granules_ + step), granules_);
  struct Part {
    Window* window;
    const platform::Descriptor* file;
    std::uint64_t bytes_per_granule;
  };
  std::vector<Part> parts = {
      {&descriptors_, &files.directory, sizeof(std::uint64_t)},
      {&span_ledgers_, &files.ledger, sizeof(SpanLedger)},
      {&words_, &files.ledger, kWordsPerGranule * sizeof(std::uint32_t)},
  };
  if (role_ != Role::kDaemon) parts.push_back({&data_, &files.data, kGranuleBytes});
  for (const Part& part : parts) {
    if (auto opened = open(*part.window, *part.file, target * part.bytes_per_granule); !opened) {
      return opened.error();
    }
  }
  window_granules_ = target;
  return {};
}

Expected<void> RegionMapping::extend_heaps(const RegionFiles& files, std::uint32_t heaps) {
  return open(heap_ledgers_, files.ledger, heaps * sizeof(HeapLedger));
}

RegionView RegionMapping::view() const noexcept {
  return {{directory_.base(), descriptors_.base(), heap_ledgers_.base(), span_ledgers_.base(),
           words_.base()},
          granules_};
}

}  // namespace allot::region
