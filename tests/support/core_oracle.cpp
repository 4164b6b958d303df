#include "tests/support/core_oracle.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace allot::test {

using region::CarveWord;
using region::kGranuleBytes;
using region::SessionState;

namespace {

// The own word's fields, taken apart by hand: the daemon's code must not judge itself.
constexpr std::uint32_t kFreed = 2;
constexpr std::uint32_t kKept = 3;
constexpr std::uint32_t kTaken = 4;
constexpr std::uint32_t kGenerations = 1U << 18;

std::uint32_t owner_of(std::uint32_t word) { return word >> 20; }
std::uint32_t generation_of(std::uint32_t word) { return word % kGenerations; }
bool is_exposed(std::uint32_t word) { return (word >> 19) % 2 == 1; }
bool is_live(std::uint32_t word) { return owner_of(word) == kKept || owner_of(word) >= 16; }
std::uint32_t freed_word(std::uint32_t word) {
  const std::uint32_t generation = generation_of(word) + (is_exposed(word) ? 1 : 0);
  return (kFreed << 20) + generation % kGenerations;
}

}  // namespace

CoreOracle::CoreOracle(std::uint32_t granules, const core::Limits& limits)
    : limits_(limits),
      set_aside_(granules, false),
      used_(granules, false),
      dirty_since_(granules, kClean),
      words_(std::size_t{granules} * region::kWordsPerGranule),
      carves_(granules) {}

bool CoreOracle::holds_live_block(std::uint32_t first) const {
  const auto begin = words_.begin() + static_cast<std::ptrdiff_t>(at({first, 0}));
  return std::any_of(begin, begin + spans_.at(first).words, is_live);
}

bool CoreOracle::is_draining(std::uint32_t session) const {
  const auto found = sessions_.find(session);
  return found != sessions_.end() && found->second.state == SessionState::kDraining;
}

bool CoreOracle::is_large(std::uint32_t first) const {
  return carves_[first] == CarveWord::kLarge || is_chunked(first);
}

// --- spans ---

bool CoreOracle::has_free_run(std::uint64_t granules, std::uint32_t align) const {
  for (std::size_t first = 0; first + granules <= used_.size(); first += align) {
    std::size_t length = 0;
    while (length < granules && !used_[first + length] && !set_aside_[first + length]) ++length;
    if (length == granules) return true;
  }
  return false;
}

std::set<Errc> CoreOracle::grant_obstacles(std::uint32_t session,
                                           const protocol::GrantRequest& request) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.state != SessionState::kLive) {
    return {Errc::kUnknownSession};
  }
  const std::uint64_t granules = std::uint64_t{request.granules} * request.count;
  std::uint64_t of_session = granules;
  std::uint64_t of_uid = granules;
  std::uint64_t of_all = granules;
  for (const auto& [first, span] : spans_) {
    if (span.session == session) of_session += span.granules;
    if (span.uid == found->second.uid) of_uid += span.granules;
    of_all += span.granules;
  }
  std::set<Errc> obstacles;
  const auto limit = [&](std::uint64_t wanted, std::uint64_t bytes, Errc errc) {
    if (wanted * kGranuleBytes > bytes) obstacles.insert(errc);
  };
  if (granules > used_.size()) obstacles.insert(Errc::kSizeTooLarge);
  limit(granules, limits_.max_grant_bytes, Errc::kSizeTooLarge);
  limit(of_session, limits_.session_quota_bytes, Errc::kSessionQuota);
  limit(of_uid, limits_.uid_quota_bytes, Errc::kUidQuota);
  limit(of_all, limits_.commit_limit_bytes, Errc::kCommitLimit);
  if (request.at != protocol::kAnywhere) {
    add_run_obstacles(session, request, obstacles);
  } else if (!has_free_run(granules, request.align_granules)) {
    obstacles.insert(Errc::kRegionFull);
  }
  return obstacles;
}

