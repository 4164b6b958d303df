#!/usr/bin/env python3
"""Under Valgrind's memcheck: with the annotations on, a use after free is an error, and right use is
none. The mistakes are made by conformance tests that run only here."""
import os
import pathlib
import shutil
import subprocess
import sys

DEADLINE_S = 240
PROGRAM = pathlib.Path(os.environ["ALLOT_BINARY_DIR"]) / "tests" / "conformance_tests"


def run(test):
    result = subprocess.run(
        ["valgrind", "--error-exitcode=9", "--leak-check=no", str(PROGRAM),
         "--gtest_also_run_disabled_tests", f"--gtest_filter=UnderValgrind.DISABLED_{test}"],
        capture_output=True, text=True, timeout=DEADLINE_S)
    text = result.stdout + result.stderr
    if "[  PASSED  ] 1 test" not in text:
        sys.exit(f"{test} did not pass:\n{text}")
    return result.returncode, text


def main():
    if shutil.which("valgrind") is None or not PROGRAM.exists():
        return 77
    if b"__asan_init" in PROGRAM.read_bytes() or b"__tsan_init" in PROGRAM.read_bytes():
        return 77  # Valgrind cannot run what a sanitizer has changed
    code, text = run("RightUse")
    if code != 0 or "ERROR SUMMARY: 0 errors" not in text:
        sys.exit(f"errors in right use:\n{text}")
    code, text = run("ReadAfterFree")
    if code != 9 or "Invalid read of size 1" not in text:
        sys.exit(f"a read after free was not seen:\n{text}")
    code, text = run("WriteAfterFree")
    if code != 9 or "Invalid write of size 1" not in text:
        sys.exit(f"a write after free was not seen:\n{text}")
    code, text = run("UseOfFreshBytes")
    if code != 9 or "depends on uninitialised value" not in text:
        sys.exit(f"a use of fresh bytes was not seen:\n{text}")
    return 0


sys.exit(main())
