#!/usr/bin/env python3
"""Kills a supervised allotd and its clients in every way there is, for as long as you like, and counts what breaks.

usage: soak.py [--minutes N] [--part NAME]... [--clients N] [--seed N]
               [--kill-client-ms N] [--kill-daemon-ms N]

Half of the time is the load: eight clients (load_client) allocate, check, hand blocks to one another and
free. One of them is killed every 50 ms and another takes its place; the daemon is killed every
second. Every block has its owner noted beside the region (owners.hpp): nobody may get a block that a
living client has. At the end the clients free what they have, and nothing may be left: `allotctl check`
must be clean and nothing granted. In the other half each of PARTS runs again and again with other seeds,
once at least. Below each part stands what it did, as it was counted.
"""
import argparse
import collections
import json
import mmap
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 60
MOST_LIVES = 1 << 24  # owners.hpp

# Tests of GoogleTest: each counts what it did in properties.
Part = collections.namedtuple("Part", "title program tests environment")
PARTS = {
    "states": Part("a client dies after any store; the recovery on a copy", "model_tests",
                   "ClientKill.*", {"ALLOT_TEST_EVERY_STATE": "1"}),
    "kills": Part("a client is killed after any store", "process_tests",
                  "ClientKillProcess.*", {"ALLOT_TEST_SEEDS": "2000", "ALLOT_TEST_SEED": "random"}),
    "pairs": Part("one of two clients is killed, the other stopped, after any store; the daemon, too",
                  "process_tests", "OneOfTwo.*",
                  {"ALLOT_TEST_SEEDS": "1000", "ALLOT_TEST_SEED": "random"}),
    "stopped": Part("a client is stopped after any store, and others go on", "process_tests",
                    "OneIsStopped.*", {"ALLOT_TEST_EVERY_STATE": "1"}),
    "syscalls": Part("the daemon is killed at any of its system calls, or the call fails",
                     "process_tests", "*DaemonSyscall*",
                     {"ALLOT_TEST_SEEDS": "500", "ALLOT_TEST_SEED": "random"}),
    "stress": Part("too many, too much, too little", "process_tests", "*Stress*",
                   {"ALLOT_TEST_SEED": "random"}),
}


class Counts:
    def __init__(self):
        self.restarts = self.lives = self.client_kills = self.ended_badly = 0
        self.operations = self.failures = self.wrong_bytes = self.second_owners = self.taken = 0
        self.longest_us = []  # of the rounds

    def add_round(self, line):
        operations, failures, wrong, second_owners, taken, longest = map(int, line.split())
        self.operations += operations
        self.failures += failures
        self.wrong_bytes += wrong
        self.second_owners += second_owners
        self.taken += taken
        self.longest_us.append(longest)

    def print(self):
        rounds = sorted(self.longest_us) or [0]
        print(f"  restarts of the daemon    {self.restarts}\n"
              f"  clients killed            {self.client_kills}\n"
              f"  operations                {self.operations}\n"
              f"  blocks taken from others  {self.taken}\n"
              f"  blocks of two owners      {self.second_owners}\n"
              f"  calls that failed         {self.failures}\n"
              f"  bytes that were wrong     {self.wrong_bytes}\n"
              f"  clients that ended badly  {self.ended_badly}\n"
              f"  longest call of a round   median {rounds[len(rounds) // 2] / 1000:.1f} ms, "
              f"99 % {rounds[len(rounds) * 99 // 100] / 1000:.1f} ms, most {rounds[-1] / 1000:.1f} ms")


