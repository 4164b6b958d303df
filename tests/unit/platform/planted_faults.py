#!/usr/bin/env python3
"""Faults in shared/platform that its unit tests, or tests/process/window_commit_test.cpp, must catch.

usage: planted_faults.py [--check] [--keep DIRECTORY] [NAME...]
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                                "support"))
import fault_planting  # noqa: E402

UNIT = "unit"
PROCESS = "process"

WINDOW = "shared/platform/window.cpp"
MEMFD = "shared/platform/memfd.cpp"
FUTEX = "shared/platform/futex.cpp"
SEQPACKET = "shared/platform/seqpacket.cpp"
RANDOM = "shared/platform/random.cpp"
WIPE = "shared/platform/wipe.cpp"
POPULATE = "shared/platform/populate.cpp"
PIDFD = "shared/platform/pidfd.cpp"
REGION_FILES = "shared/region/region_files.cpp"

# name, file, what stands there (once), what is planted, the program and its tests that must fail
FAULTS = [
    ("window_where_the_kernel_likes", WINDOW, "kRandomPlaceTries = 64", "kRandomPlaceTries = 0",
     UNIT, "Window.LiesElsewhereInEachProcess"),
    ("window_without_guards", WINDOW, "std::size_t{16} << 20", "0",
     UNIT, "Window.HasGuardSpaceOnBothSides"),
    ("window_unaligned", WINDOW,
     "(address + kGuardBytes + alignment_bytes - 1) & ~(alignment_bytes - 1)",
     "address + kGuardBytes + 0 * alignment_bytes", UNIT, "Window.LiesAtAMultipleOfTheAlignment"),
    ("window_of_the_whole_file", WINDOW, "const std::size_t growth = new_size - size_bytes_;",
     "const std::size_t growth = reserved_bytes_ - size_bytes_;",
     UNIT, "Window.FaultsBeyondItsSize"),
    ("window_of_the_whole_file_locked", WINDOW,
     "const std::size_t growth = new_size - size_bytes_;",
     "const std::size_t growth = reserved_bytes_ - size_bytes_;", PROCESS, "Mlockall.Before*"),
    ("window_of_the_whole_file_read", WINDOW, "const std::size_t growth = new_size - size_bytes_;",
     "const std::size_t growth = reserved_bytes_ - size_bytes_;",
     PROCESS, "WindowCommit.WildReadsFaultAndCommitNothing"),
    ("window_piece_at_a_wrong_offset", WINDOW,
     "static_cast<bip::offset_t>(file_offset_bytes_ + size_bytes_)",
     "static_cast<bip::offset_t>(file_offset_bytes_)",
     UNIT, "Window.GrowsInPlaceAndKeepsItsContent"),
    ("window_without_file_offset", WINDOW, "window.file_offset_bytes_ = options.file_offset_bytes;",
     "window.file_offset_bytes_ = 0;", UNIT, "Window.BeginsAtItsOffsetInTheFile"),
    ("window_always_writable", WINDOW,
     "access_ == Access::kReadOnly ? bip::read_only : bip::read_write",
     "bip::read_write", UNIT, "Window.CanBeReadOnly"),
    ("window_inherited_by_fork", WINDOW, "{MADV_DONTFORK,", "{MADV_DOFORK,", UNIT,
     "Window.IsNotInheritedByAForkedChild"),
    ("private_window_dontfork", WINDOW, "::madvise(place, more, MADV_DODUMP);",
     "::madvise(place, more, MADV_DONTFORK);", UNIT, "PrivateWindow.IsCopiedToAForkedChild"),
    ("private_window_whole", WINDOW, "const std::size_t more = new_size - size_bytes_;",
     "const std::size_t more = reserved_bytes_ - size_bytes_;",
     UNIT, "PrivateWindow.GrowsInPlaceAndIsZero"),
    ("private_window_stays", WINDOW, "if (pieces_.empty()) ::munmap(base_, size_bytes_);", "",
     UNIT, "PrivateWindow.IsUnmappedAtItsEnd"),
    ("window_dumped", WINDOW, "MADV_DONTDUMP}", "MADV_DODUMP}", PROCESS, "CoreDump.*"),
    ("window_flags_missing", WINDOW, "MADV_DONTDUMP}", "MADV_DODUMP}", UNIT,
     "Window.IsLeftOutOfCoreDumpsAndForks"),
    ("window_grows_without_advice", WINDOW,
     "    if (::madvise(place, growth, advice) == 0) continue;",
     "    size_bytes_ = new_size;\n    if (::madvise(place, growth, advice) == 0) continue;",
     UNIT, "Window.DoesNotGrowWhereTheKernelRefusesAdvice"),
    ("window_unmapped_twice", WINDOW,
     "::munmap(base_ + size_bytes_, reserved_bytes_ - size_bytes_ + kGuardBytes);",
     "::munmap(base_, reserved_bytes_ + kGuardBytes);", UNIT, "Window.UnmapsEachAddressOnce"),
    ("window_guard_left_behind", WINDOW, "::munmap(base_ - kGuardBytes, kGuardBytes);", "",
     UNIT, "Window.LeavesNothingBehind"),
    ("window_moved_from_keeps_its_base", WINDOW, ": base_(std::exchange(other.base_, nullptr)),",
     ": base_(other.base_),",
     UNIT, "Window.MovesWithItsContent:Window.LeavesAMappingAtItsOldPlaceAlone"),
    ("window_assignment_leaks", WINDOW, "    release();\n    base_ = std::exchange",
     "    base_ = std::exchange", UNIT, "Window.AssigningReleasesWhatItHeld"),
    ("window_never_halved", WINDOW, "return std::max(round_up_to_page(size / 2), minimum);",
     "return (void)size, minimum;", UNIT, "Window.ReservesLessWhereAddressSpaceIsShort"),
    ("window_leaves_nothing_to_the_program", WINDOW,
     "if (start != nullptr && reserved < most && reserved > minimum) {", "if (false) {",
     UNIT, "Window.ReservesLessWhereAddressSpaceIsShort"),
    ("window_below_the_minimum", WINDOW, "return std::max(round_up_to_page(size / 2), minimum);",
     "return round_up_to_page(size / 2);", UNIT, "Window.FitsTheMinimumExactlyAtTheLastTry"),

    ("memfd_with_the_kernels_mode", MEMFD, "::fchmod(file.get(), 0600) != 0", "false",
     UNIT, "Memfd.BelongsToItsUserAlone*:Memfd.AnotherUserCannotReopenItForWriting"),
    ("memfd_can_shrink", MEMFD, "F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;",
     "F_SEAL_GROW | F_SEAL_SEAL;", UNIT, "Memfd.*"),
    ("memfd_can_grow", MEMFD, "F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;",
     "F_SEAL_SHRINK | F_SEAL_SEAL;", UNIT, "Memfd.*"),
    ("memfd_can_be_sealed", MEMFD, "F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;",
     "F_SEAL_SHRINK | F_SEAL_GROW;", UNIT, "Memfd.*"),
    ("memfd_kept_by_exec", MEMFD, "constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;",
     "constexpr unsigned kFlags = MFD_ALLOW_SEALING;", UNIT, "Memfd.*"),
    ("memfd_needs_a_new_kernel", MEMFD, "fd < 0 && errno == EINVAL", "false",
     UNIT, "Memfd.IsMadeByKernelsThatKnowNoNoexecSeal"),
    ("memfd_reopened_for_writing", MEMFD, "O_RDONLY | O_CLOEXEC", "O_RDWR | O_CLOEXEC",
     UNIT, "Memfd.ReopenedReadOnlyCannotBeWritten"),
    ("memfd_not_punched", MEMFD, "FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE",
     "FALLOC_FL_KEEP_SIZE", UNIT, "Memfd.Punch*:Memfd.Commits*"),
    ("presence_sealed_for_good", MEMFD, "F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0",
     "F_ADD_SEALS, kRegionSeals) != 0", UNIT, "PresenceFile.*"),
    ("presence_asked_without_sealing", MEMFD, "F_ADD_SEALS, F_SEAL_WRITE) == 0",
     "F_GET_SEALS) >= 0", UNIT, "PresenceFile.*"),
    ("presence_busy_counts_as_tampered", MEMFD, "errno == EBUSY ?", "errno == EAGAIN ?",
     UNIT, "PresenceFile.IsMapped*"),

    ("futex_private", FUTEX, "FUTEX_WAIT, expected", "FUTEX_WAIT | FUTEX_PRIVATE_FLAG, expected",
     UNIT, "Futex.WakesASleeper*"),
    ("futex_spins_when_late", FUTEX,
     "timeout = std::max(timeout, std::chrono::nanoseconds::zero());",
     "", UNIT, "Futex.TakesATimeThatIsOverForATimeout"),
    ("futex_seconds_counted_twice", FUTEX, "(timeout - seconds).count()", "timeout.count()",
     UNIT, "Futex.WakesASleeper*"),

    ("seqpacket_descriptors_kept_by_exec", SEQPACKET, "MSG_CMSG_CLOEXEC | MSG_DONTWAIT",
     "MSG_DONTWAIT", UNIT, "Seqpacket.PassesDescriptorsInOrderCloseOnExec"),
    ("seqpacket_refuses_nothing", SEQPACKET,
     "descriptors == Descriptors::kAccept ? kMaxPassedDescriptors : 0,", "kMaxPassedDescriptors,",
     UNIT, "Seqpacket.RefusingTakesNoDescriptor"),
    ("seqpacket_hides_truncation", SEQPACKET, "(MSG_TRUNC | MSG_CTRUNC)", "MSG_CTRUNC",
     UNIT, "Seqpacket.SaysWhenAMessageWasTooLong"),
    ("seqpacket_hides_dropped_descriptors", SEQPACKET, "          received.truncated = true;\n", "",
     UNIT, "Seqpacket.KeepsNoDescriptorBeyondWhatItAccepts"),
    ("seqpacket_leaks_dropped_descriptors", SEQPACKET,
     "        Descriptor descriptor(fd);\n        if",
     "        Descriptor descriptor(fd);\n"
     "        if (received.descriptor_count >= limit) (void)descriptor.release();\n        if",
     UNIT, "Seqpacket.KeepsNoDescriptorBeyondWhatItAccepts"),
    ("seqpacket_writes_past_its_buffer", SEQPACKET, "descriptors.size() > kMaxPassedDescriptors",
     "descriptors.size() > 2 * kMaxPassedDescriptors", UNIT,
     "Seqpacket.SendsNoMoreDescriptorsThanAMessageHolds"),
    ("seqpacket_deadline_rounded_down", SEQPACKET, "std::chrono::ceil<", "std::chrono::floor<",
     UNIT, "Seqpacket.WaitsUntilTheDeadlineAndNoLonger"),
    ("seqpacket_connects_for_ever", SEQPACKET,
     "if (auto limited = limit_connect(*socket, deadline); !limited) return limited.error();", "",
     UNIT, "SeqpacketListener.GivesUpConnectingAtTheDeadline"),
    ("seqpacket_full_queue_is_an_error", SEQPACKET,
     "if (errno == EAGAIN) return Error(Errc::kDeadline, path.native());", "",
     UNIT, "SeqpacketListener.GivesUpConnectingAtTheDeadline"),
    ("seqpacket_waits_for_the_wrong_end", SEQPACKET, "return wait_for(socket, POLLOUT, deadline);",
     "return wait_for(socket, POLLIN, deadline);", UNIT,
     "Seqpacket.WaitsForRoomUntilTheDeadlineAndNoLonger"),
    ("seqpacket_socket_for_everybody", SEQPACKET, "::chmod(path.c_str(), mode) != 0",
     "mode == 07777", UNIT, "SeqpacketListener.HasTheModeAskedFor"),
    ("seqpacket_pid_zero_taken", SEQPACKET, "peer->pid <= 0", "peer->pid < 0",
     UNIT, "SeqpacketListener.HasNoNumberForAPeerOfAnotherPidNamespace"),
    ("seqpacket_needs_peer_pidfd", SEQPACKET, "errno != ENOPROTOOPT", "true",
     UNIT, "SeqpacketListener.FindsItsPeerByNumber*"),

    ("random_falls_back", RANDOM, "if (got <= 0) std::abort();",
     "if (got <= 0) return;", UNIT, "Random.StopsTheProcessRatherThanFallBack"),
    ("wipe_drops_the_last_byte", WIPE, "::explicit_bzero(memory, size_bytes)",
     "::explicit_bzero(memory, size_bytes - (size_bytes > 0 ? 1 : 0))", UNIT, "Wipe.*"),
    ("wipe_does_nothing", WIPE, "::explicit_bzero(memory, size_bytes)",
     "(void)memory, (void)size_bytes", UNIT, "Wipe.IsDoneEvenIfNobodyLooksAfterwards"),
    ("populate_does_nothing", POPULATE, "(void)::madvise(start, size_bytes, MADV_POPULATE_WRITE)",
     "(void)start, (void)size_bytes", UNIT, "Populate.MapsExactlyTheRange"),
    ("populate_beyond_the_range", POPULATE, "madvise(start, size_bytes,",
     "madvise(start, 2 * size_bytes,", UNIT, "Populate.MapsExactlyTheRange"),
    ("pidfd_never_exits", PIDFD, "(poll_entry.revents & POLLIN) != 0", "false",
     UNIT, "Pidfd.*"),

    ("region_opens_to_its_end", REGION_FILES,
     "std::min(std::max(granules, window_granules_ + step), granules_)",
     "std::max({granules, window_granules_ + step, granules_})", PROCESS,
     "WindowCommit.IsSmallBesideTheRegion"),
]

SUITE = fault_planting.Suite(
    product=["shared/errc.cpp", "shared/platform/*.cpp", "shared/region/layout.cpp",
             "shared/region/region_files.cpp", "shared/region/region_view.cpp"],
    support=["tests/support/fault_probe.cpp", "tests/support/forked_child.cpp",
             "tests/support/refused_syscall.cpp", "tests/support/temp_dir.cpp"],
    programs={UNIT: ["tests/unit/platform/*_test.cpp"],
              PROCESS: ["tests/process/window_commit_test.cpp"]},
    faults=[fault_planting.Fault(*one) for one in FAULTS])

if __name__ == "__main__":
    sys.exit(fault_planting.main(SUITE))
