#include "daemon/control_bins.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "daemon/control_json.hpp"
#include "daemon/counting_sink.hpp"
#include "daemon/log.hpp"
#include "shared/region/span_walk.hpp"

namespace allot::daemon {

namespace json = boost::json;

namespace {

// Heaps whose counters one slice reads: as many cache lines as it reads words of spans.
constexpr std::uint32_t kHeapsPerSlice = 32;

// One bin of one session: by the own words of its spans, and by the counters of its heaps.
struct Bin {
  std::uint64_t spans = 0;
  std::uint64_t block_bytes = 0;  // the largest
  std::uint64_t granted_blocks = 0;
  std::uint64_t live_blocks = 0;
  std::uint64_t granted_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t fills = 0;
  std::uint64_t peak_blocks = 0;
  std::string pool;
};

const char* bin_kind(std::uint32_t bin) {
  if (bin == region::kLargeBin) return "large";
  return bin < region::kClassCount ? "class" : "pool";
}

// What a member wrote: up to its NUL, and nothing that a terminal would obey.
std::string pool_name(const region::BinCounters& counters) {
  std::array<std::uint64_t, 2> words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = counters.pool[i].load_relaxed();
  std::array<char, region::kPoolNameBytes + 1> text{};
  std::memcpy(text.data(), words.data(), sizeof(words));
  return one_line(text.data());
}

class BinsAnswer final : public RegionAnswer {
 public:
  using RegionAnswer::RegionAnswer;

 private:
  using Key = std::pair<std::uint32_t, std::uint32_t>;  // session, bin

  bool step_region(core::RegionCore& region, std::string& out) override {
    if (!list_.is_begun()) {
      list_.begin(out, region.name(), "bins");
      walk_.emplace(region.view(), 0, window_granules(region), sink_);
      spans_done_ = false;
      next_heap_ = 0;
      bins_.clear();
      next_bin_ = {};
    }
    if (!spans_done_) {
      spans_done_ = count_spans();
      return false;
    }
    if (next_heap_ < heap_window(region)) {
      count_heaps(region);
      return false;
    }
    return print_bins(region, out);
  }

  // True at the end of the region.
  bool count_spans() {
    std::uint64_t budget = kControlSliceWords;
    for (;;) {
      switch (walk_->step(budget)) {
        case region::SpanWalk::Step::kBusy: return false;
        case region::SpanWalk::Step::kEnd: return true;
        case region::SpanWalk::Step::kSpan: break;
      }
      const region::SpanSums& span = walk_->span();
      const region::Carving& carving = span.carving;
      const bool has_blocks = carving.kind == region::Carving::Kind::kBlocks ||
                              carving.kind == region::Carving::Kind::kLarge;
      if (!has_blocks || span.span.head.state != region::SpanState::kGranted) continue;
      Bin& bin = bins_[{span.span.head.session, carving.bin}];
      ++bin.spans;
      bin.block_bytes = std::max(bin.block_bytes, carving.block_bytes);
      bin.granted_blocks += carving.block_count;
      bin.live_blocks += span.space.live_blocks;
      bin.granted_bytes += span.space.granted_bytes;
      bin.live_bytes += span.space.live_bytes;
    }
  }

  void count_heaps(const core::RegionCore& region) {
    const std::uint32_t end = std::min(next_heap_ + kHeapsPerSlice, heap_window(region));
    for (; next_heap_ < end; ++next_heap_) {
      const std::uint64_t session = region.view().heap(next_heap_).session.load_acquire();
      if (session == 0) continue;
      const region::HeapLedger& ledger = region.view().heap_ledger(next_heap_);
      for (std::uint32_t i = 0; i < region::kBinsPerHeap; ++i) {
        count_heap({static_cast<std::uint32_t>(session), i}, ledger.bins[i]);
      }
    }
  }

  void count_heap(const Key& key, const region::BinCounters& counters) {
    const std::uint64_t allocations = counters.allocations.load_relaxed();
    // A26 pairs with R26 in ThreadHeap::publish_pool(): the name was there before the size.
    const std::uint64_t pool_bytes = counters.block_bytes.load_acquire();
    const bool is_pool = key.second >= region::kFirstPoolBin && pool_bytes != 0;
    if (allocations == 0 && counters.frees.load_relaxed() == 0 && !is_pool) return;
    Bin& bin = bins_[key];
    bin.allocations += allocations;
    bin.frees += counters.frees.load_relaxed();
    bin.fills += counters.fills.load_relaxed();
    bin.peak_blocks += counters.peak.load_relaxed();
    if (key.second < region::kClassCount) {
      bin.block_bytes = region::kSizeClasses[key.second].block_bytes;
    }
    if (!is_pool) return;
    bin.block_bytes = pool_bytes;
    bin.pool = pool_name(counters);
  }

  bool print_bins(const core::RegionCore& region, std::string& out) {
    auto it = bins_.lower_bound(next_bin_);
    for (std::size_t items = 0; items < kControlSliceItems && it != bins_.end(); ++items, ++it) {
      list_.add(out, bin_json(region, it->first, it->second));
      next_bin_ = {it->first.first, it->first.second + 1};
    }
    if (it != bins_.end()) return false;
    list_.end(out);
    return true;
  }

  static json::object bin_json(const core::RegionCore& region, const Key& key, const Bin& bin) {
    json::object item;
    item["session"] = key.first;
    item["label"] = session_label(region, key.first);
    item["bin"] = key.second;
    item["kind"] = bin_kind(key.second);
    if (key.second >= region::kFirstPoolBin) item["pool"] = bin.pool;
    item["block_bytes"] = bin.block_bytes;
    item["spans"] = bin.spans;
    item["granted_bytes"] = bin.granted_bytes;
    item["granted_blocks"] = bin.granted_blocks;
    item["live_blocks"] = bin.live_blocks;
    item["live_bytes"] = bin.live_bytes;
    item["cached_blocks"] = bin.granted_blocks - std::min(bin.granted_blocks, bin.live_blocks);
    item["peak_blocks"] = std::max(bin.peak_blocks, bin.live_blocks);
    item["allocations"] = bin.allocations;
    item["frees"] = bin.frees;
    item["fills"] = bin.fills;
    return item;
  }

  CountingSink sink_;
  ItemList list_;
  std::optional<region::SpanWalk> walk_;
  bool spans_done_ = false;
  std::uint32_t next_heap_ = 0;
  std::map<Key, Bin> bins_;
  Key next_bin_;
};

}  // namespace

std::unique_ptr<ControlRequest> make_bins_answer(const ControlQuery& query, ControlContext context,
                                                 Regions regions) {
  return std::make_unique<BinsAnswer>(query, std::move(context), std::move(regions));
}

}  // namespace allot::daemon
