#!/usr/bin/env python3
"""The conformance tests of embedded regions with every debug mode on: they pass as without, and
what is reported are the mistakes that some of them make, none of which is a write after free."""
import os
import pathlib
import re
import subprocess
import sys

DEADLINE_S = 240
PROGRAM = pathlib.Path(os.environ["ALLOT_BINARY_DIR"]) / "tests" / "conformance_tests"
# They look into a thread's heap where a debugged session hides it, choose the modes themselves, or
# expect what a debugged session does not do.
NOT_THESE = ["*Orphans*", "*Damage*", "*GranulesThatHoldNoBlocksAreNamed*", "*ThreadsAtOnceHaveHeapsOfTheirOwn*",
             "*DebugReports*", "*DebugProfile*"]
# Suites and tests that free what they should not.
MISTAKEN = re.compile(r"Misuse\.|Contests\.Of|Heap\.TheInlinePath|Heap\.ReallocateRefuses|Ownership\.|"
                      r"Pools\.(ABlockGoes|OnlyABlock|ABatchFrees)|Names\.APublishedBlock|HandOver\.")
NEVER = re.compile(r"written after free|corrupt own word")


def main():
    if not PROGRAM.exists():
        return 77
    result = subprocess.run(
        [str(PROGRAM), "--gtest_filter=*Embedded*-" + ":".join(NOT_THESE)],
        env={**os.environ, "ALLOT_DEBUG": "fill,report,stacks,annotate,sample=65536"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S)
    if result.returncode != 0:
        sys.exit(result.stdout)
    test, reports, bad = "", 0, []
    for line in result.stdout.splitlines():
        if line.startswith("[ RUN"):
            test = line.split("] ")[1]
        elif line.startswith("allot: "):
            reports += 1
            if NEVER.search(line) or not MISTAKEN.search(test):
                bad.append(f"{test}: {line}")
    if bad or reports == 0:
        sys.exit("\n".join(bad) or "nothing at all was reported")
    return 0


sys.exit(main())
