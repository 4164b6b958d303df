#!/usr/bin/env python3
"""The example `pipeline` on files made here: its numbers are right, whoever is killed and when; a
planted fault is noticed; what it cannot do is said with the documented exit status."""
import fcntl
import hashlib
import json
import os
import pty
import random
import select
import signal
import subprocess
import sys
import tempfile

SEED = int(os.environ.get("ALLOT_TEST_SEED", "20240607"))
DEADLINE_S = 60
SMALL_FILES = 200
DEATHS = ["before-hello", "after-hello", "job-adopted", "bytes-adopted", "result-made",
          "result-offered", "result-sent"]

PIPELINE = os.environ["ALLOT_PIPELINE_PATH"]
ALLOTD = os.environ["ALLOT_ALLOTD_PATH"]
ALLOTCTL = os.environ["ALLOT_ALLOTCTL_PATH"]


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL (seed {SEED}): {what}")


def make_tree(root):
    """Files as {path: bytes}."""
    rng = random.Random(SEED)
    files = {f"{root}/small {i:03}": rng.randbytes(rng.randrange(1, 4000))
             for i in range(SMALL_FILES)}
    files[f"{root}/empty"] = b""
    files[f"{root}/sub dir/new\nline"] = b"one\ntwo\nno newline"
    files[f"{root}/sub dir/-starts with a dash"] = b"\n"
    files[f"{root}/sub dir/M\u00fcll"] = b"\x00" * 4096
    files[f"{root}/exactly one block"] = rng.randbytes(1 << 20)
    files[f"{root}/zz large"] = rng.randbytes(5 << 20)
    os.mkdir(f"{root}/sub dir")
    for path, content in files.items():
        with open(path, "wb") as file:
            file.write(content)
    # None of these is read.
    os.symlink("empty", f"{root}/a link")
    os.symlink("/usr/share", f"{root}/sub dir/a link to much")
    os.mkfifo(f"{root}/a fifo")
    return files


class Runner:
    """Runs the pipeline with a temporary directory that must be empty again afterwards."""

    def __init__(self, scratch):
        self.scratch = scratch

    def command(self, *arguments):
        return [PIPELINE, "run", "--allotd", ALLOTD, "--allotctl", ALLOTCTL, *arguments]

    def run(self, *arguments, cwd=None):
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, cwd=cwd,
                              errors="replace", timeout=DEADLINE_S, check=False,
                              env={**os.environ, "TMPDIR": self.scratch})
        check(not os.listdir(self.scratch), f"{arguments}: left {os.listdir(self.scratch)}")
        return done

    def report(self, status, *arguments, cwd=None):
        done = self.run("--json", *arguments, cwd=cwd)
        check(done.returncode == status,
              f"{arguments}: exit status {done.returncode}, not {status}:\n{done.stderr}")
        report = json.loads(done.stdout)
        check(report["ok"] == (status == 0), f"{arguments}: ok is {report['ok']}")
        return report


def check_results(report, files):
    results = {one["path"]: one for one in report["results"]}
    check(sorted(results) == sorted(files), "other files than were made")
    for path, content in files.items():
        one = results[path]
        check(one["sha256"] == hashlib.sha256(content).hexdigest(), f"digest of {path!r}")
        check(one["bytes"] == len(content), f"size of {path!r}")
        check(one["lines"] == content.count(b"\n"), f"lines of {path!r}")
    size = sum(map(len, files.values()))
    for variant in ("region", "pipes"):
        part = report[variant]
        check(part["files"] == len(files) and part["bytes"] == size, f"{variant}: totals")
        check(part["right"] == len(files) and not part["wrong"], f"{variant}: comparison")
        check(sum(worker["files"] for worker in part["workers"]) == len(files),
              f"{variant}: the workers' shares")
        check(part["seconds"] > 0, f"{variant}: time")
    check(report["held_bytes"] == 0 and report["held_sessions"] == 0, "something is held")
    check(report["links"] == 2 and report["specials"] == 1, "links and special files")


def test_without_a_kill(runner, tree, files):
    report = runner.report(0, "--no-kill", tree)
    check_results(report, files)
    check(report["region"]["kill"] is None, "killed though told not to")
    check(report["region"]["read_files"] == len(files), "files were read twice")


