// Repair: an administrator asks that what no session owns be orphaned or freed, in a daemon that lives.
// It is what a restart does with each span; normally there is nothing to do.

#include "daemon/core/region_core.hpp"

namespace allot::core {

bool RegionCore::repair_step(std::uint32_t& next, std::uint64_t budget_words, std::uint64_t now_ns,
                             Repairs& done) {
  const std::uint64_t freed_before = totals_.recovered_blocks;
  Extent* extent = extents_.at_or_after(next);
  for (std::uint64_t scanned = 0; extent != nullptr && scanned < budget_words;
       extent = extents_.at_or_after(next)) {
    next = extent->end();
    ++scanned;
    // A plan that is not finished has no descriptor and no words yet.
    if (!extent->is_span() || extent->info.granted_unix_ns == 0) continue;
    scanned += extent->info.word_count;
    repair_span(*extent, done);
    recover_span(*extent, now_ns);
  }
  done.freed_blocks += totals_.recovered_blocks - freed_before;
  return extent == nullptr;
}

// An orphan is as good as free for whoever has no block in it. So a descriptor alone makes none: the
// session that the accounts name still takes blocks from its span.
void RegionCore::repair_span(Extent& extent, Repairs& done) {
  if (extent.info.session != 0 && !sessions_.contains(extent.info.session)) {
    extent.info.session = 0;
    add_orphan(extent);
    ++done.orphaned_spans;
    return;
  }
  const bool is_orphan = extent.info.session == 0;
  const region::SpanState state =
      is_orphan ? region::SpanState::kOrphan : region::SpanState::kGranted;
  const region::SpanDescriptor head{state, extent.info.session, extent.granules(),
                                    extent.info.word_count / region::kWordsPerUnit};
  // Relaxed: only this thread writes it.
  if (view_.descriptor(extent.first()).load_relaxed() == head.encode()) return;
  write_descriptors(extent, state);
  ++(is_orphan ? done.orphaned_spans : done.rewritten_spans);
}

}  // namespace allot::core
