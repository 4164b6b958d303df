#!/usr/bin/env python3
"""The example `lua`: the same values on every memory, with a daemon and without; a full arena is said;
nothing is held at the end."""
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["ALLOT_SOURCE_DIR"], "tests", "support"))
import allotd  # noqa: E402

LUA = os.path.join(os.environ["ALLOT_BINARY_DIR"], "examples", "lua")
ALLOTCTL = os.environ["ALLOT_ALLOTCTL_PATH"]
SCRIPTS = sorted(glob.glob(os.path.join(os.environ["ALLOT_SOURCE_DIR"], "examples/lua/*.lua")))
MEMORIES = ["default", "heap", "default, no gc", "arena, no gc"]


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL: {what}")


def run(environment, *arguments):
    return subprocess.run([LUA, "--quick", *arguments], env=environment, capture_output=True,
                          text=True, timeout=allotd.DEADLINE_S, check=False)


def rows_of(done):
    """{(script, memory): the rest of its row}."""
    rows = {}
    for line in done.stdout.splitlines()[1:]:
        rows[line[:19].strip(), line[19:35].strip()] = line[35:]
    wanted = {(os.path.basename(script), memory) for script in SCRIPTS for memory in MEMORIES}
    check(set(rows) == wanted, f"the rows are not those wanted:\n{done.stdout}{done.stderr}")
    return rows


def check_values(rows, memories):
    for script in map(os.path.basename, SCRIPTS):
        # TIME ms RATIO PEAK MiB  VALUE
        fields = {memory: rows[script, memory].split(maxsplit=5) for memory in memories}
        values = {one[5] for one in fields.values()}
        check(len(values) == 1, f"{script}: {values}")
        check(all(float(one[3]) > 0 for one in fields.values()), f"{script}: peaks {fields}")


def allotctl(environment, *arguments):
    done = subprocess.run([ALLOTCTL, *arguments], env=environment, capture_output=True, text=True,
                          timeout=allotd.DEADLINE_S, check=False)
    check(done.returncode == 0, f"allotctl {arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def check_nothing_is_held(environment):
    deadline = time.monotonic() + allotd.DEADLINE_S
    while True:  # until the daemon has recovered what the ended session left
        regions = json.loads(allotctl(environment, "stats", "--json"))["regions"]
        held = sum(region["granted_bytes"] for region in regions)
        if held == 0:
            break
        check(time.monotonic() < deadline, f"{held} bytes are held")
    allotctl(environment, "check")


def main():
    check(len(SCRIPTS) >= 3, f"scripts: {SCRIPTS}")
    with allotd.serving(os.environ["ALLOT_ALLOTD_PATH"]) as environment:
        done = run(environment, *SCRIPTS)
        check(done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}")
        check_values(rows_of(done), MEMORIES)
        check_nothing_is_held(environment)

    with tempfile.TemporaryDirectory() as directory:
        lonely = {**os.environ, "ALLOT_RUNTIME_DIR": directory}
        done = run(lonely, *SCRIPTS)
        check(done.returncode == 0, f"without a daemon it exits with {done.returncode}")
        rows = rows_of(done)
        check_values(rows, [memory for memory in MEMORIES if memory != "heap"])
        for script in map(os.path.basename, SCRIPTS):
            check(rows[script, "heap"].startswith("not run: ") and "allotd" in rows[script, "heap"],
                  f"without a daemon the heap says {rows[script, 'heap']!r}")

        full = run(lonely, "--arena-mib", "1", *SCRIPTS)
        check(full.returncode == 1, f"with a full arena it exits with {full.returncode}")
        rows = rows_of(full)
        check(all("WRONG: not enough memory" in rows[os.path.basename(script), "arena, no gc"]
                  for script in SCRIPTS), f"a full arena:\n{full.stdout}")


if __name__ == "__main__":
    main()
