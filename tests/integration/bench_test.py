#!/usr/bin/env python3
"""allot_bench runs to its end and its JSON says what docs/benchmarks.md says. No figure is judged."""
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

BENCH = os.path.join(os.environ["ALLOT_BINARY_DIR"], "bench", "allot_bench")
HEAP_PAIR = os.path.join(os.environ["ALLOT_BINARY_DIR"], "bench", "heap", "allot_heap_pair")
DEADLINE_S = 600
KEYS = {"family", "case", "unit", "ours", "peers", "best_peer", "ratio", "target", "beside",
        "repetitions", "min", "max"}
KEYS_OF_A_CLAIM = {"target_of", "claim", "met"}
CLAIMS = {("pair", "64 B"), ("pair", "64 B, shared memory"),
          *(("pair", size) for size in ("16 B", "256 B", "1024 B", "8 KiB", "64 KiB")),
          ("batch", "1,000 of 16 to 1,024 B"), ("churn", "100,000 of 16 to 4,096 B"),
          ("at-once", "64 B in two processes"), ("at-once", "64 B in two threads"),
          ("hand-over", "64 B between two processes"),
          ("hand-over", "64 B between two processes, shared memory"),
          ("growth", "by 4 KiB, 4 KiB in all"), ("growth", "by 4 KiB, stall for 4 KiB"),
          ("growth", "by 4 KiB, grants"), ("resident", "after churn"),
          ("recovery", "64 MiB: seal to recovered"), ("idle", "wake-ups"), ("idle", "pages"),
          ("shrink", "4 GiB of 4 KiB"), ("shrink", "4 GiB of 1 MiB"),
          ("arena", "push 16 B, the floor"), ("arena", "push 16 B"),
          ("arena", "push 64 B, the floor"), ("arena", "push 64 B"),
          ("arena", "push and write 16 B, the floor"), ("arena", "push and write 64 B, the floor"),
          ("arena", "shared push 16 B by two processes"),
          ("arena", "shared push 64 B by two processes"),
          ("arena", "first growth, a page"), ("arena", "first growth in a region, a page"),
          ("arena", "scope begin and end"),
          ("fit", "16 B to 64 KiB"), ("fit", "16 B to 64 KiB, malloc")}

# Of the heap families: how many lines, and who is in each of them, as peer or beside.
MALLOCS = {"glibc", "mimalloc", "jemalloc", "tcmalloc"}
INTERPROCESS = {"boost best-fit", "boost seq-fit"}
ALL_HEAPS = MALLOCS | INTERPROCESS | {"inlined", "std::pmr"}
HEAP_FAMILIES = {
    "pair": (8, INTERPROCESS | {"inlined"}),
    "batch": (1, ALL_HEAPS),
    "churn": (1, ALL_HEAPS),
    "at-once": (2, {f"{name} in two" for name in (ALL_HEAPS - {"std::pmr"})} | {"one alone"}),
    "hand-over": (10, {"inlined", "ping-pong"}),
    "shapes": (7, ALL_HEAPS - {"std::pmr"}),
    "growth": (6, {"inlined"}),
    "resident": (1, ALL_HEAPS - {"inlined"}),
    "latency": (16, (ALL_HEAPS | {"clock"}) - {"boost seq-fit"}),
}
PERCENTILES = ("p50", "p99", "p99.9", "max")


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


def check_heap_rows(rows):
    for family, (count, contenders) in HEAP_FAMILIES.items():
        lines = [row for row in rows if row["family"] == family]
        check(len(lines) == count, f"{family} has {len(lines)} lines, not {count}")
        for row in lines:
            where = f"{family}, {row['case']}"
            missing = contenders - row["peers"].keys() - row["beside"].keys()
            check(not missing, f"{where}: without {sorted(missing)}")
            check(row["ours"] > 0, f"{where}: ours is {row['ours']}")
            check(all(value > 0 for value in row["peers"].values()), f"{where}: {row['peers']}")
    by_case = {row["case"]: row for row in rows if row["family"] == "latency"}
    for operation in ("64 B, allocate", "64 B, free", "churn, allocate", "churn, free"):
        steps = [by_case[f"{operation} {percentile}"] for percentile in PERCENTILES]
        for name in ("ours", *steps[0]["peers"]):
            values = [row["ours"] if name == "ours" else row["peers"][name] for row in steps]
            check(values == sorted(values), f"{operation}, {name}: {values}")


def check_pictures(directory, rows):
    """Each heap family has a picture that names each of its cases and contenders."""
    for family in HEAP_FAMILIES:
        tree = xml.etree.ElementTree.parse(os.path.join(directory, f"{family}.svg"))
        texts = [element.text for element in tree.iter() if element.tag.endswith("text")]
        for row in (row for row in rows if row["family"] == family):
            check(any(text.startswith(f"{row['case']} (") for text in texts),
                  f"{family}.svg does not name {row['case']}")
            for name in ("ours", *row["peers"], *row["beside"]):
                check(name in texts, f"{family}.svg does not name {name}")


def check_preload():
    """A program says which malloc it has: what the driver refuses another one by."""
    for preload, expected in (("", "libc.so"), ("libjemalloc.so.2", "libjemalloc.so.2"),
                              ("libno-such-malloc.so", "libc.so")):
        done = subprocess.run(
            [HEAP_PAIR, "--benchmark_filter=^malloc/64$", "--benchmark_format=json", "--quick"],
            capture_output=True, text=True, check=True, timeout=DEADLINE_S,
            env={**os.environ, "LD_PRELOAD": preload})
        said = json.loads(done.stdout)["context"]["malloc"]
        check(expected in said, f"LD_PRELOAD={preload}: malloc is of {said}")


def main():
    listed = [line.split(":")[0] for line in run("--list").stdout.splitlines()]
    check(sorted(listed) == sorted({family for family, _ in CLAIMS} | HEAP_FAMILIES.keys()),
          f"families: {listed}")
    check(run("no-such-family").returncode != 0, "takes any family")
    if len(os.sched_getaffinity(0)) < 2:
        print("skipped: at-once needs two processors")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "results.json")
        done = run("--quick", "--json", path, "--svg", directory)
        check(done.returncode == 0, f"exit status {done.returncode}:\n{done.stderr}")
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)
        check_pictures(directory, rows)
    check_heap_rows(rows)
    check_preload()
    for row in rows:
        check_row(row)
        check(f"{row['family']}" in done.stdout, f"{row['family']} is not in the table")
    check(CLAIMS <= {(row["family"], row["case"]) for row in rows}, "a claim is not measured")


if __name__ == "__main__":
    main()
