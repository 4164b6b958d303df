#!/usr/bin/env python3
"""Plants one fault at a time in a copy of an arena's source and checks that some test catches it.

usage: planted_faults.py [NAME...]

A test never seen to fail is not a test. Each fault below is a small edit that compiles. The edited
file is compiled, with the tests that see it if it is a header, and linked with what build/dev has
already; those tests must then fail, crash or hang. Nothing in the tree is touched. Prints who
caught what; the exit status is 1 if a fault survived or no longer applies. `./dev build` first.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[".."] * 4))
BUILD = os.path.join(ROOT, "build/dev")
HANG_S = 120

FLAGS = ["-std=c++20", "-O1", "-D_GLIBCXX_ASSERTIONS", "-DSPDLOG_COMPILED_LIB",
         "-DSPDLOG_FMT_EXTERNAL", "-DSPDLOG_SHARED_LIB"]
INCLUDES = [f"-I{ROOT}", f"-I{ROOT}/client/include", f"-I{ROOT}/shared/include"]
ARCHIVES = ["tests/libtest_support.a", "daemon/liballotd_io.a", "client/liballot_log.a",
            "client/liballot_embedded.a", "daemon/liballotd_core.a", "shared/liballot_protocol.a",
            "shared/liballot_region.a", "shared/liballot_platform.a", "shared/liballot_vocabulary.a"]
LIBRARIES = ["-lgmock", "-lgtest_main", "-lgtest", "-lboost_json", "-lboost_container", "-lspdlog",
             "-lfmt", "-ltomlplusplus", "-lsystemd", "-lpthread"]

PUSH, POSITIONS = "conformance/arena_conformance_test", "conformance/arena_positions_conformance_test"
SCOPES, SCOPE_TEST = "conformance/arena_scopes_conformance_test", "unit/client/arena/temp_test"
FRESH, OWNED = "unit/client/arena/arena_fresh_pages_test", "conformance/arena_owning_conformance_test"
VLARRAY, PMR = "unit/client/arena/vlarray_test", "unit/client/arena/pmr_test"

BUMP = "client/include/allot/detail/arena_bump.hpp"
ARENA = "client/include/allot/arena.hpp"
OWNING = "client/include/allot/owning_arena.hpp"
TEMP = "client/include/allot/temp.hpp"
ARRAY = "client/include/allot/vlarray.hpp"
RESOURCE = "client/include/allot/pmr.hpp"
RETURN = "client/include/allot/return_scratch.hpp"
CORE, SCOPE = "client/arena_core.cpp", "client/arena_scopes.cpp"
GROWTH, UNWIND = "client/arena_growth.cpp", "client/arena_unwind.cpp"
SOURCES, FACADE = "client/arena_sources.cpp", "client/arena.cpp"
POISON, LEND, MAPPED = "client/arena_poison.cpp", "client/scratch.cpp", "client/mapped_scratch.cpp"
C = "client/arena_c.cpp"

# name, file, what stands there (once, spaces do not matter), what is planted, tests to compile anew
FAULTS = [
    # the inlined push and pop
    ("end_of_block_ignored_by_one", BUMP, "end > bump.limit", "end > bump.limit + 1", [PUSH]),
    ("overflow_unchecked", BUMP, "size - 1 >= kMaxArenaBytes || end", "size == 0 || end", [PUSH]),
    ("size_zero_not_apart", BUMP, "size - 1 >= kMaxArenaBytes", "size > kMaxArenaBytes", [PUSH]),
    ("cursor_not_aligned", BUMP, "(bump.cursor + align_mask) & ~align_mask", "bump.cursor + 0 * align_mask",
     [PUSH]),
    ("bad_alignment_accepted", ARENA, "return detail::is_alignment(alignment) && detail",
     "return detail", [PUSH]),
    ("dirty_not_raised_by_pop", BUMP, "if (bump.cursor > bump.dirty) bump.dirty = bump.cursor;", "",
     [PUSH, POSITIONS]),
    ("pop_below_the_floor", BUMP, "target < bump.floor || ", "", [POSITIONS]),
    ("pop_ahead", BUMP, "|| target > bump.cursor", "", [POSITIONS]),
    ("mark_of_another_arena", ARENA, "mark.stamp == bump_.stamp &&", "", [POSITIONS]),
    ("array_size_overflows", ARENA, "return __builtin_mul_overflow(count, size, &total) ? ~std::size_t{0} : total;",
     "(void)total; return count * size;", [PUSH]),
    ("zeroing_stops_early", ARENA, "size < dirty ? size : dirty", "size < dirty ? size / 2 : dirty", [PUSH]),
    ("zeroed_push_touches_all", ARENA, "std::memset(block, 0, size < dirty ? size : dirty);\n    }",
     "}\n    std::memset(block, 0, size);", [FRESH]),
    ("owned_array_overflows", OWNING, "if (__builtin_mul_overflow(count, sizeof(T), &bytes) ||",
     "bytes = count * sizeof(T); if (", [OWNED]),
    ("owned_node_overflows", OWNING,
     "|| __builtin_add_overflow(bytes, objects_at(alignof(T)), &bytes)) {",
     ") { bytes = 0; } bytes += objects_at(alignof(T)); if (bytes == 0) {", [OWNED]),
    # growth
    ("slow_size_unchecked", GROWTH, "if (size > kMaxArenaBytes) {", "if (false) {", []),
    ("slow_zeroed_push_touches_all", GROWTH, "fill(start, std::min(start + size, dirty), 0);",
     "(void)dirty; fill(start, start + size, 0);", []),
    ("first_commit_is_filled", GROWTH, "block.committed != block.begin && step <= options_.max_commit_bytes",
     "true", []),
    ("slow_push_past_the_end", GROWTH, "if (start + size > current_->end) {",
     "if (start + size > current_->end + 64) {", []),
    ("lone_block_becomes_current", GROWTH, "if (need > block_bytes) return push_lone",
     "if (false) return push_lone", []),
    ("lone_block_not_on_the_line", GROWTH, "bump.origin -= block->cursor - block->begin;", "", []),
    ("lone_block_leaves_the_floor", GROWTH,
     "bump.origin -= block->cursor - block->begin; bump.floor = kNoFloor;",
     "bump.origin -= block->cursor - block->begin;", []),
    ("commit_past_the_limit", GROWTH, "if (step > room) return Errc::kArenaFull;", "", []),
    ("limit_of_blocks_ignored", GROWTH, "why = Errc::kArenaFull; return nullptr; } auto* const block",
     "} auto* const block", []),
    ("dirty_lost_between_blocks", GROWTH, "current_->dirty = std::max(bump.dirty, bump.cursor);",
     "current_->dirty = current_->begin;", []),
    ("caller_buffer_thought_zero", CORE, "block->end = block->committed = block->dirty = block->begin + policy.buffer.size();",
     "block->end = block->committed = block->begin + policy.buffer.size(); block->dirty = block->begin;", []),
    ("child_memory_thought_zero", GROWTH, "return {static_cast<std::byte*>(got), bytes, false, child};",
     "return {static_cast<std::byte*>(got), bytes, true, child};", []),
    ("fresh_not_filled", GROWTH, "fill(start, start + size, kFreshFill);", "", []),
    ("destructor_keeps_the_floor", GROWTH, "destructors_ = node; bump.floor = kNoFloor;",
     "destructors_ = node;", []),
    ("child_grows_into_a_scratch", GROWTH, "if (!entry || lease_depth_ != depth) {", "if (!entry) {", []),
    # unwinding
    ("block_never_dropped", UNWIND, "drop_current(bump); continue;", "break;", []),
    ("lone_block_popped_whole", UNWIND, "const std::uint64_t first = std::max(offset, lone_->first_offset());",
     "const std::uint64_t first = lone_->first_offset();", []),
    ("scope_does_not_hold", UNWIND, "if (bump.barrier != 0 && offset < bump.barrier - 1) return true;",
     "(void)bump;", []),
    ("child_does_not_hold", UNWIND, "return children_ != nullptr && offset < children_->end_offset;",
     "return false;", []),
    ("destructors_forgotten", UNWIND, "run_destructors(offset); for", "for", []),
    ("destructors_in_order", UNWIND, "node->destroy(node->objects, node->count);", "", []),
    ("popped_not_filled", UNWIND, "fill(from, to, kPoppedFill);", "", []),
    ("clear_keeps_marks", UNWIND, "bump.stamp = stamp_;", "", []),
    ("clear_keeps_everything", UNWIND, "keep_at_most(retain_bytes); //", "//", []),
    ("shrink_forgets_the_dirty_mark", UNWIND, "block->committed = keep_end;",
     "block->committed = block->committed;", []),
    ("shrink_takes_too_much", UNWIND, "+ page_bytes_ - 1) & ~(page_bytes_ - 1));", ") & ~(page_bytes_ - 1));", []),
    ("pop_last_takes_any", UNWIND, "|| cursor - address != size", "", []),
    ("retained_blocks_lost", UNWIND, "spare_ = block; spare_bytes_ += block->charged_bytes;",
     "spare_ = nullptr; spare_bytes_ += block->charged_bytes;", []),
    # scopes and scratches
    ("scope_end_out_of_order_unseen", SCOPE, "if (checks_ && !is_youngest) {", "if (false) {", []),
    ("scope_of_another_thread_unseen", SCOPE, "if (checks_ && record->thread != arena_thread()) {",
     "if (false) {", []),
    ("early_end_forgotten", SCOPE, "if (early != nullptr) early_ends_ = early;", "", []),
    ("alignment_not_restored", SCOPE, "bump.align_mask = scope.align_mask;", "", []),
    ("commit_takes_back", SCOPE, "if (keep) {", "if (false) {", []),
    ("commit_lowers_the_floor", SCOPE, "bump.floor == scope.cursor ? scope.floor : kNoFloor",
     "scope.floor", []),
    ("alignment_not_restored_inline", TEMP, "bump.align_mask = scope.align_mask;", ";", [SCOPE_TEST]),
    ("scope_end_ignores_structure", TEMP, "|| bump.floor != scope.cursor", "", [SCOPES]),
    ("lease_leaves_the_registers", SCOPE,
     "std::exchange(ArenaAccess::bump(from), ArenaBump());\n  ArenaAccess::set(to, this);",
     "ArenaAccess::bump(from); ArenaAccess::set(to, this);", []),
    ("conflict_not_named", LEND, "if (is_named(arena, conflicts)) continue;", "(void)is_named;", []),
    ("last_scratch_lent_twice", LEND, "if (is_named(arena, conflicts)) continue;",
     "if (is_named(arena, conflicts) && i + 1 < kMaxScratchArenas) continue;", []),
    ("scratches_outlive_their_thread", LEND, "thread_local ScratchArenas arenas; return arenas;",
     "thread_local auto* const arenas = new ScratchArenas(); return *arenas;", []),
    ("return_slot_anywhere", LEND, "if (parent && !is_virtual) {", "if (false && !is_virtual) {", []),
    ("return_slot_keeps_all", LEND, "- std::max<std::size_t>(size_bytes_, 1) + used_bytes;", ";", []),
    ("return_slot_keeps_nothing", LEND, "if (used_bytes > 0) {", "if (false) {", []),
    ("no_guard_in_front", MAPPED, "data_ = mapping_ + page;", "data_ = mapping_;", []),
    ("owner_not_checked", CORE, "if (core_->checks_) { core_->fault(what, place, \"a younger",
     "if (false) { core_->fault(what, place, \"a younger", []),
    ("use_after_release_unseen", CORE, "if (released.file != nullptr) {", "if (false) {", []),
    ("release_with_a_scope", CORE, "if (scope_open || children_ != nullptr) {", "if (false) {", []),
    # facade and sources
    ("full_does_not_abort", FACADE, "if ((how & kMust) != 0 && core.options()", "if (false && core.options()", []),
    ("old_bytes_of_a_session", SOURCES, "std::memset(block, 0, bytes);", "", []),
    ("reservation_not_halved", SOURCES, "if (extent.base != nullptr || wanted <= minimum) return extent;",
     "return extent;", []),
    ("page_not_aligned", SOURCES, "if (front > 0) ::munmap(start, front);",
     "return {start, bytes, true, nullptr};", []),
    ("hook_not_told_of_pops", FACADE, "entry.core()->tell(ArenaEvent::Kind::kPop, bump, nullptr, size, place);",
     "", []),
    ("hook_told_of_growth_late", FACADE, "if (core.committed() != committed) {",
     "if (block == nullptr && core.committed() != committed) {", []),
    ("hook_not_told_of_clear", FACADE,
     "entry.core()->tell(ArenaEvent::Kind::kClear, entry.bump(), nullptr, before, place);", "", []),
    ("no_mutex", CORE, "core_->mutex_.lock(); locked_ = true;", "", []),
    # VlArray, pmr, C
    ("segment_index_wrong", ARRAY, "place - (kFirstElements << segment)", "place - kFirstElements", [VLARRAY]),
    ("array_moves", ARRAY, "if (wanted != nullptr && got != wanted) {", "if (false) {", [VLARRAY]),
    ("elements_not_destroyed", ARRAY, "std::destroy_at(--end_);", "--end_;", [VLARRAY]),
    ("array_gives_nothing_back", ARRAY, "clear(); give_back();", "clear();", [VLARRAY]),
    ("resource_returns_null", RESOURCE, "if (block == nullptr) throw std::bad_alloc(); return block; }",
     "return block; }", [PMR]),
    ("resources_all_equal", RESOURCE, "same != nullptr && (same->arena_ == arena_ || same->arena_->same_arena(*arena_))",
     "same != nullptr", [PMR]),
    ("c_push_not_zero", C, "got->push_zero(size, allot::detail::ArenaAccess::auto_align(*got))", "got->push(size)", []),
    ("c_null_crashes", C, "if (arena == nullptr) return 0;", "", []),
]


def plant(text, old, new):
    pattern = r"\s*".join(re.escape(token) for token in re.findall(r"\w+|\S", old))
    found = list(re.finditer(pattern, text))
    if len(found) != 1:
        return None
    return text[:found[0].start()] + new + text[found[0].end():]


def run(command, **more):
    return subprocess.run(command, check=False, capture_output=True, text=True, **more)


def compile_one(source, output, overlay):
    done = run(["g++", *FLAGS, f"-I{overlay}", *INCLUDES, "-c", source, "-o", output])
    if done.returncode != 0:
        sys.exit(f"{source} does not compile:\n{done.stderr[-3000:]}")
    return output


def built_tests():
    found = {}
    for program in ("conformance", "unit"):
        base = f"{BUILD}/tests/CMakeFiles/{program}_tests.dir"
        for path in glob.glob(f"{base}/{program}/**/*.o", recursive=True):
            name = os.path.relpath(path, base).removesuffix(".cpp.o")
            if "/arena" in name:
                found[name] = path
    return found


def verdict(objects, out):
    program = os.path.join(out, "tests")
    done = run(["g++", *objects, *[f"{BUILD}/{name}" for name in ARCHIVES], *LIBRARIES, "-o", program])
    if done.returncode != 0:
        sys.exit(f"does not link:\n{done.stderr[-3000:]}")
    try:
        done = run([program, "--gtest_brief=1"], timeout=HANG_S)
    except subprocess.TimeoutExpired:
        return ["a hang"]
    if done.returncode == 0:
        return []
    failed = re.findall(r"^\[  FAILED  \] ([^\s,]+)(?:, where.*)? \(\d+ ms\)$", done.stdout, re.M)
    return failed or [f"a crash ({done.returncode})"]


def main():
    tests = built_tests()
    c_objects = glob.glob(f"{BUILD}/tests/CMakeFiles/arena_from_c.dir/unit/client/arena/c/*.o")
    with tempfile.TemporaryDirectory() as out:
        overlay = os.path.join(out, "overlay")
        os.makedirs(os.path.join(overlay, "allot/detail"))
        sound = verdict([*tests.values(), *c_objects], out)
        if sound:
            sys.exit(f"the tests fail without any fault: {', '.join(sound)}")
        survivors = []
        faults = [fault for fault in FAULTS if len(sys.argv) == 1 or fault[0] in sys.argv[1:]]
        for name, file, old, new, anew in faults:
            with open(os.path.join(ROOT, file), encoding="utf-8") as source:
                text = plant(source.read(), old, new)
            if text is None:
                print(f"{name}: does not apply to {file}", flush=True)
                survivors.append(name)
                continue
            if anew:
                faulty = os.path.join(overlay, os.path.relpath(file, "client/include"))
            else:
                faulty = os.path.join(out, "planted.cpp")
            with open(faulty, "w", encoding="utf-8") as file_out:
                file_out.write(text)
            if anew:
                objects = [compile_one(f"{ROOT}/tests/{test}.cpp", f"{out}/{number}.o", overlay)
                           for number, test in enumerate(anew)]
                os.remove(faulty)
            else:
                objects = [compile_one(faulty, os.path.join(out, "planted.o"), overlay),
                           *tests.values(), *c_objects]
            caught = verdict(objects, out)
            more = f" and {len(caught) - 3} more" if len(caught) > 3 else ""
            print(f"{name}: {', '.join(caught[:3]) + more if caught else 'SURVIVED'}", flush=True)
            if not caught:
                survivors.append(name)
        print(f"{len(faults) - len(survivors)} of {len(faults)} faults were caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