// Of a grant that must lie at a certain granule.
void CoreOracle::add_run_obstacles(std::uint32_t session, const protocol::GrantRequest& request,
                                   std::set<Errc>& obstacles) const {
  for (const auto& [first, one] : reservations_) {
    if (one.session != session || request.at < first || request.at >= first + one.granules)
      continue;
    const std::uint64_t at = request.at;
    if (used_[at] || (at > first && !used_[at - 1])) break;
    std::uint64_t run = 0;
    while (at + run < first + one.granules && !used_[at + run]) ++run;
    if (std::uint64_t{request.granules} * request.count > run) {
      obstacles.insert(Errc::kSizeTooLarge);
    }
    if (at % request.align_granules != 0) obstacles.insert(Errc::kBadAlignment);
    return;
  }
  obstacles.insert(Errc::kNotOwner);
}

std::uint64_t CoreOracle::reservable(std::uint32_t session, const protocol::Reserve& request,
                                     std::set<Errc>& obstacles) const {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.state != SessionState::kLive) {
    obstacles = {Errc::kUnknownSession};
    return 0;
  }
  if (request.granules == 0 || request.minimum == 0) obstacles.insert(Errc::kSizeZero);
  if (request.minimum > request.granules) obstacles.insert(Errc::kBadArgument);
  if (request.minimum > used_.size()) obstacles.insert(Errc::kSizeTooLarge);
  if (!obstacles.empty()) return 0;
  std::uint64_t of_session = 0;
  std::uint64_t of_uid = 0;
  std::uint64_t of_all = 0;
  for (const auto& [first, one] : reservations_) {
    if (one.session == session) of_session += one.granules;
    if (one.uid == found->second.uid) of_uid += one.granules;
    of_all += one.granules;
  }
  const std::uint64_t most = std::min<std::uint64_t>(request.granules, used_.size());
  for (std::uint64_t granules = most;; granules = std::max(granules / 2, request.minimum)) {
    obstacles.clear();
    const auto limit = [&](std::uint64_t used, std::uint64_t bytes) {
      if ((used + granules) * kGranuleBytes > bytes) obstacles.insert(Errc::kReserveLimit);
    };
    limit(of_session, limits_.session_reserve_bytes);
    limit(of_uid, limits_.uid_reserve_bytes);
    limit(of_all, limits_.reserve_limit_bytes);
    if (!has_free_run(granules, 1)) obstacles.insert(Errc::kRegionFull);
    if (obstacles.empty()) {
      return granules == request.granules ? granules : std::max(granules / 2, request.minimum);
    }
    if (granules == request.minimum) return 0;
  }
}

void CoreOracle::reserve(std::uint32_t session, const protocol::Reserved& reserved) {
  const auto first = static_cast<std::uint32_t>(reserved.first);
  const auto granules = static_cast<std::uint32_t>(reserved.granules);
  reservations_[first] = {granules, session, sessions_.at(session).uid};
  for (std::uint32_t granule = first; granule < first + granules; ++granule) {
    EXPECT_FALSE(used_.at(granule) || set_aside_.at(granule)) << granule << " was somebody's";
    set_aside_[granule] = true;
  }
}

void CoreOracle::unreserve(std::uint32_t first) {
  const auto begin = set_aside_.begin() + static_cast<std::ptrdiff_t>(first);
  std::fill_n(begin, reservations_.at(first).granules, false);
  reservations_.erase(first);
}

void CoreOracle::plan(const core::GrantPlan& plan) {
  std::uint64_t dirty = 0;
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    const std::uint32_t first = plan.first + i * plan.granules;
    spans_[first] = {plan.granules, plan.words, plan.session, sessions_.at(plan.session).uid, true};
    for (std::uint32_t granule = first; granule < first + plan.granules; ++granule) {
      EXPECT_FALSE(used_.at(granule)) << "granule " << granule << " was handed out twice";
      used_[granule] = true;
      if (dirty_since_[granule] != kClean) ++dirty;
      dirty_since_[granule] = kClean;
    }
  }
  EXPECT_EQ(plan.used_granules, dirty) << "a span's data is zero or it is not";
}

