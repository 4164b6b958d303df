#!/usr/bin/env python3
"""Spin looks at every state of the own-word models, and finds each fault that is planted in them.

usage: own_word_test.py [--steps] [span | large | names]

A model without a fault must be searched to its end: no error, nothing left out. A fault is a switch of
a model that changes one step of the protocol; Spin must then find the named property broken. The steps
that lead to what should not be broken are printed, the fewest that do; --steps: to what should, too.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MEMORY_LIMIT_MB = 2000
SEARCH_DEPTH = 500_000
LEAST = {"BLOCKS": 1, "SESSIONS": 2, "GENERATIONS": 1, "KILLS": 0, "RESTARTS": 0, "BUGGY": "NOBODY"}

WAITS_FOR_A_STORE = "I6: no loop waits for another process"
WAITS_FOR_A_PROCESS = "I6: no call waits for another process"


@dataclasses.dataclass
class Search:
    model: str
    name: str
    switches: dict       # besides LEAST
    finds: str = ""      # the property that must be broken; empty: none
    loops: bool = False  # look for loops without progress instead of broken assertions
    states: int = 0
    seconds: float = 0.0

    def options(self):
        return [f"-D{name}={value}" for name, value in (LEAST | self.switches).items()]


def sound(model, name, loops=False, **switches):
    return Search(model, name, switches, loops=loops)


def fault(model, name, finds, loops=False, **switches):
    return Search(model, name, {name: 1, **switches}, finds, loops)


SOUND = [
    sound("span", "three sessions, one is killed", SESSIONS=3, BUGGY="B", KILLS=1),
    sound("span", "two blocks, a session and the daemon are killed",
          BLOCKS=2, BUGGY="A", KILLS=1, RESTARTS=1),
    sound("span", "one death after another", GENERATIONS=3, BUGGY="B", KILLS=2, RESTARTS=1),
    sound("span", "deaths, then all but one are stopped", BUGGY="B", KILLS=1, RESTARTS=1, STOPS=1),
    sound("span", "no loop waits", loops=True, BUGGY="B", KILLS=1, SHOWS_PROGRESS=1),
    sound("large", "three sessions, one is killed", SESSIONS=3, BUGGY="B", KILLS=1),
    sound("large", "one death after another", GENERATIONS=2, BUGGY="A", KILLS=2, RESTARTS=1),
    sound("large", "a death, then all but one are stopped", BUGGY="B", KILLS=1, STOPS=1),
    sound("names", "a session and the daemon are killed", BUGGY="A", KILLS=1, RESTARTS=1),
    sound("names", "published twice", GENERATIONS=2, BUGGY="B"),
    sound("names", "all but one are stopped", BUGGY="A", STOPS=1),
    sound("names", "the daemon is killed again and again", BUGGY="B", RESTARTS=3),
]

ONE_OWNER = "handed out to one"
FREED_BY_OWNER = "freed by its owner"
NO_NAME_OF_THE_DEAD = "I4: nothing names the dead"
ONE_LIFE = "I5: a generation names one life"
NOBODYS = "punched under nobody"
NAMED = "kept if it has a name"

FAULTS = [
    fault("span", "FREE_KEEPS_THE_GENERATION", ONE_LIFE),
    fault("span", "FREE_BELIEVES_ITS_CALLER", FREED_BY_OWNER, BUGGY="B"),
    fault("span", "FREES_EXPOSED_BY_PLAIN_STORE", FREED_BY_OWNER),
    fault("span", "ADOPT_DROPS_EXPOSED", ONE_LIFE, GENERATIONS=2),
    fault("span", "ADOPTS_WHAT_IS_NOT_OFFERED", "what is mine stays mine"),
    fault("span", "ADOPTS_ANY_GENERATION", "a stale handle never adopts", GENERATIONS=2),
    fault("span", "CLAIMS_OUT_OF_FREE", ONE_OWNER, ONLY_WHAT_IS_PROMISED=1),
    fault("span", "COLLECTS_INTO_A_FULL_STACK", "F1: on a stack once", BLOCKS=2),
    fault("span", "CARVE_WORD_FIRST", "I7: no block is lost"),
    fault("span", "CARVES_AT_OLD_GENERATIONS", ONE_LIFE),
    fault("span", "GRANTS_WHAT_IS_HELD", "F1: free while on a stack"),
    fault("span", "RECOVERS_AT_EOF", NO_NAME_OF_THE_DEAD, KILLS=1),
    fault("span", "RECOVERS_BY_PLAIN_STORE", FREED_BY_OWNER, KILLS=1),
    fault("span", "RECOVERY_GOES_ON_AFTER_A_RESTART", NO_NAME_OF_THE_DEAD, KILLS=1, RESTARTS=1),
    fault("span", "A_REQUEST_HAS_NO_DEADLINE", WAITS_FOR_A_PROCESS, STOPS=1),
    fault("span", "ADOPT_WAITS_FOR_AN_OFFER", WAITS_FOR_A_STORE, loops=True, SHOWS_PROGRESS=1),
    fault("large", "COLLECTS_LARGE_BY_PLAIN_STORE", NOBODYS),
    fault("large", "PUNCHES_WHAT_WAS_RETURNED", NOBODYS),
    fault("names", "PUBLISHES_BY_ITSELF", NAMED, KILLS=1),
    fault("names", "NAME_IS_NOT_PENDING", NAMED, RESTARTS=1),
    fault("names", "FREES_WHAT_IS_PINNED", "what is pinned stays"),
]

# What the protocol does not promise: as the faults, but there is nothing planted.
LIMITS = [
    fault("span", "SECOND_THREAD", FREED_BY_OWNER, BUGGY="A"),
    fault("names", "A_LATE_PUBLISH_IS_NONE", "a publish that was given up is none"),
]


def run(command, directory):
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def build(search, directory, *defines):
    made = run(["spin", "-a", *search.options(), search.model + ".pml"], directory)
    if made.returncode != 0 or "rror" in made.stdout:
        sys.exit(f"spin: {made.stdout}{made.stderr}")
    # What must be broken is found soon: compiling would take longest.
    level = "-O0" if search.finds else "-O1"
    compiled = run(["cc", level, "-w", f"-DMEMLIM={MEMORY_LIMIT_MB}", "-DNOREDUCE", *defines,
                    "-o", "pan", "pan.c"], directory)
    if compiled.returncode != 0:
        sys.exit(f"cc: {compiled.stderr}")


def broken_property(search, report, replayed):
    """The comment behind the assertion that failed, or what else is wrong."""
    if "non-progress cycle" in report:
        return WAITS_FOR_A_STORE
    if "invalid end state" in re.sub(r"(?m)^\s+invalid end states\s.*", "", report):
        return WAITS_FOR_A_PROCESS
    place = re.search(r"spin: (\S+\.pml):(\d+), Error: assertion violated", replayed)
    if place is None:
        return "something else:\n" + report
    line = (HERE / place[1]).read_text(encoding="utf-8").splitlines()[int(place[2]) - 1]
    comment = re.search(r"/\* (.*?) \*/", line)
    return comment[1] if comment else line.strip()


def look(search, directory, shortest):
    """The property that is broken, and the steps that lead there; both empty if all states are sound."""
    defines = ["-DNP"] if search.loops else ["-DSAFETY", *(["-DBFS"] if shortest else [])]
    build(search, directory, *defines)
    began = time.monotonic()
    done = run(["./pan", f"-m{SEARCH_DEPTH}", "-n", *(["-l"] if search.loops else [])], directory)
    search.seconds = time.monotonic() - began
    report = done.stdout + done.stderr
    states = re.search(r"(\d+) states, stored", report)
    search.states = int(states[1]) if states else 0
    trail = directory / (search.model + ".pml.trail")
    if not trail.exists():
        is_complete = ("errors: 0" in report and done.returncode == 0 and search.states > 0 and
                       not re.search("not completed|depth too small|MEMLIM|out of memory", report))
        return ("", "") if is_complete else ("not all states were looked at:\n" + report, "")
    replay = run(["spin", "-t", "-k", trail.name, "-g", *search.options(), search.model + ".pml"],
                 directory).stdout
    trail.unlink()
    steps = [line.strip()[2:] for line in replay.splitlines() if line.lstrip().startswith("> ")]
    # Each variable and each process as it was at last.
    last = re.findall(r"^\t+\w.* = \S+$|^ *\d+:\tproc .*$", replay, re.M)
    lines = steps + ["", "at last:"] + [line.strip() for line in last]
    return broken_property(search, report, replay), "\n".join("    " + line for line in lines)


def verify(search, directory, all_steps):
    """Looks at one model; says how it went. False if that is not as it should be."""
    found, steps = look(search, directory, shortest=bool(search.finds) and not search.loops)
    # Found depth-first the steps are thousands: once more, for the fewest.
    if found and not search.finds and not search.loops and steps:
        found, steps = look(search, directory, shortest=True)
    is_right = found == search.finds
    print(f"{'ok' if is_right else 'FAILED':<7}{search.model:<6} {search.name:<48}"
          f"{search.states:>9} states {search.seconds:5.1f} s  {found if is_right else ''}".rstrip())
    if not is_right:
        print(f"  must be broken: {search.finds or 'nothing'}\n  is broken: {found or 'nothing'}")
    if steps and (all_steps or not is_right):
        print(steps)
    sys.stdout.flush()
    return is_right


def main():
    if shutil.which("spin") is None:
        print("there is no spin: ./dev setup installs it")
        return 77
    all_steps = "--steps" in sys.argv[1:]
    wanted = [one for one in sys.argv[1:] if one != "--steps"] or ["span", "large", "names"]
    searches = [one for one in SOUND + FAULTS + LIMITS if one.model in wanted]
    if not searches:
        sys.exit(__doc__)
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        for file in HERE.glob("*.pml"):
            shutil.copy(file, scratch)
        for search in searches:
            failed += not verify(search, pathlib.Path(scratch), all_steps)
    print(f"{len(searches) - failed} of {len(searches)} searches went as they should")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
