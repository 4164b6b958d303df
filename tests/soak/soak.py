#!/usr/bin/env python3
"""Kills a supervised allotd and its clients at random, for as long as you like, and counts what breaks.

usage: soak.py [--minutes N] [--clients N] [--seed N] [--kill-client-ms N] [--kill-daemon-ms N]

Eight clients (load_client) allocate, check, hand over and free. One of them is killed every few
milliseconds and another takes its place; the daemon is killed every second. At the end the clients
free what they have, and nothing may be left: `allotctl check` must be clean and nothing granted. The
last lines say what happened, as it was counted.
"""
import argparse
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time

DEADLINE_S = 60


class Counts:
    def __init__(self):
        self.restarts = self.client_kills = self.operations = self.failures = self.wrong_bytes = 0
        self.ended_badly = 0
        self.longest_us = []  # of the rounds

    def add_round(self, line):
        operations, failures, wrong, longest = map(int, line.split())
        self.operations += operations
        self.failures += failures
        self.wrong_bytes += wrong
        self.longest_us.append(longest)


def start_client(program, environment):
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            bufsize=1, env=environment)


def start_daemon(allotd, directory):
    daemon = subprocess.Popen([allotd, "--supervise", "--runtime-dir", directory,
                               "--log-level", "error"], stderr=subprocess.DEVNULL)
    return daemon


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


def read_rounds(clients, counts, timeout_s):
    by_output = {client.stdout: client for client in clients}
    ready, _, _ = select.select(list(by_output), [], [], timeout_s)
    for output in ready:
        line = output.readline()
        if line.endswith("\n"):
            counts.add_round(line)
        elif by_output[output].poll() is not None or not line:
            return by_output[output]
    return None


def soak(arguments, directory, counts):
    environment = {**os.environ, "ALLOT_RUNTIME_DIR": directory}
    chance = random.Random(arguments.seed)
    supervisor = start_daemon(arguments.allotd, directory)
    deadline = time.monotonic() + DEADLINE_S
    while control(arguments.allotctl, environment, "version").returncode != 0:
        if time.monotonic() > deadline:
            raise RuntimeError("allotd does not answer")
    clients = [start_client(arguments.load_client, environment) for _ in range(arguments.clients)]
    end = time.monotonic() + arguments.minutes * 60
    next_client_kill = next_daemon_kill = time.monotonic()
    while (now := time.monotonic()) < end:
        wait = max(0.0, min(next_client_kill, next_daemon_kill, end) - now)
        broken = read_rounds(clients, counts, wait)
        if broken is not None:
            counts.ended_badly += 1
            broken.wait()
            clients[clients.index(broken)] = start_client(arguments.load_client, environment)
        now = time.monotonic()
        if now >= next_client_kill:
            next_client_kill = now + chance.uniform(0, 2) * arguments.kill_client_ms / 1000
            which = chance.randrange(len(clients))
            clients[which].kill()
            clients[which].wait()
            counts.client_kills += 1
            clients[which] = start_client(arguments.load_client, environment)
        if now >= next_daemon_kill:
            next_daemon_kill = now + chance.uniform(0.5, 1.5) * arguments.kill_daemon_ms / 1000
            if pid := daemon_pid(directory):
                try:
                    os.kill(pid, signal.SIGKILL)
                    counts.restarts += 1
                except ProcessLookupError:
                    pass
    for client in clients:
        client.stdin.close()
    for client in clients:
        for line in client.stdout:
            counts.add_round(line)
        if client.wait(timeout=DEADLINE_S) != 0:
            counts.ended_badly += 1
    problems = finish(arguments, environment)
    supervisor.send_signal(signal.SIGTERM)
    if supervisor.wait(timeout=DEADLINE_S) != 0:
        problems.append(f"the supervisor ended with {supervisor.returncode}")
    return problems


def finish(arguments, environment):
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


def main():
    build = os.environ.get("ALLOT_BINARY_DIR", "build/release")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--kill-client-ms", type=float, default=50, help="on average")
    parser.add_argument("--kill-daemon-ms", type=float, default=1200, help="on average")
    parser.add_argument("--allotd", default=os.environ.get("ALLOT_ALLOTD_PATH", build + "/daemon/allotd"))
    parser.add_argument("--allotctl", default=os.environ.get("ALLOT_ALLOTCTL_PATH",
                                                             build + "/tools/allotctl/allotctl"))
    parser.add_argument("--load-client", default=build + "/tests/load_client")
    arguments = parser.parse_args()
    counts = Counts()
    print(f"soak of {arguments.minutes} minutes, seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="allot_soak.") as directory:
        problems = soak(arguments, directory, counts)
    rounds = sorted(counts.longest_us) or [0]
    print(f"restarts of the daemon    {counts.restarts}")
    print(f"clients killed            {counts.client_kills}")
    print(f"operations                {counts.operations}")
    print(f"calls that failed         {counts.failures}")
    print(f"bytes that were wrong     {counts.wrong_bytes}")
    print(f"clients that ended badly  {counts.ended_badly}")
    print(f"longest call of a round   median {rounds[len(rounds) // 2] / 1000:.1f} ms, "
          f"99 % {rounds[len(rounds) * 99 // 100] / 1000:.1f} ms, most {rounds[-1] / 1000:.1f} ms")
    if counts.failures or counts.wrong_bytes or counts.ended_badly:
        problems.append("see above")
    print("nothing was left" if not problems else "BAD: " + "; ".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
