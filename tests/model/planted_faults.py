#!/usr/bin/env python3
"""Faults in the daemon's core, and in the client's FitHeap, that their unit and model tests must catch.

usage: planted_faults.py [--check] [--keep DIRECTORY] [NAME...]
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import fault_planting  # noqa: E402

CORE = "daemon/core/region_core.cpp"
GRANTS = "daemon/core/region_grants.cpp"
DIRTY = "daemon/core/dirty_ranges.cpp"
NAMES = "daemon/core/region_names.cpp"
RECOVERY = "daemon/core/region_recovery.cpp"
RESERVATIONS = "daemon/core/region_reservations.cpp"
EXTENTS = "daemon/core/extents.cpp"
SERVICE = "daemon/core/service.cpp"
MESSAGE = "shared/protocol/message.cpp"
VIEW = "shared/region/region_view.cpp"
COUNT = "shared/region/span_count.cpp"
CHUNK = "shared/region/chunk_words.cpp"
NOTE = "shared/region/arena_note.cpp"
FIT = "client/fit_core.cpp"
FIT_TREE = "client/fit_tree.cpp"
FIT_INDEX = "client/fit_index.cpp"
FIT_GROWTH = "client/fit_growth.cpp"
GUARDED = "client/guarded_pages.cpp"

# name, file, what stands there (once, spaces do not matter), what is planted
FAULTS = [
    # extents
    ("coalesce_left_only", EXTENTS, "right != nullptr && right->state_ == state", "false && right->state_ == state"),
    ("coalesce_right_only", EXTENTS, "left != nullptr && left->state_ == state", "false && left->state_ == state"),
    ("exact_fit_missed", EXTENTS, "by_size_.lower_bound(total, BySize())",
     "by_size_.upper_bound(total, BySize())"),
    ("alignment_ignored", EXTENTS,
     "(it->first() + align_granules - 1) / align_granules * align_granules",
     "it->first() + 0 * align_granules"),
    ("rest_behind_lost", EXTENTS,
     "if (first + total < end) insert_after_cut(first + total, end - first - total, State::kFree);",
     ""),
    ("reserved_rest_lost", EXTENTS,
     "if (first + total < end) insert_after_cut(first + total, end - first - total, "
     "State::kReserved);", ""),
    ("reserved_joined_with_anothers", EXTENTS, "right->state_ == state && right->end() <= end",
     "right->state_ == state"),
    ("reserved_taken_for_a_span", EXTENTS, "!it->is_span()", "it->is_free()"),
    ("free_count_not_raised", EXTENTS, "free_granules_ += extent->granules();", ""),
    # sessions, grants, returns
    ("detach_forgotten", CORE, "found->second.state = SessionState::kDetached;", ""),
    ("detached_may_ask", CORE,
     "found == sessions_.end() || found->second.state != SessionState::kLive) { return Error(",
     "found == sessions_.end() || found->second.state == SessionState::kDraining) { return Error("),
    ("quota_off_by_one", GRANTS, "used > limit || wanted > limit - used",
     "used > limit || wanted >= limit - used"),
    ("uid_quota_ignored", GRANTS, "if (over(of_uid, limits_.uid_quota_bytes))", "if (false)"),
    ("floor_ignored", GRANTS, "committed > available_bytes - limits_.available_floor_bytes",
     "false"),
    ("session_not_refunded", GRANTS, "found->second.granted_bytes -= bytes;", ""),
    ("uid_not_refunded", GRANTS, "of_uid -= bytes;", ""),
    ("words_not_invalidated", GRANTS, "for (std::uint32_t word = 0; word < plan.words; ++word)",
     "for (std::uint32_t word = 1; word < plan.words; ++word)"),
    ("carve_not_invalidated", GRANTS,
     "view_.span_ledger(extent->first()).carve.store_relaxed(0);", ""),
    ("grant_stays_dirty", GRANTS,
     "dirty_.remove(*first, static_cast<std::uint32_t>(total));", ""),
    ("clean_cuts_too_much", DIRTY, "if (dirty_end > end)", "if (false)"),
    ("high_water_falls", GRANTS, "high_water_ = std::max(high_water_, plan.high_water_granules);",
     "high_water_ = plan.high_water_granules;"),
    ("live_span_returned", GRANTS, "if (holds_live_block(*extent)) {", "if (false) {"),
    ("strangers_span_returned", GRANTS, "extent->info.session != session ||", ""),
    ("interior_descriptors_stay", GRANTS,
     "for (std::uint32_t i = 1; i < extent.granules(); ++i) { view_.descriptor(extent.first() + i)"
     ".store_relaxed(0);",
     "for (std::uint32_t i = 1; i < 1; ++i) { view_.descriptor(extent.first() + i)"
     ".store_relaxed(0);"),
    ("failed_heap_kept", CORE, "if (committed) return;", "return;"),
    ("punch_at_once", GRANTS, "dirty_.add(first, extent.granules(), now_ns);",
     "dirty_.add(first, extent.granules(), 0);"),
    ("taken_outlives_its_span", GRANTS, "taken_.erase(first); dirty_", "dirty_"),
    ("noted_outlives_its_span", GRANTS, "freed_large_.erase(first);", ""),
    ("orphan_outlives_its_span", GRANTS, "orphans_.erase(first);", ""),
    # recovery
    ("no_new_generation", RECOVERY, "OwnWord::after_free(word, OwnWord::kFreed)",
     "OwnWord::make(OwnWord::kFreed, word)"),
    ("hint_not_set", RECOVERY, "view_.span_ledger(first).hint.store_release(1);", ""),
    ("live_span_freed", RECOVERY, "if (!live) { free_span", "if (true) { free_span"),
    ("first_word_missed", RECOVERY, "for (std::uint32_t i = 0; i < extent.info.word_count; ++i)",
     "for (std::uint32_t i = 1; i < extent.info.word_count; ++i)"),
    ("late_dead_join_the_pass", RECOVERY, "dead_waiting_.insert(session);",
     "(dead_in_pass_.empty() ? dead_waiting_ : dead_in_pass_).insert(session);"),
    ("ended_before_the_pass", RECOVERY,
     "if (extents_.at_or_after(pass_granule_) != nullptr) return {};", ""),
    ("plans_not_waited_for", RECOVERY,
     "if (record.pending_grants > 0 || record.pending_heaps > 0) return {};", "(void)record;"),
    ("plans_taken_for_spans", RECOVERY, "!extent->is_span() || extent->info.granted_unix_ns == 0",
     "!extent->is_span()"),
    ("reservations_outlive_their_session", RECOVERY,
     "while (!record.reservations.empty()) end_reservation(*record.reservations.begin());", ""),
    # reservations
    ("anybodys_reservation_grows", RESERVATIONS,
     "run == nullptr || reservation_at(at)->second.session != session", "run == nullptr"),
    ("growth_beyond_the_reservation", RESERVATIONS, "if (total > run->granules())", "if (false)"),
    ("growth_anywhere", RESERVATIONS, "if (request.at == protocol::kAnywhere) {", "if (true) {"),
    ("used_memory_called_fresh", GRANTS, "plan.used_granules = dirty_before - dirty_.granules();",
     "(void)dirty_before;"),
    ("shrunk_span_is_free_for_all", RESERVATIONS,
     "if (reservation == reservations_.end()) {", "if (true) {"),
    ("anybody_ends_a_reservation", RESERVATIONS,
     "!(*record)->reservations.contains(static_cast<std::uint32_t>(first))",
     "!reservations_.contains(static_cast<std::uint32_t>(first))"),
    ("uid_not_refunded_for_a_reservation", RESERVATIONS, "of_uid -= bytes;", "(void)bytes;"),
    ("reserve_limit_off_by_one", RESERVATIONS, "used <= limit && wanted <= limit - used",
     "used <= limit && wanted < limit - used"),
    ("never_halved", RESERVATIONS, "while (!allowed && granules > request.minimum) {",
     "while (false) {"),
    ("minimum_ignored", RESERVATIONS,
     "granules = std::max(granules / 2, request.minimum); allowed = check_reservation",
     "granules = granules / 2; allowed = check_reservation"),
    ("all_that_is_left_reserved", RESERVATIONS, "if (allowed && !is_whole)", "if (false)"),
    ("orphan_still_counted", RECOVERY, "--holder.granted_spans;", ""),
    ("orphan_keeps_its_session", RECOVERY, "extent.info.session = 0;", ""),
    ("orphan_not_listed", RECOVERY, "orphans_.insert(first);", ""),
    ("entry_stays", RECOVERY,
     "view_.session(id).state.store_release(static_cast<std::uint32_t>(SessionState::kAbsent));",
     ""),
    ("heap_stays", RECOVERY, "view_.heap(it->first).session.store_release(0);", ""),
    ("pins_survive_death", RECOVERY, "if (!drop_pins(*id, budget_left, now_ns)) return {};", ""),
    ("pins_left_at_the_end_of_a_slice", RECOVERY,
     "if (!drop_pins(*id, budget_left, now_ns)) return {};",
     "(void)drop_pins(*id, budget_left, now_ns);"),
    ("pins_dropped_in_one_turn", NAMES, "if (freed && budget_words == 0) return false;", ""),
    ("the_next_dead_keep_their_pins", RECOVERY, "next_to_unpin_ = 0;", ""),
    ("large_not_noted", RECOVERY, "freed_large_.try_emplace(extent->first(), now_ns);", ""),
    ("large_taken_at_once", RECOVERY, "if (now_ns < it->second + delay_ns)", "if (false)"),
    # chunks
    ("chunks_counted_as_blocks", RECOVERY, "if (chunked && i > 0) continue; ++totals_", "++totals_"),
    ("chunks_of_the_dead_stay_open", RECOVERY, "is_abandoned(word, first * std::uint64_t",
     "!(chunked && i > 0) && is_abandoned(word, first * std::uint64_t"),
    ("cleared_under_others", NAMES, "if (record->pins.size() > 1) {", "if (false) {"),
    ("cleared_by_strangers", NAMES, "if ((*caller)->peer.uid != record->uid) {", "if (false) {"),
    ("cleared_without_pin", NAMES, "record == nullptr || !record->pins.contains(session)",
     "record == nullptr"),
    ("epoch_stays", NAMES, "region::word_value(epoch.load_relaxed()) + 1", "0"),
    ("more_than_chunks_cleared", NAMES, "i += ChunkWords::kStride) { auto& word", "++i) { auto& word"),
    ("chunks_outlive_the_block", NAMES, "end_chunks(first); std::uint32_t word", "std::uint32_t word"),
    ("overwritten_block_cleared", NAMES, "|| !is_kept(*record)", ""),
    # What the simulation alone must see: clients that claim, fill, die and clear at every moment.
    ("ready_counts_of_the_dead_lost", RECOVERY,
     "const std::uint32_t next = OwnWord::after_free(word, OwnWord::kFreed);",
     "const std::uint32_t next = chunked && i > 0 ? OwnWord::make(OwnWord::kFreed, 0) "
     ": OwnWord::after_free(word, OwnWord::kFreed);", "model"),
    ("chunks_of_the_living_closed", RECOVERY, "is_abandoned(word, first * std::uint64_t",
     "(chunked && i > 0 && OwnWord::is_session(word)) || is_abandoned(word, first * std::uint64_t",
     "model"),
    ("chunks_of_dead_fillers_stay_open", RECOVERY, "is_abandoned(word, first * std::uint64_t",
     "!(chunked && i > 0 && extent.info.session != 0) && "
     "is_abandoned(word, first * std::uint64_t", "model"),
    ("cleared_under_one_other", NAMES, "if (record->pins.size() > 1) {",
     "if (record->pins.size() > 2) {", "model"),
    ("open_chunks_not_cleared", NAMES, "if (word.load_relaxed() != 0) word",
     "if (word.load_relaxed() != 0 && !OwnWord::is_session(word.load_relaxed())) word", "model"),
    ("first_chunk_not_ended", NAMES,
     "for (std::uint32_t i = ChunkWords::kFirst; i < span->word_count; i += ChunkWords::kStride) "
     "{ clear(i); }",
     "for (std::uint32_t i = ChunkWords::kFirst + ChunkWords::kStride; i < span->word_count; "
     "i += ChunkWords::kStride) { clear(i); }", "model"),
    ("chunk_flags_unseen", COUNT, "if (OwnWord::is_exposed(word) || OwnWord::is_offered(word)) { "
     "return confirm(Fault::kFlagsWrong, word); } const", "const"),
    ("chunk_owner_unseen", COUNT, "return sink_->is_present(owner) ? Verdict::kFine",
     "return true ? Verdict::kFine"),
    ("chunk_form_cut_short", CHUNK, "const std::uint32_t form = read(ChunkWords::kForm);",
     "const std::uint32_t form = read(ChunkWords::kForm) & 0xFF;"),
    ("chunk_count_unbounded", CHUNK, "ChunkWords::needed(shape.chunk_count) > word_count", "false"),
    ("chunks_beyond_the_block", CHUNK, "shape.size_bytes() > block_bytes", "false"),
    ("chunk_fill_unbounded", CHUNK, "std::min(word_value(word), shape.chunk_units)",
     "word_value(word)"),
    ("note_read_in_the_middle", NOTE,
     "if (record[Words::kSequence].load_relaxed() == sequence) return note;", "return note;"),
    ("note_of_an_odd_sequence", NOTE, "if ((word_value(sequence) & 1U) != 0) continue;", ""),
    ("note_stays_odd_after_a_death", NOTE, "word_value(sequence_.load_relaxed()) & ~1U",
     "word_value(sequence_.load_relaxed())"),
    ("note_numbers_cut_short", NOTE, "kWordsOfNumber = 3", "kWordsOfNumber = 2"),
    ("notes_beyond_the_words", NOTE,
     "span->word_count < Words::of_record(Words::kRecords)", "span->word_count < 1024"),
    ("notes_of_any_form", NOTE, "return form == Words::kForm ? words", "return form != 99 ? words"),
    ("small_block_taken", RECOVERY,
     "if (!region::CarveWord::is_one_block("
     "view_.span_ledger(extent.first()).carve.load_acquire())) { return; }", ""),
    ("collected_block_taken", RECOVERY,
     "if (OwnWord::owner(word) != OwnWord::kFreed) return;", ""),
    # names
    ("publish_hides_exposure", NAMES,
     "OwnWord::make(OwnWord::kKept, handle.generation()) | OwnWord::kExposed",
     "OwnWord::make(OwnWord::kKept, handle.generation())"),
    ("publish_without_offer", NAMES,
     "if (!OwnWord::is_offered(word)) return Error(Errc::kNotOffered);", ""),
    ("publish_of_others", NAMES,
     "if (OwnWord::owner(word) != session) return Error(Errc::kNotOwner);", ""),
    ("stale_publish", NAMES,
     "if (OwnWord::generation(word) != handle.generation()) return Error(Errc::kStaleHandle);", ""),
    ("find_does_not_pin", NAMES, "found->second.pins.insert(session);", ""),
    ("unpublish_by_anybody", NAMES,
     "if ((*record)->peer.uid != found->second.uid)", "if (false)"),
    ("name_stays_visible", NAMES, "view_.name(record.slot).state.store_release(0);", ""),
    ("slot_leaks", NAMES, "name_slots_.reset(record.slot);", ""),
    ("hidden_names_uncounted", NAMES, "names_.size() + hidden_.size() >=", "names_.size() >="),
    ("pinned_block_freed", NAMES, "if (record.pins.empty()) {", "if (true) {"),
    ("kept_block_without_hint", NAMES,
     "view_.span_ledger(first).hint.store_release(1);", ""),
    ("kept_block_not_noted", NAMES, "note_freed(first, now_ns);", ""),
    # service
    ("second_session", SERVICE, "if (connection.region != nullptr) { return Error(Errc::kSecondHello",
     "if (false) { return Error(Errc::kSecondHello"),
    ("layout_not_checked", SERVICE, "if (request.fingerprint != region::fingerprint())",
     "if (false)"),
    ("policy_not_checked", SERVICE,
     "if (!policies_.at(region).allows(connection.peer)) { return Error(Errc::kNotAllowed, \"uid",
     "if (false) { return Error(Errc::kNotAllowed, \"uid"),
    ("old_notice_believed", SERVICE,
     "record != nullptr && record->incarnation == session.incarnation", "record != nullptr"),
    ("ended_session_heard", SERVICE, "connection.region = nullptr;", ""),
    ("closed_watchers_told", SERVICE, "it->second.erase(connection);", ""),
    ("one_way_answered", SERVICE, "if (!one_way && outcome.sends.empty())",
     "if (outcome.sends.empty())"),
    ("failed_commit_granted", SERVICE, "if (pending.grant && committed) {", "if (pending.grant) {"),
    ("failed_commit_leaks", SERVICE,
     "if (pending.grant) pending.region->abandon_grant(*pending.grant);", ""),
    ("burst_without_end", SERVICE, "connection.tokens -= 1;", ""),
    # messages and view
    ("reserved_not_checked", MESSAGE,
     "if (header.reserved != 0) return bad(\"reserved header bytes are not zero\");", ""),
    ("unused_not_checked", MESSAGE, "return b != std::byte{0};", "return b == std::byte{0} && false;"),
    ("text_end_not_checked", MESSAGE, "if (!texts_are_terminated(body)) {", "if (false) {"),
    ("length_not_checked", MESSAGE, "if (bytes.size() != kMessageBytes) {",
     "if (bytes.size() < sizeof(Header)) {"),
    ("head_before_the_region", VIEW, "if (found.granules > granule) return std::nullopt;", ""),
    ("span_beyond_the_window", VIEW, "|| found.granules > limit - first", ""),
    ("too_short_a_span", VIEW, "|| granule - first >= found.granules", ""),
    ("words_not_committed", VIEW, "|| out.cut.block_count > span.word_count", ""),
    ("bin_out_of_range", VIEW, "bin < kClassCount && block_bytes == 0", "block_bytes == 0"),
]

# The same of FitHeap, for its own tests.
FIT_FAULTS = [
    # free, coalesce
    ("fit_coalesce_below_only", FIT, "above != nullptr && !above->live) { tree_.erase(*above); joined",
     "false && !above->live) { tree_.erase(*above); joined"),
    ("fit_coalesce_above_only", FIT, "below != nullptr && !below->live", "false && !below->live"),
    ("fit_joined_with_a_live_one", FIT, "below != nullptr && !below->live", "below != nullptr"),
    ("fit_double_free_called_interior", FIT,
     "extent->live ? Errc::kInteriorPointer : Errc::kDoubleFree", "Errc::kInteriorPointer"),
    # allocate
    ("fit_rest_lost", FIT, "extent->bytes = bytes; tree_.insert(*rest);", "extent->bytes = bytes;"),
    ("fit_rest_stays_with_the_block", FIT, "if (extent->bytes > bytes) {", "if (false) {"),
    ("fit_front_lost", FIT, "found.bytes = start - found.begin; tree_.insert(found);",
     "found.bytes = start - found.begin;"),
    ("fit_alignment_ignored", FIT, "if (align_up(found->begin, alignment) + bytes <= found->end())",
     "if (found->bytes >= bytes)"),
    ("fit_misfit_ends_the_search", FIT, "if (++misfits != kMaxMisfits)", "if (++misfits != 1)"),
    ("fit_search_given_up", FIT, "if (FitExtent* const longer = tree_.best(bytes + alignment - kUnitBytes)) return longer;",
     "return tree_.best(bytes + alignment - kUnitBytes);"),
    ("fit_long_enough_is_not", FIT, "tree_.best(bytes + alignment - kUnitBytes)", "tree_.best(bytes)"),
    ("fit_no_tags_in_advance", FIT, "!extents_.reserve(kExtentsACall) || !index_.reserve_one()",
     "!extents_.reserve(0) || !index_.reserve_one()"),
    ("fit_size_overflows", FIT, "if (size > kMaxArenaBytes) return Errc::kSizeTooLarge;", ""),
    ("fit_any_alignment", FIT, "!is_alignment(alignment) || alignment", "alignment"),
    # tree
    ("fit_latest_of_equals_first", FIT_TREE, "first == nullptr || BySizeAndAddress()(extent, *first)",
     "true"),
    ("fit_order_by_address_only", FIT_TREE, "tree_.insert_equal(extent);", "tree_.push_back(extent);"),
    ("fit_new_size_goes_last", FIT_TREE, "next != nullptr ? tree_.iterator_to(*next) : tree_.end()",
     "next != nullptr && first != nullptr ? tree_.iterator_to(*next) : tree_.end()"),
    ("fit_bin_forgets_its_second", FIT_TREE,
     "next != nullptr && bin_of(next->bytes) == bin ? next : nullptr", "nullptr"),
    ("fit_last_bin_taken_for_exact", FIT_TREE, "first == nullptr || first->bytes >= bytes", "true"),
    ("fit_word_stays_used", FIT_TREE, "used_words_ | word : used_words_ & ~word",
     "used_words_ | word : used_words_"),
    # reallocate
    ("fit_grows_into_a_live_one", FIT, "if (above != nullptr && above->live) return false;",
     "if (above != nullptr && above->live) { extent.bytes = bytes; return true; }"),
    ("fit_neighbour_keeps_what_it_gave", FIT, "above->begin += missing; above->bytes -= missing;",
     "above->begin += 0; above->bytes -= 0;"),
    ("fit_never_in_place", FIT, "if (grow_in_place(*extent, bytes)) return block;", ""),
    ("fit_empty_neighbour_stays", FIT, "if (above->bytes > 0) {", "if (true) {"),
    ("fit_tail_not_given_back", FIT, "if (!extents_.reserve(1)) return;", "return;"),
    ("fit_moves_half", FIT, "std::memcpy(moved, block, std::min(size, extent->bytes));",
     "std::memcpy(moved, block, std::min(size, extent->bytes) / 2);"),
    ("fit_moved_from_leaks", FIT, "(void)free(block);", ""),
    ("fit_alignment_not_kept", FIT, "if ((extent->begin & (alignment - 1)) == 0) {", "{"),
    # index, memory
    ("fit_rehash_loses", FIT_INDEX, "i < old_capacity; ++i", "i < old_capacity / 2; ++i"),
    ("fit_index_not_cleared", FIT_INDEX,
     "std::memset(slots_, 0, capacity_ * sizeof(std::uint64_t));", ";"),
    ("fit_taken_to_see_whether_it_touches", FIT_GROWTH,
     "found == nullptr && source_->continues_at(end, bytes)", "found == nullptr"),
    ("fit_top_not_joined", FIT_GROWTH, "if (highest_ != nullptr && !highest_->live) {",
     "if (false) {"),
    ("fit_pieces_kept_at_the_end", FIT_GROWTH, "source_->give_back(pieces_->extent);", ";"),
    ("fit_no_room_for_tags", FIT_GROWTH,
     "std::min(most_bytes / kUnitBytes + kLeastExtents, kMostExtents)",
     "most_bytes / kUnitBytes + kLeastExtents"),
    ("fit_half_a_unit_managed", FIT_GROWTH, "(address + buffer.size()) & ~(kUnitBytes - 1)",
     "address + buffer.size()"),
    ("fit_cleared_stays_live", FIT_GROWTH, "free_bytes_ = managed_bytes_; live_bytes_ = 0;",
     "free_bytes_ = managed_bytes_;"),
    ("fit_no_guard_in_front", GUARDED, "base_ = static_cast<std::byte*>(got) + page;",
     "base_ = static_cast<std::byte*>(got) + 0 * page; "
     "(void)::mprotect(base_, page, PROT_READ | PROT_WRITE); base_ += page;"),
    ("fit_no_guard_behind", GUARDED, "if (bytes > reserved_) return false;",
     "(void)::mprotect(base_ + reserved_, 4096, PROT_READ);"),
]

SUITE = fault_planting.Suite(
    product=["shared/*.cpp", "shared/region/*.cpp", "shared/protocol/*.cpp",
             "shared/platform/*.cpp", "daemon/core/*.cpp", "client/*.cpp"],
    support=["tests/support/seed.cpp", "tests/support/guarded_bytes.cpp",
             "tests/support/memory_region.cpp", "tests/support/core_*.cpp",
             "tests/support/pure_daemon.cpp", "tests/support/audited_region.cpp",
             "tests/support/arena_under_test.cpp", "tests/support/fit_oracle.cpp",
             "tests/support/fault_probe.cpp", "tests/support/forked_child.cpp",
             "tests/support/refused_syscall.cpp"],
    programs={"unit": ["tests/unit/daemon/core/*_test.cpp", "tests/unit/protocol/message_test.cpp",
                       "tests/unit/region/region_view_test.cpp",
                       "tests/unit/region/layout_test.cpp",
                       "tests/unit/region/arena_note_test.cpp"],
              "model": ["tests/model/core_simulation_test.cpp"],
              "fit": ["tests/unit/client/fit_heap*_test.cpp",
                      "tests/unit/client/guarded_pages_test.cpp"]},
    faults=[fault_planting.Fault(*one) for one in FAULTS] +
           [fault_planting.Fault(*one, program="fit") for one in FIT_FAULTS])

if __name__ == "__main__":
    sys.exit(fault_planting.main(SUITE))
