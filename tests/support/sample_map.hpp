// SampleMap: a region to be drawn, in which each kind of item occurs once, of known occupancy.
//
// For tests of what allotctl draws. A granule of it is a cell; its owners are session 20 and 21.
#pragma once

#include <cstdint>
#include <string>

#include "tools/allotctl/drawing/region_map.hpp"

namespace allot::test {

inline constexpr std::uint64_t kSampleNow = 1'000'000'000'000'000;
inline constexpr std::uint64_t kSampleSecond = 1'000'000'000;

inline ctl::MapItem sample_item(ctl::SpanKind kind, std::uint64_t first, std::uint64_t granules,
                                std::uint64_t live_percent = 0) {
  ctl::MapItem item;
  item.kind = kind;
  item.first = first;
  item.granules = granules;
  if (!ctl::is_span(kind)) return item;
  item.session = 20;
  item.granted_bytes = granules * 65'536;
  item.live_bytes = item.granted_bytes * live_percent / 100;
  item.blocks = 100;
  item.live_blocks = live_percent;
  item.granted_unix_ns = kSampleNow - 5 * kSampleSecond;
  return item;
}

inline ctl::MapOwner sample_owner(std::uint32_t session, std::string label) {
  ctl::MapOwner owner;
  owner.session = session;
  owner.incarnation = 3;
  owner.state = "live";
  owner.label = std::move(label);
  owner.pid = 4711;
  owner.spans = 1;
  return owner;
}

inline ctl::RegionMap empty_map(std::size_t max_cells = 1000, std::uint64_t used_granules = 16) {
  return {{"default", 64, 65'536, used_granules, kSampleNow}, max_cells};
}

// small 40 %, medium 100 %, large, large free, chunked, uncarved, invalid, orphan, reserved, moving
// and free, a granule each but for the medium one, which has two.
inline ctl::RegionMap sample_map() {
  using ctl::SpanKind;
  ctl::RegionMap map = empty_map();
  ctl::MapItem small = sample_item(SpanKind::kSmall, 0, 1, 40);
  small.block_bytes = 64;
  map.add(small);
  ctl::MapItem medium = sample_item(SpanKind::kMedium, 1, 2, 100);
  medium.block_bytes = 2048;
  medium.session = 21;
  medium.granted_unix_ns = kSampleNow - 7200 * kSampleSecond;
  map.add(medium);
  map.add(sample_item(SpanKind::kLarge, 3, 1, 100));
  map.add(sample_item(SpanKind::kLarge, 4, 1, 0));
  map.add(sample_item(SpanKind::kChunked, 5, 1, 100));
  ctl::MapItem uncarved = sample_item(SpanKind::kUncarved, 6, 1);
  uncarved.granted_unix_ns = 0;
  map.add(uncarved);
  map.add(sample_item(SpanKind::kInvalid, 7, 1));
  ctl::MapItem orphan = sample_item(SpanKind::kSmall, 8, 1, 10);
  orphan.orphan = true;
  orphan.session = 0;
  map.add(orphan);
  ctl::MapItem reserved = sample_item(SpanKind::kReserved, 9, 1);
  reserved.session = 21;
  map.add(reserved);
  map.add(sample_item(SpanKind::kMoving, 10, 1));
  map.add(sample_item(SpanKind::kFree, 11, 4));
  map.add(sample_item(SpanKind::kReserved, 15, 1));
  map.add(sample_item(SpanKind::kFree, 16, 48));
  map.add(sample_owner(20, "maker"));
  map.add(sample_owner(21, "taker"));
  return map;
}

}  // namespace allot::test