def test_kills_of_several_seeds(runner, tree, files):
    killed = 0
    for seed in range(SEED, SEED + 6):
        report = runner.report(0, "--seed", str(seed), "--workers", str(2 + seed % 3), tree)
        check_results(report, files)
        kill = report["region"]["kill"]
        if kill is None:
            continue
        killed += 1
        quiet = report["undisturbed"]
        check(quiet["kill"] is None and quiet["right"] == len(files), "the run without a kill")
        check(abs(report["ratio"] * quiet["seconds"] - report["pipes"]["seconds"]) < 1e-6,
              "a run with a kill is compared with one without")
        check(0.35 <= kill["at_fraction"] < 1, f"seed {seed}: killed at {kill['at_fraction']}")
        check(report["region"]["read_files"] == len(files) + kill["redone_files"],
              f"seed {seed}: files read again")
    check(killed >= 4, f"only {killed} of 6 runs killed anybody")


def test_death_at_each_point(runner, tree, files):
    for point in DEATHS:
        report = runner.report(0, "--no-kill", "--workers", "2", "--die-at", point, tree)
        check_results(report, files)
        victim = report["region"]["workers"][0]
        check(victim["ending"] == "signal 9", f"{point}: worker 0 ended by {victim['ending']!r}")
        if point != "before-hello":
            check(report["region"]["kill"]["redone_files"] > 0, f"{point}: nothing was done again")


def test_planted_faults_are_noticed(runner, tree):
    report = runner.report(1, "--no-kill", "--plant", "corrupt-one-byte", tree)
    check(len(report["region"]["wrong"]) == 1 and not report["pipes"]["wrong"], "one wrong digest")
    report = runner.report(1, "--no-kill", "--plant", "hold-one-block", tree)
    check(report["held_bytes"] > 0, "a held block is not noticed")


def test_a_failing_audit_is_noticed(runner, tree):
    with tempfile.NamedTemporaryFile("w", suffix=".sh", delete=False) as script:
        script.write(f'#!/bin/sh\n[ "$1" = check ] && exit 1\nexec "{ALLOTCTL}" "$@"\n')
    try:
        os.chmod(script.name, 0o700)
        report = runner.report(1, "--no-kill", "--allotctl", script.name, tree)
    finally:
        os.unlink(script.name)
    check("audit does not hold" in report["faults"][0], f"a failing audit: {report['faults']}")


def test_a_terminal_shows_a_bar(runner, tree):
    ours, theirs = pty.openpty()
    with subprocess.Popen(runner.command("--no-kill", tree), stdout=subprocess.DEVNULL,
                          stderr=theirs, env={**os.environ, "TMPDIR": runner.scratch}) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # how a terminal says that nobody has it open any more
                break
            shown += part
        check(process.wait(timeout=DEADLINE_S) == 0, "a run on a terminal fails")
    os.close(ours)
    lines = shown.split(b"\r\x1b[K")
    for stage in (b"region", b"pipes", b"sha256sum"):
        bars = [line for line in lines if line.startswith(stage)]
        check(bars and b"#" * 30 + b"] 100 %" in bars[-1], f"the last bar of {stage}: {bars[-1:]}")
    check(lines[-1] == b"", f"the bar is not wiped: {lines[-1]}")


def test_what_it_cannot_do(runner, tree):
    check(runner.run("--workers", "many", tree).returncode == 2, "wrong usage")
    check(runner.run(f"{tree}/not there").returncode == 3, "a path that does not exist")
    report = runner.report(3, "--allotd", "/nonexistent/allotd", tree)
    check("/nonexistent/allotd" in report["faults"][0], f"no daemon: {report['faults']}")
    report = runner.report(3, "--allotd", "false", tree)
    check("exit status 1" in report["faults"][0], f"a daemon that fails: {report['faults']}")


