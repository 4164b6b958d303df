#include "shared/region/audit.hpp"

#include <algorithm>
#include <bitset>
#include <utility>

namespace allot::region {

namespace {

// What other things cost, in words.
constexpr std::uint64_t kHeapCost = std::uint64_t{4} * kBinsPerHeap;
constexpr std::uint64_t kEmptyHeapCost = 2;
constexpr std::uint64_t kNameCost = 32;
constexpr std::uint64_t kEmptyNameCost = 4;
constexpr std::uint64_t kPassCost = std::uint64_t{4} * kSessionLimit;

constexpr std::uint64_t spend(std::uint64_t budget, std::uint64_t cost) noexcept {
  return budget > cost ? budget - cost : 0;
}

AuditInput with_window(AuditInput input, std::uint64_t window_granules) {
  input.window_granules = window_granules;
  return input;
}

}  // namespace

Audit::Audit(RegionView view, Source source, std::uint32_t max_passes)
    : view_(view), source_(std::move(source)), max_passes_(std::max(max_passes, 1U)) {}

Audit::Audit(RegionView view, std::uint64_t window_granules, AuditInput input)
    : Audit(view, [copy = with_window(std::move(input), window_granules)] { return copy; }) {}

bool Audit::step(std::uint64_t budget_words) {
  names_are_fresh_ = false;
  std::uint64_t budget = std::max<std::uint64_t>(budget_words, 1);
  while (budget > 0 && stage_ != Stage::kDone) {
    switch (stage_) {
      case Stage::kBegin:
        begin_pass();
        budget = spend(budget, kPassCost);
        stage_ = Stage::kCounters;
        break;
      case Stage::kCounters:
        if (count_heaps(before_, budget)) stage_ = Stage::kSpans;
        break;
      case Stage::kSpans:
        if (count_spans(budget)) stage_ = Stage::kRecount;
        break;
      case Stage::kRecount:
        if (count_heaps(after_, budget)) stage_ = Stage::kNames;
        break;
      case Stage::kNames:
        if (check_names(budget)) stage_ = Stage::kFinish;
        break;
      case Stage::kFinish:
        finish_pass();
        budget = spend(budget, kPassCost);
        stage_ = report_.exact || report_.passes >= max_passes_ ? Stage::kDone : Stage::kBegin;
        break;
      case Stage::kDone: break;
    }
  }
  return stage_ == Stage::kDone;
}

void Audit::begin_pass() {
  const std::uint32_t passes = report_.passes + 1;
  report_ = AuditReport{};
  report_.passes = passes;
  input_ = source_();
  before_ = Counters{};
  after_ = Counters{};
  spaces_.assign(kSessionLimit, SpaceSums{});
  owned_.assign(kSessionLimit, OwnerSums{});
  next_name_ = 0;
  forgave_ = false;
  SpanSink& sink = *this;
  walk_.emplace(view_, 0U, input_.window_granules, sink);
  refresh_names();
}

bool Audit::count_heaps(Counters& counters, std::uint64_t& budget_words) const {
  const std::uint32_t end = std::min(input_.heap_window, kHeapLimit);
  while (counters.next_heap < end && budget_words > 0) {
    const std::uint32_t heap = counters.next_heap++;
    const std::uint64_t session = view_.heap(heap).session.load_acquire();
    if (session == 0) {
      budget_words = spend(budget_words, kEmptyHeapCost);
      continue;
    }
    budget_words = spend(budget_words, kHeapCost);
    ++counters.heaps;
    const auto found = std::find_if(input_.sessions.begin(), input_.sessions.end(),
                                    [session](const auto& one) { return one.id == session; });
    if (found != input_.sessions.end() && found->is_live) ++counters.heaps_of_live;
    HeapSums& of_session = counters.of_sessions[session];
    for (const BinCounters& bin : view_.heap_ledger(heap).bins) {
      // Relaxed: a sum that is a little old differs from the words by what moved, and is so judged.
      const HeapSums of_bin{bin.allocations.load_relaxed(), bin.frees.load_relaxed()};
      counters.allocations += of_bin.allocations;
      counters.frees += of_bin.frees;
      of_session.allocations += of_bin.allocations;
      of_session.frees += of_bin.frees;
    }
  }
  return counters.next_heap >= end;
}

bool Audit::count_spans(std::uint64_t& budget_words) {
  while (true) {
    switch (walk_->step(budget_words)) {
      case SpanWalk::Step::kBusy: return false;
      case SpanWalk::Step::kEnd: return true;
      case SpanWalk::Step::kSpan: break;
    }
    const SpanSums& span = walk_->span();
    report_.total += span.space;
    if (span.span.head.state == SpanState::kOrphan) {
      ++report_.orphans;
    } else {
      spaces_[span.span.head.session] += span.space;
    }
  }
}

// Names of the directory here, hidden ones when the pass ends. Only the daemon makes a block kept
// and names it, and it does both in one event: between the two reads nothing of it can happen.
bool Audit::check_names(std::uint64_t& budget_words) {
  while (next_name_ < kNameLimit && budget_words > 0) {
    const std::uint32_t slot = next_name_++;
    const NameEntry& entry = view_.name(slot);
    // Pairs with the release of state in RegionCore::publish(): fields before state.
    if (entry.state.load_acquire() != 1) {
      budget_words = spend(budget_words, kEmptyNameCost);
      continue;
    }
    budget_words = spend(budget_words, kNameCost);
    check_name(Handle::from_bits(entry.handle), slot);
  }
  return next_name_ >= kNameLimit;
}

void Audit::check_name(Handle handle, std::uint32_t slot) {
  using detail::OwnWord;
  BlockRef block;
  const auto finds_block = [&](std::uint64_t limit_granules) {
    return handle.region_tag() == view_.header().region_tag &&
           view_.find_block(handle.offset_bytes(), limit_granules, block) == Errc::kOk;
  };
  std::uint32_t word = 0;
  // The span may have been granted since the pass began, beyond the limit of then.
  if (finds_block(input_.window_granules) || finds_block(present_limit_granules())) {
    word = block.word->load_acquire();
    if (OwnWord::owner(word) == OwnWord::kKept &&
        OwnWord::generation(word) == handle.generation()) {
      return;
    }
  }
  on_violation({Fault::kNameWithoutBlock, handle.offset_bytes() / kGranuleBytes, slot, word, 0});
}

void Audit::finish_pass() {
  const AuditInput now = source_();
  for (const Handle handle : now.hidden_names) check_name(handle, kNameLimit);
  check_table(now);
  const bool daemon_is_steady = !walk_->moved() && now == input_;
  check_accounts(now, daemon_is_steady);
  const bool steady = daemon_is_steady && before_ == after_;
  check_counters(now, steady);
  collect_sessions();
  report_.exact = steady && !forgave_;
  report_.in_motion = forgave_;
}

// The session table is the daemon's own: within one step it must say what the core says.
void Audit::check_table(const AuditInput& now) {
  std::bitset<kSessionLimit> known;
  for (const AuditInput::Session& session : now.sessions) {
    if (session.id >= kSessionLimit) continue;
    known.set(session.id);
    if (!is_present(session.id)) {
      on_violation(
          {Fault::kTableState, 0, session.id, view_.session(session.id).state.load_acquire(), 1});
      continue;
    }
    const std::uint64_t bytes = view_.session(session.id).granted_bytes.load_relaxed();
    if (bytes != session.granted_bytes) {
      on_violation({Fault::kTableDiffers, 0, session.id, bytes, session.granted_bytes});
    }
  }
  for (std::uint32_t id = 0; id < kSessionLimit; ++id) {
    const std::uint32_t state = view_.session(id).state.load_acquire();
    if (state != 0 && !known.test(id)) on_violation({Fault::kTableState, 0, id, state, 0});
  }
}

void Audit::check_accounts(const AuditInput& now, bool steady) {
  if (!now.has_accounts) return;
  bool pending = false;
  for (const AuditInput::Session& session : now.sessions) {
    if (session.id >= kSessionLimit) continue;
    pending = pending || session.pending_grants > 0;
    compare(steady && session.pending_grants == 0,
            {Fault::kSessionDiffers, 0, session.id, spaces_[session.id].granted_bytes,
             session.granted_bytes});
  }
  compare(steady && !pending,
          {Fault::kRegionDiffers, 0, 0, report_.total.granted_bytes, now.granted_bytes});
  compare(steady, {Fault::kOrphansDiffer, 0, 0, report_.orphans, now.orphans});
}

void Audit::check_counters(const AuditInput& now, bool steady) {
  report_.allocations = after_.allocations;
  report_.frees = after_.frees;
  report_.heaps = after_.heaps;
  // Counters come from clients: unsigned arithmetic wraps, a nonsensical sum is a difference.
  const std::uint64_t expected = after_.allocations - after_.frees + now.retired_allocations -
                                 now.retired_frees - now.recovered_blocks - now.reclaimed_blocks;
  const std::uint64_t found = report_.total.live_blocks;
  report_.block_difference = static_cast<std::int64_t>(expected - found);
  if (!now.has_accounts) return;
  const std::uint64_t size = std::min(expected - found, found - expected);
  const std::uint64_t dead_heaps = after_.heaps - after_.heaps_of_live;
  const std::uint64_t killed = now.killed_heaps + dead_heaps;
  if (size <= killed) return;
  const std::uint64_t running = now.quiet ? 0 : after_.heaps_of_live;
  compare(steady && size > killed + running, {Fault::kCountersDiffer, 0, 0, found, expected});
}

// A difference between violation.word and violation.expected is a violation if nothing moved.
void Audit::compare(bool steady, const Violation& violation) {
  if (violation.word == violation.expected) return;
  if (steady) {
    on_violation(violation);
  } else {
    forgave_ = true;
  }
}

void Audit::collect_sessions() {
  for (std::uint32_t id = kFirstSession; id < kSessionLimit; ++id) {
    const auto heaps = after_.of_sessions.find(id);
    const bool has_heaps = heaps != after_.of_sessions.end();
    if (spaces_[id].spans == 0 && owned_[id].blocks == 0 && !has_heaps) continue;
    report_.sessions.push_back(
        {id, spaces_[id], owned_[id], has_heaps ? heaps->second : HeapSums{}});
  }
}

void Audit::refresh_names() {
  named_.clear();
  for (std::uint32_t slot = 0; slot < kNameLimit; ++slot) {
    const NameEntry& entry = view_.name(slot);
    if (entry.state.load_acquire() == 1) named_.push_back(entry.handle);
  }
  const AuditInput now = source_();
  for (const Handle handle : now.hidden_names) named_.push_back(handle.bits());
  std::sort(named_.begin(), named_.end());
  names_are_fresh_ = true;
}

void Audit::on_violation(const Violation& violation) {
  ++report_.violation_count;
  if (report_.violations.size() < kMaxViolations) report_.violations.push_back(violation);
}

void Audit::on_owned(std::uint32_t session, const OwnerSums& blocks) { owned_[session] += blocks; }

bool Audit::on_kept(std::uint64_t offset_bytes, std::uint32_t word, std::uint64_t block_bytes) {
  ++report_.kept.blocks;
  report_.kept.live_bytes += block_bytes;
  const auto tag = static_cast<std::uint32_t>(view_.header().region_tag);
  const std::uint64_t bits =
      Handle::make(tag, offset_bytes, detail::OwnWord::generation(word)).bits();
  const auto is_named = [&] { return std::binary_search(named_.begin(), named_.end(), bits); };
  if (is_named() || !input_.has_accounts) return true;
  if (names_are_fresh_) return false;
  refresh_names();  // it may have been published since
  return is_named();
}

bool Audit::is_present(std::uint32_t session) {
  if (session < kFirstSession || session >= kSessionLimit) return false;
  // A3 pairs with R3 in RegionCore::open_session().
  const std::uint32_t state = view_.session(session).state.load_acquire();
  return state != static_cast<std::uint32_t>(SessionState::kAbsent) &&
         state <= static_cast<std::uint32_t>(SessionState::kDraining);
}

std::uint64_t Audit::present_limit_granules() { return source_().window_granules; }

}  // namespace allot::region