void CoreOracle::finish(const core::GrantPlan& plan, bool visible) {
  for (std::uint32_t i = 0; i < plan.count; ++i) {
    const std::uint32_t first = plan.first + i * plan.granules;
    if (!visible) {
      free_span(first, 0);
      continue;
    }
    spans_.at(first).pending = false;
    carves_[first] = 0;
    std::fill_n(words_.begin() + static_cast<std::ptrdiff_t>(at({first, 0})), plan.words, 0);
  }
}

void CoreOracle::free_span(std::uint32_t first, std::uint64_t since_ns) {
  const Span span = spans_.at(first);
  EXPECT_TRUE(span.pending || !holds_live_block(first)) << "live blocks at granule " << first;
  for (std::uint32_t granule = first; granule < first + span.granules; ++granule) {
    used_[granule] = false;
    dirty_since_[granule] = since_ns;
  }
  spans_.erase(first);
  noted_.erase(first);
}

void CoreOracle::note_freed(std::uint32_t first, std::uint64_t now_ns) {
  const auto found = spans_.find(first);
  if (found == spans_.end() || found->second.pending) return;
  if (found->second.session == 0) {
    if (!holds_live_block(first)) free_span(first, now_ns);
  } else if (is_large(first)) {
    noted_.try_emplace(first, now_ns);
  }
}

void CoreOracle::sweep(std::uint64_t now_ns) {
  std::vector<std::uint32_t> empty;
  for (const auto& [first, span] : spans_) {
    if (span.session == 0 && !holds_live_block(first)) empty.push_back(first);
  }
  for (const std::uint32_t first : empty) free_span(first, now_ns);
  const std::uint64_t delay_ns = limits_.large_reclaim_delay_ms * 1'000'000;
  for (auto it = noted_.begin(); it != noted_.end();) {
    if (now_ns < it->second + delay_ns) {
      ++it;
      continue;
    }
    std::uint32_t& word = words_[at({it->first, 0})];
    if (owner_of(word) == kFreed && is_large(it->first)) {
      word = (kTaken << 20) + generation_of(word);
    }
    it = noted_.erase(it);
  }
}

void CoreOracle::accept_taken_large(const region::RegionView& view) {
  for (const auto& [first, span] : spans_) {
    if (span.pending || span.session == 0 || !is_large(first)) continue;
    std::uint32_t& word = words_[at({first, 0})];
    const std::uint32_t taken = (kTaken << 20) + generation_of(word);
    if (owner_of(word) == kFreed && view.word(first, 0).load_acquire() == taken) word = taken;
  }
}

void CoreOracle::punch(const std::vector<core::FileRange>& ranges, std::uint64_t now_ns) {
  ASSERT_FALSE(ranges.empty());
  ASSERT_EQ(ranges[0].file, core::RegionFile::kData);
  const std::uint64_t first = ranges[0].offset_bytes / kGranuleBytes;
  const std::uint64_t end = first + ranges[0].length_bytes / kGranuleBytes;
  ASSERT_LT(first, end);
  ASSERT_LE(end, used_.size());
  const auto span = spans_.upper_bound(static_cast<std::uint32_t>(first));
  if (span != spans_.begin() && std::prev(span)->first + std::prev(span)->second.granules > first) {
    const auto& [head, taken] = *std::prev(span);
    EXPECT_EQ(owner_of(words_[at({head, 0})]), kTaken) << "punches the span at granule " << head;
    EXPECT_TRUE(is_large(head));
    EXPECT_LE(end, head + taken.granules);
    EXPECT_EQ(ranges.size(), 1U) << "the own words of a granted span stay";
    return;
  }
  for (std::uint64_t granule = first; granule < end; ++granule) {
    EXPECT_FALSE(used_[granule]) << "punches granule " << granule << ", which is granted";
    EXPECT_NE(dirty_since_[granule], kClean) << "granule " << granule << " is clean already";
    EXPECT_GE(now_ns, dirty_since_[granule] + limits_.punch_delay_ms * 1'000'000);
    dirty_since_[granule] = kClean;
    std::fill_n(words_.begin() + static_cast<std::ptrdiff_t>(granule) * region::kWordsPerGranule,
                region::kWordsPerGranule, 0);
  }
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[1].file, core::RegionFile::kLedger);
  EXPECT_EQ(ranges[1].length_bytes, (end - first) * region::kWordsPerGranule * 4);
  EXPECT_EQ(ranges[1].offset_bytes,
            region::FileLayout{used_.size()}.words_offset() + first * region::kWordsPerGranule * 4);
}

