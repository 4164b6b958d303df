#include "tools/allotctl/offline/offline_audit.hpp"

#include <limits>
#include <memory>
#include <utility>

#include "daemon/core/audit_input.hpp"
#include "daemon/core/region_core.hpp"
#include "shared/region/audit.hpp"

namespace allot::ctl {

using region::Fault;
using region::SessionState;
using region::SpanDescriptor;
using region::SpanState;
using region::Violation;

namespace {

bool is_present(const region::RegionView& view, std::uint32_t session) {
  return session >= region::kFirstSession && session < region::kSessionLimit &&
         view.session(session).state.load_acquire() !=
             static_cast<std::uint32_t>(SessionState::kAbsent);
}

// Before restore(): heads that name nobody, or that cannot be. Takes out what belongs to no span, which a
// daemon that is killed in the middle of a grant or return leaves behind.
std::vector<Violation> look_at_heads(const region::RegionView& view, std::uint64_t limit) {
  std::vector<Violation> found;
  for (std::uint64_t granule = 0; granule < limit;) {
    const std::uint64_t bits = view.descriptor(granule).load_relaxed();
    const SpanDescriptor head = SpanDescriptor::decode(bits);
    if (!head.is_head()) {
      view.descriptor(granule++).store_relaxed(0);
      continue;
    }
    const std::uint64_t words = std::uint64_t{head.word_units} * region::kWordsPerUnit;
    if (head.granules == 0 || head.granules > limit - granule || words == 0 ||
        words > std::uint64_t{head.granules} * region::kWordsPerGranule) {
      found.push_back({Fault::kDescriptorMalformed, granule, 0, bits, 0});
      ++granule;
      continue;
    }
    if (head.state == SpanState::kGranted && !is_present(view, head.session)) {
      found.push_back({Fault::kSpanOfAbsentSession, granule, 0, head.session, 0});
    }
    granule += head.granules;
  }
  return found;
}

// What the session table says; sums and hidden names are the vault's to know.
region::AuditInput input_of_directory(const region::RegionView& view, std::uint64_t window) {
  region::AuditInput input;
  input.window_granules = window;
  input.has_accounts = false;
  for (std::uint32_t id = region::kFirstSession; id < region::kSessionLimit; ++id) {
    if (!is_present(view, id)) continue;
    const region::SessionEntry& entry = view.session(id);
    const bool is_live =
        entry.state.load_acquire() != static_cast<std::uint32_t>(SessionState::kDraining);
    input.sessions.push_back(
        {id, is_live, 0, entry.incarnation, entry.granted_bytes.load_relaxed()});
  }
  return input;
}

region::AuditReport run(const region::RegionView& view, region::Audit::Source source) {
  region::Audit audit(view, std::move(source));
  while (!audit.step(std::numeric_limits<std::uint64_t>::max())) {
  }
  return audit.report();
}

}  // namespace

OfflineReport audit_copy(RegionCopy& copy) {
  OfflineReport out;
  const region::RegionView view = copy.view();
  const std::uint64_t window = copy.window_granules();
  std::vector<Violation> before = look_at_heads(view, window);
  std::unique_ptr<core::RegionCore> core;
  if (copy.has_vault()) {
    auto restored = core::RegionCore::restore(view, copy.vault(), core::Limits{});
    if (restored) {
      core = std::move(*restored);
    } else {
      out.damage = restored.error().detail;
    }
  }
  if (core != nullptr) {
    out.audit = run(view, [&] { return core::audit_input(*core, window); });
    out.audit.violation_count += before.size();
    out.audit.violations.insert(out.audit.violations.begin(), before.begin(), before.end());
    return out;
  }
  // The audit meets what was met before.
  out.audit = run(view, [&] { return input_of_directory(view, window); });
  out.not_checked = {"sums of sessions and region, and the number of orphans",
                     "live blocks against the heaps' counters",
                     "kept blocks whose name is gone and that are still pinned",
                     "who is charged for orphans, reservations, pins"};
  return out;
}

}  // namespace allot::ctl
