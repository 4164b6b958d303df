// HostileMember: what an input makes of a session: requests of any kind with bodies that nearly make
// sense, moves of blocks that the own-word protocol allows, and scribbles that it does not.
#pragma once

#include <cstdint>

#include "shared/protocol/message.hpp"
#include "shared/region/region_view.hpp"
#include "tests/fuzz/fuzz_input.hpp"

namespace allot::test {

struct HostileMember {
  std::uint32_t session = 0;  // 0: has none
  std::uint64_t incarnation = 0;

  /// A message that a client may send, of a kind and with a body that `input` says.
  [[nodiscard]] protocol::Body request(FuzzInput& input, const region::RegionView& view) const;
  /// One move as of an honest client: carve, allocate, offer, adopt or free. Or none, if it cannot.
  void move_block(FuzzInput& input, const region::RegionView& view) const;
  /// Stores anything anywhere in the part of the ledger that is open. `heaps`: with a ledger there.
  static void scribble(FuzzInput& input, const region::RegionView& view, std::uint32_t heaps);
};

}  // namespace allot::test