void CoreOracle::restart(std::uint32_t high_water_granules) {
  for (auto& [id, session] : sessions_) {
    if (session.state == SessionState::kLive) session.state = SessionState::kDetached;
  }
  noted_.clear();
  for (std::size_t granule = 0; granule < used_.size(); ++granule) {
    dirty_since_[granule] = granule < high_water_granules && !used_[granule] ? 0 : kClean;
  }
}

// --- names ---

void CoreOracle::free_kept(const Name& name, std::uint64_t now_ns) {
  if (is_chunked(name.block.first)) end_chunks(name.block.first);
  std::uint32_t& word = words_[at(name.block)];
  EXPECT_EQ(owner_of(word), kKept);
  word = freed_word(word);
  ++reclaimed_blocks_;
  note_freed(name.block.first, now_ns);
}

void CoreOracle::hide(const std::string& name, std::uint64_t now_ns) {
  const auto found = names_.find(name);
  const Name record = found->second;
  names_.erase(found);
  if (record.pins.empty()) {
    free_kept(record, now_ns);
  } else {
    hidden_.push_back(record);
  }
}

bool CoreOracle::unpin(Handle handle, std::uint32_t session, std::uint64_t now_ns) {
  for (auto& [name, record] : names_) {
    if (record.handle == handle && record.pins.erase(session) == 1) return false;
  }
  for (auto it = hidden_.begin(); it != hidden_.end(); ++it) {
    if (it->handle != handle || it->pins.erase(session) == 0) continue;
    if (!it->pins.empty()) return false;
    free_kept(*it, now_ns);
    hidden_.erase(it);
    return true;
  }
  ADD_FAILURE() << session << " did not pin " << handle.bits();
  return false;
}

void CoreOracle::drop_pins(std::uint32_t session, std::uint64_t now_ns) {
  std::vector<Handle> pinned;
  for (const auto& [name, record] : names_) {
    if (record.pins.contains(session)) pinned.push_back(record.handle);
  }
  for (const Name& record : hidden_) {
    if (record.pins.contains(session)) pinned.push_back(record.handle);
  }
  for (const Handle handle : pinned) (void)unpin(handle, session, now_ns);
}

// --- recovery ---

bool CoreOracle::names_session(std::uint32_t session) const {
  return std::any_of(spans_.begin(), spans_.end(), [&](const auto& entry) {
    const auto begin = words_.begin() + static_cast<std::ptrdiff_t>(at({entry.first, 0}));
    return entry.second.session == session ||
           (!entry.second.pending &&
            std::any_of(begin, begin + entry.second.words,
                        [&](std::uint32_t word) { return owner_of(word) == session; }));
  });
}

// Pins of draining sessions may have ended.
void CoreOracle::accept_dropped_pins(const core::RegionCore& core, std::uint64_t now_ns) {
  const auto is_pinned = [&](Handle handle, std::uint32_t session) {
    const auto holds = [&](const core::RegionCore::NameRecord& one) {
      return one.handle == handle && one.pins.contains(session);
    };
    const auto& hidden = core.hidden_names();
    return std::any_of(hidden.begin(), hidden.end(), holds) ||
           std::any_of(core.names().begin(), core.names().end(),
                       [&](const auto& entry) { return holds(entry.second); });
  };
  std::vector<std::pair<Handle, std::uint32_t>> dropped;
  const auto look_at = [&](const Name& name) {
    for (const std::uint32_t session : name.pins) {
      if (is_draining(session) && !is_pinned(name.handle, session)) {
        dropped.emplace_back(name.handle, session);
      }
    }
  };
  for (const auto& [name, record] : names_) look_at(record);
  for (const Name& record : hidden_) look_at(record);
  for (const auto& [handle, session] : dropped) (void)unpin(handle, session, now_ns);
}

