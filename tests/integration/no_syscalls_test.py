#!/usr/bin/env python3
"""Allocating and freeing make no system call: a million pairs after a warm-up make exactly as many
as two million, called and inlined, of 64 B and of 64 KiB. A system call planted once in 100,000
pairs is noticed.

Counts system calls of a runner of the benchmarks with strace. Exit status 77 means skipped.
"""
import itertools
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["ALLOT_SOURCE_DIR"], "tests", "support"))
import allotd  # noqa: E402

DEADLINE_S = 120
# Something outside the loop may make a call more now and then (a mapping placed at the second
# try); a call in the loop makes ten more at least, every time.
TRIES = 3


def count_system_calls(runner, directory, arguments):
    """How often a runner with `arguments` makes each system call."""
    summary = os.path.join(directory, "strace.txt")
    subprocess.run(
        ["strace", "-c", "-f", "-U", "name,calls", "-o", summary, runner, *arguments],
        env={**os.environ, "ALLOT_RUNTIME_DIR": directory}, check=True, timeout=DEADLINE_S)
    counts = {}
    with open(summary, encoding="ascii") as file:
        for line in file:
            words = line.split()
            if len(words) == 2 and words[1].isdigit() and words[0] != "total":
                counts[words[0]] = int(words[1])
    assert counts, f"no counts in {summary}"
    return counts


def calls_of_a_million_pairs(runner, directory, arguments):
    """System calls that two million pairs make and one million do not, as {name: calls}."""
    one = count_system_calls(runner, directory, [*arguments, "--pairs", "1000000"])
    two = count_system_calls(runner, directory, [*arguments, "--pairs", "2000000"])
    names = sorted(one.keys() | two.keys())
    return {name: two.get(name, 0) - one.get(name, 0)
            for name in names if two.get(name, 0) != one.get(name, 0)}


def main():
    runner = os.path.join(os.environ["ALLOT_BINARY_DIR"], "bench", "allot_bench_runner")
    if shutil.which("strace") is None:
        print("skipped: no strace")
        sys.exit(77)
    failures = 0
    with tempfile.TemporaryDirectory(prefix="allot_test.") as directory:
        daemon = allotd.start(os.environ["ALLOT_ALLOTD_PATH"], directory)
        try:
            for allocator, size in itertools.product(("allot", "allot-inline"), ("64", "65536")):
                arguments = ["--allocator", allocator, "--size", size]
                tried = []
                while len(tried) < TRIES and {} not in tried:
                    tried.append(calls_of_a_million_pairs(runner, directory, arguments))
                failures += {} not in tried
                print(f"{allocator}, {size} B: {tried[-1] or 'none'} in a million pairs")
                planted = calls_of_a_million_pairs(
                    runner, directory, [*arguments, "--plant-syscall-every", "100000"])
                failures += planted.get("getppid") != 10
                print(f"{allocator}, {size} B, one planted in 100,000 pairs: {planted}")
        finally:
            daemon.kill()
            daemon.wait()
    print("FAILED" if failures else "ok")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