class Clients:
    """As many as there are places; who ends is replaced at once by one who has never lived."""

    def __init__(self, program, count, environment, counts):
        self.program, self.environment, self.counts = program, environment, counts
        self.owners = os.memfd_create("owners")
        os.ftruncate(self.owners, MOST_LIVES)
        self.is_dead = mmap.mmap(self.owners, MOST_LIVES)
        self.life_at = [0] * count
        self.processes = [None] * count
        self.ending = []  # what they have written is still to be read
        for place in range(count):
            self.start(place)

    def start(self, place):
        self.counts.lives += 1
        self.life_at[place] = self.counts.lives
        self.processes[place] = subprocess.Popen(
            [self.program, "--owners", str(self.owners), str(self.counts.lives), str(place)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env=self.environment, pass_fds=[self.owners])

    def kill(self, place):
        self.is_dead[self.life_at[place]] = 1
        self.processes[place].kill()
        self.counts.client_kills += 1
        self.replace(place)

    def replace(self, place):
        self.ending.append(self.processes[place])
        self.start(place)

    def end_of(self, process):
        process.stdin.close()
        for line in process.stdout:
            self.counts.add_round(line)
        process.stdout.close()
        if process.wait(timeout=DEADLINE_S) not in (0, -signal.SIGKILL):
            self.counts.ended_badly += 1

    def read_rounds(self, timeout_s):
        process_of = {process.stdout: process for process in self.processes + self.ending}
        ready, _, _ = select.select(list(process_of), [], [], timeout_s)
        for output in ready:
            line = output.readline()
            if line.endswith("\n"):
                self.counts.add_round(line)
                continue
            process = process_of[output]
            if process in self.ending:
                self.ending.remove(process)
            else:  # it ended by itself
                place = self.processes.index(process)
                self.is_dead[self.life_at[place]] = 1
                self.start(place)
            self.end_of(process)

    def end(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes + self.ending:
            self.end_of(process)


def start_daemon(allotd, directory):
    return subprocess.Popen([allotd, "--supervise", "--longest-pause", "0",
                             "--runtime-dir", directory, "--log-level", "error"], stderr=subprocess.DEVNULL)


def daemon_pid(directory):
    """Of the daemon that has the lock of the directory; 0 while there is none."""
    try:
        with open(os.path.join(directory, "allotd.lock")) as lock:
            return int(lock.read() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def control(allotctl, environment, *arguments):
    return subprocess.run([allotctl, *arguments], env=environment, capture_output=True, text=True,
                          timeout=DEADLINE_S, check=False)


def load(arguments, minutes, directory, counts):
    """Returns what is wrong besides what it counts."""
    environment = {**os.environ, "ALLOT_RUNTIME_DIR": directory}
    chance = random.Random(arguments.seed)
    supervisor = start_daemon(arguments.allotd, directory)
    deadline = time.monotonic() + DEADLINE_S
    while control(arguments.allotctl, environment, "version").returncode != 0:
        if time.monotonic() > deadline:
            raise RuntimeError("allotd does not answer")
    clients = Clients(arguments.load_client, arguments.clients, environment, counts)
    end = time.monotonic() + minutes * 60
    next_client_kill = next_daemon_kill = time.monotonic()
    while (now := time.monotonic()) < end:
        clients.read_rounds(max(0.0, min(next_client_kill, next_daemon_kill, end) - now))
        now = time.monotonic()
        if now >= next_client_kill:
            next_client_kill = now + chance.uniform(0, 2) * arguments.kill_client_ms / 1000
            clients.kill(chance.randrange(arguments.clients))
        if now >= next_daemon_kill:
            next_daemon_kill = now + chance.uniform(0.5, 1.5) * arguments.kill_daemon_ms / 1000
            if pid := daemon_pid(directory):
                try:
                    os.kill(pid, signal.SIGKILL)
                    counts.restarts += 1
                except ProcessLookupError:
                    pass
    clients.end()
    problems = what_is_left(arguments, environment)
    supervisor.send_signal(signal.SIGTERM)
    if supervisor.wait(timeout=DEADLINE_S) != 0:
        problems.append(f"the supervisor ended with {supervisor.returncode}")
    if counts.failures or counts.wrong_bytes or counts.second_owners or counts.ended_badly:
        problems.append("the load: see its counts")
    return problems


def what_is_left(arguments, environment):
    """What is wrong once every client has ended: nothing may be held."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        stats = control(arguments.allotctl, environment, "--json", "stats")
        regions = json.loads(stats.stdout)["regions"] if stats.returncode == 0 else []
        held = [one for one in regions if one["granted_bytes"] or one["sessions"]]
        if regions and not held:
            break
        if time.monotonic() > deadline:
            return [f"still held: {held or stats.stderr}"]
    check = control(arguments.allotctl, environment, "check")
    return [] if check.returncode == 0 else [f"allotctl check: {check.stdout}{check.stderr}"]


def add_property(sums, name, value):
    """Durations and sizes are no sums: of them the worst, of rates the lowest."""
    if name.endswith("per_second"):
        sums[name] = min(sums.get(name, value), value)
    elif "_us" in name or "_ms" in name or name in ("stores", "words", "sessions", "places",
                                                    "sessions_at_limit"):
        sums[name] = max(sums[name], value)
    else:
        sums[name] += value


def run_part(part, build, minutes, directory):
    """What its tests counted, and what is wrong."""
    sums = collections.Counter()
    end = time.monotonic() + minutes * 60
    report = os.path.join(directory, "report.json")
    while True:
        run = subprocess.run([os.path.join(build, "tests", part.program), f"--gtest_filter={part.tests}",
                              f"--gtest_output=json:{report}"],
                             env={**os.environ, **part.environment}, capture_output=True, text=True,
                             check=False)
        if run.returncode != 0:
            return sums, [f"{part.tests}:\n{run.stdout}{run.stderr}"]
        with open(report) as file:
            tests = [test for suite in json.load(file)["testsuites"] for test in suite["testsuite"]]
        if not tests:
            return sums, [f"{part.tests}: there is no such test"]
        skipped = [test["name"] for test in tests if test["result"] == "SKIPPED"]
        sums["tests"] += len(tests) - len(skipped)
        if skipped:
            return sums, [f"{part.tests}: skipped, for a reason that the test says: {skipped}"]
        for test in tests:
            for name, value in test.items():
                if name not in ("name", "line", "value_param") and str(value).isdigit():
                    add_property(sums, name, int(value))
        if time.monotonic() > end:
            return sums, []


def main():
    build = os.environ.get("ALLOT_BINARY_DIR", "build/dev")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--part", action="append", choices=["load", *PARTS], help="only this")
    parser.add_argument("--clients", type=int, default=8, choices=range(1, 17), metavar="1..16")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--kill-client-ms", type=float, default=50, help="on average")
    parser.add_argument("--kill-daemon-ms", type=float, default=1200, help="on average")
    parser.add_argument("--allotd", default=os.environ.get("ALLOT_ALLOTD_PATH", build + "/daemon/allotd"))
    parser.add_argument("--allotctl", default=os.environ.get("ALLOT_ALLOTCTL_PATH",
                                                             build + "/tools/allotctl/allotctl"))
    parser.add_argument("--load-client", default=build + "/tests/load_client")
    arguments = parser.parse_args()
    parts = arguments.part or ["load", *PARTS]
    others = [name for name in parts if name != "load"]
    share = arguments.minutes / (len(others) if len(others) == len(parts) else 2 * len(others) or 1)
    problems = []
    print(f"soak of {arguments.minutes} minutes, seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="allot_soak.") as directory:
        if "load" in parts:
            counts = Counts()
            print("load: clients and daemon are killed at random", flush=True)
            problems += load(arguments, arguments.minutes / (2 if others else 1), directory, counts)
            counts.print()
        for name in others:
            print(f"{name}: {PARTS[name].title}", flush=True)
            sums, bad = run_part(PARTS[name], build, share, directory)
            problems += bad
            for what, number in sums.items():
                print(f"  {what.replace('_', ' '):<25} {number}")
    print("nothing broke, nothing was left" if not problems else "BAD: " + "; ".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
