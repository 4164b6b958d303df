#!/usr/bin/env python3
"""allot_bench runs to its end and its JSON says what docs/benchmarks.md says. No figure is judged."""
import json
import os
import subprocess
import sys
import tempfile

BENCH = os.path.join(os.environ["ALLOT_BINARY_DIR"], "bench", "allot_bench")
DEADLINE_S = 240
KEYS = {"family", "case", "unit", "ours", "peers", "best_peer", "ratio", "target", "beside",
        "repetitions", "min", "max"}
KEYS_OF_A_CLAIM = {"target_of", "claim", "met"}
CLAIMS = {("pair", "64 B"), ("pair", "64 B, shared memory"), ("two-processes", "64 B"),
          ("recovery", "64 MiB: seal to recovered"), ("idle", "wake-ups"), ("idle", "pages"),
          ("arena", "push 16 B, the floor"), ("arena", "push 16 B"),
          ("arena", "push 64 B, the floor"), ("arena", "push 64 B"),
          ("arena", "push and write 16 B, the floor"), ("arena", "push and write 64 B, the floor"),
          ("arena", "shared push 16 B by two processes"),
          ("arena", "shared push 64 B by two processes"),
          ("arena", "first growth, a page"), ("arena", "first growth in a region, a page"),
          ("arena", "scope begin and end"),
          ("fit", "16 B to 64 KiB"), ("fit", "16 B to 64 KiB, malloc")}


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL: {what}")


def run(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False,
                          timeout=DEADLINE_S)


def check_row(row):
    where = f"{row.get('family')}, {row.get('case')}"
    has_claim = row["target"] is not None
    check(set(row) == KEYS | (KEYS_OF_A_CLAIM if has_claim else set()), f"{where}: {sorted(row)}")
    check(has_claim == ((row["family"], row["case"]) in CLAIMS), f"{where}: claims")
    check(row["repetitions"] >= 1 and row["ours"] >= 0, f"{where}: {row}")
    check(row["min"]["ours"] <= row["ours"] <= row["max"]["ours"], f"{where}: spread")
    check((row["ratio"] is None) == (not row["peers"]), f"{where}: ratio and peers")
    if row["peers"]:
        check(row["best_peer"] == min(row["peers"], key=row["peers"].get), f"{where}: best peer")


def main():
    listed = [line.split(":")[0] for line in run("--list").stdout.splitlines()]
    check(sorted(listed) == sorted({family for family, _ in CLAIMS}), f"families: {listed}")
    check(run("no-such-family").returncode != 0, "takes any family")
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: two-processes needs two processors")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "results.json")
        done = run("--quick", "--json", path)
        check(done.returncode == 0, f"exit status {done.returncode}:\n{done.stderr}")
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
    for row in rows:
        check_row(row)
        check(f"{row['family']}" in done.stdout, f"{row['family']} is not in the table")
    check(CLAIMS <= {(row["family"], row["case"]) for row in rows}, "a claim is not measured")


if __name__ == "__main__":
    main()
