#!/usr/bin/env python3
"""The example `hello` as a user runs it: with a daemon it says hello, without one it says why not."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["ALLOT_SOURCE_DIR"], "tests", "support"))
import allotd  # noqa: E402

HELLO = os.path.join(os.environ["ALLOT_BINARY_DIR"], "examples", "hello")


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL: {what}")


def run_hello(environment):
    return subprocess.run([HELLO], env=environment, capture_output=True, text=True,
                          timeout=allotd.DEADLINE_S, check=False)


def main():
    with tempfile.TemporaryDirectory() as directory:
        lonely = run_hello({**os.environ, "ALLOT_RUNTIME_DIR": directory})
    check(lonely.returncode == 1, f"without a daemon it exits with {lonely.returncode}")
    check("daemon" in lonely.stderr or "allotd" in lonely.stderr,
          f"it does not say what is missing: {lonely.stderr}")
    with allotd.serving(os.environ["ALLOT_ALLOTD_PATH"]) as environment:
        for _ in range(3):
            said = run_hello(environment)
            check(said.returncode == 0 and said.stdout == "hello from another process\n",
                  f"exit status {said.returncode}, {said.stdout!r}, {said.stderr!r}")


if __name__ == "__main__":
    main()