// Words of draining sessions may have been freed. Returns the spans where that happened.
std::set<std::uint32_t> CoreOracle::accept_recovered_words(const region::RegionView& view,
                                                           std::uint64_t now_ns) {
  std::set<std::uint32_t> touched;
  for (const auto& [first, span] : spans_) {
    if (span.pending) continue;
    for (std::uint32_t i = 0; i < span.words; ++i) {
      std::uint32_t& word = words_[at({first, i})];
      const std::uint32_t actual = view.word(first, i).load_acquire();
      if (actual == word || !is_draining(owner_of(word))) continue;
      // Closed, and then the block ended with the last pin of the dead: as drop_pins() will have it.
      if (is_chunked(first) && i > 0 && actual == 0) continue;
      EXPECT_EQ(actual, freed_word(word)) << "recovery left this at " << first << '.' << i;
      word = actual;
      if (is_chunked(first) && i > 0) continue;  // closed; what was filled stays
      ++recovered_blocks_;
      touched.insert(first);
    }
  }
  for (const std::uint32_t first : touched) {
    if (spans_.at(first).session != 0 && is_large(first)) noted_.try_emplace(first, now_ns);
  }
  return touched;
}

// Spans of draining sessions may have become free or orphans, orphans may have become free.
void CoreOracle::accept_recovered_spans(core::RegionCore& core, std::uint64_t now_ns) {
  std::vector<std::uint32_t> freed;
  for (auto& [first, span] : spans_) {
    const core::Extent* const extent = core.extents().find(first);
    if (extent == nullptr && (span.session == 0 || is_draining(span.session))) {
      freed.push_back(first);
    } else if (extent != nullptr && is_draining(span.session) && extent->info.session == 0) {
      EXPECT_TRUE(holds_live_block(first)) << "an orphan that nobody uses, at granule " << first;
      span.session = 0;
    }
  }
  for (const std::uint32_t first : freed) free_span(first, now_ns);
}

void CoreOracle::after_recovery(core::RegionCore& core, const std::vector<std::uint32_t>& ended,
                                std::uint64_t now_ns) {
  if (std::none_of(sessions_.begin(), sessions_.end(),
                   [&](const auto& entry) { return is_draining(entry.first); })) {
    EXPECT_TRUE(ended.empty());
    return;
  }
  const std::set<std::uint32_t> touched = accept_recovered_words(core.view(), now_ns);
  accept_dropped_pins(core, now_ns);
  for (const std::uint32_t session : ended) drop_pins(session, now_ns);
  accept_recovered_spans(core, now_ns);
  if (!ended.empty()) sweep(now_ns);
  for (const std::uint32_t first : touched) {
    const auto span = spans_.find(first);
    if (span == spans_.end() || span->second.session == 0) continue;
    EXPECT_NE(core.view().span_ledger(first).hint.load_acquire(), 0U) << "no hint at " << first;
  }
  for (const std::uint32_t session : ended) {
    EXPECT_TRUE(is_draining(session)) << session << " ended alive";
    EXPECT_FALSE(names_session(session)) << "something still names " << session;
    sessions_.erase(session);
    std::erase_if(heaps_, [session](const auto& entry) { return entry.second == session; });
    for (auto it = reservations_.begin(); it != reservations_.end();) {
      const auto [first, reservation] = *it++;
      if (reservation.session == session) unreserve(first);
    }
  }
}

}  // namespace allot::test