def test_a_few_small_things(runner, tree, files):
    # One worker: nobody is killed. Too large for the limit: left out, and said. No files at all.
    report = runner.report(0, "--workers", "1", "--max-bytes", "2MiB", tree)
    left_out = {one["path"]: one["reason"] for one in report["skipped"]}
    check(left_out == {f"{tree}/zz large": "does not fit in --max-bytes"}, f"{left_out}")
    check(report["files"] == len(files) - 1 and report["region"]["kill"] is None, "one worker")
    report = runner.report(3, f"{tree}/a link")
    check(f"nothing to do: no file to read in {tree}/a link" in report["faults"][0], "no file")
    plain = runner.run(f"{tree}/a link")
    check((plain.stdout + plain.stderr).count("nothing to do") == 1 and "OK" not in plain.stdout,
          f"no file: {plain.stdout}{plain.stderr}")
    report = runner.report(0, "--", "-starts with a dash", cwd=f"{tree}/sub dir")
    check(report["results"][0]["lines"] == 1, "a path that looks like an option")


def test_an_interrupt_ends_it(runner, tree):
    with subprocess.Popen(runner.command("--no-kill", "--timeout", "600", tree),
                          stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          env={**os.environ, "TMPDIR": runner.scratch}) as process:
        process.stderr.readline()  # the first progress: its processes run
        process.send_signal(signal.SIGINT)
        status = process.wait(timeout=DEADLINE_S)
    check(status == 3, f"an interrupted run exits with {status}")
    check(not os.listdir(runner.scratch), "an interrupted run leaves its directory")


def test_names_that_are_not_utf8_make_valid_json(runner):
    with tempfile.TemporaryDirectory() as tree:
        with open(os.fsencode(tree) + b"/\xff\xc0\xafx", "wb") as file:
            file.write(b"content")
        done = subprocess.run(runner.command("--json", "--no-kill", tree), capture_output=True,
                              timeout=DEADLINE_S, check=True,
                              env={**os.environ, "TMPDIR": runner.scratch})
        report = json.loads(done.stdout.decode("utf-8", errors="strict"))
    check(report["results"][0]["path"] == f"{tree}/\ufffd\ufffd\ufffdx", "U+FFFD in a name")


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]


def test_a_killed_run_leaves_nobody_and_the_next_clears_up(runner, tree):
    with subprocess.Popen(runner.command("--no-kill", tree), stderr=subprocess.PIPE,
                          stdout=subprocess.DEVNULL,
                          env={**os.environ, "TMPDIR": runner.scratch}) as process:
        process.stderr.readline()  # the first progress: its processes run
        pidfds = [os.pidfd_open(child) for child in children_of(process.pid)]
        process.kill()
        process.wait(timeout=DEADLINE_S)
    check(pidfds, "the run had no processes")
    for pidfd in pidfds:
        check(select.select([pidfd], [], [], DEADLINE_S)[0], "a process outlives its run")
        os.close(pidfd)
    check(len(os.listdir(runner.scratch)) == 1, "a killed run leaves its directory")
    # One that lives keeps its own; report() checks that nothing is left of the others.
    kept = tempfile.mkdtemp(prefix="allot-pipeline-", dir=runner.scratch)
    lock = os.open(kept, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    subprocess.run(runner.command("--no-kill", tree), capture_output=True, timeout=DEADLINE_S,
                   check=True, env={**os.environ, "TMPDIR": runner.scratch})
    check(os.listdir(runner.scratch) == [os.path.basename(kept)], "of the dead and the living")
    os.close(lock)
    runner.report(0, "--no-kill", tree)


def main():
    with tempfile.TemporaryDirectory() as tree, tempfile.TemporaryDirectory() as scratch:
        files = make_tree(tree)
        runner = Runner(scratch)
        test_without_a_kill(runner, tree, files)
        test_kills_of_several_seeds(runner, tree, files)
        test_death_at_each_point(runner, tree, files)
        test_planted_faults_are_noticed(runner, tree)
        test_a_failing_audit_is_noticed(runner, tree)
        test_a_terminal_shows_a_bar(runner, tree)
        test_what_it_cannot_do(runner, tree)
        test_a_few_small_things(runner, tree, files)
        test_an_interrupt_ends_it(runner, tree)
        test_names_that_are_not_utf8_make_valid_json(runner)
        test_a_killed_run_leaves_nobody_and_the_next_clears_up(runner, tree)


if __name__ == "__main__":
    main()
