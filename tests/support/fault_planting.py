"""Plants one fault at a time in a copy of the product's sources and checks that some test catches it.

Used by the planted_faults.py of a directory of tests, which names the sources, the tests and the
faults. A test never seen to fail is not a test: each fault is a small edit that compiles, the tests
are linked against the edited copy, and they must fail, crash or hang. Nothing in the source tree is
touched. The exit status is 1 if a fault survived or no longer applies.

Compiling takes some minutes, so that is done by hand after changes of product or tests; --check only
looks whether each fault still applies, and runs with the other tests.
"""
import argparse
import concurrent.futures
import dataclasses
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
JOBS = int(os.environ.get("ALLOT_JOBS", os.cpu_count() or 1))
HANG_S = 300

HEADER_ROOTS = ["", "shared/include", "client/include"]
FLAGS = ["-std=c++20", "-O1", "-D_GLIBCXX_ASSERTIONS", f'-DALLOT_SOURCE_DIR="{ROOT}"',
         *(f"-I{os.path.join(ROOT, one)}" for one in HEADER_ROOTS)]
LIBRARIES = ["-lgtest", "-lgmock", "-lgtest_main", "-lpthread"]


@dataclasses.dataclass
class Fault:
    name: str
    file: str
    old: str  # what stands there, once; spaces do not matter
    new: str
    program: str = ""  # which must catch it; empty: any, the first that does ends the search
    tests: str = "*"   # of that program


@dataclasses.dataclass
class Suite:
    """What is compiled: lists of patterns below the tree's root, by program for the tests."""
    product: list
    support: list
    programs: dict
    faults: list


def sources(patterns):
    """The files that match; a pattern that matches none is a mistake."""
    found = []
    for pattern in patterns:
        matching = sorted(glob.glob(os.path.join(ROOT, pattern)))
        if not matching:
            sys.exit(f"no file matches {pattern}")
        found += matching
    return found


def plant(text, fault):
    """`text` with the fault in it; nothing if its place is not there exactly once."""
    tokens = re.findall(r"\w+|\S", fault.old)
    found = list(re.finditer(r"\s*".join(re.escape(token) for token in tokens), text))
    if len(found) != 1:
        return None
    return text[:found[0].start()] + fault.new + text[found[0].end():]


def planted(fault):
    with open(os.path.join(ROOT, fault.file), encoding="utf-8") as source:
        text = plant(source.read(), fault)
    if text is None:
        print(f"{fault.name}: does not apply to {fault.file}", flush=True)
    return text


def compile_one(source, target, look_first=()):
    first = [f"-I{directory}" for directory in look_first]
    subprocess.run(["g++", *first, *FLAGS, "-MMD", "-c", source, "-o", target], check=True)
    return target


def includes(built, path):
    """Whether the object was made from `path`, among others."""
    with open(built[:-len(".o")] + ".d", encoding="utf-8") as rule:
        return path in rule.read().replace("\\\n", " ").split()


def rebuild(sources, fault, text, out):
    """{source: object} of those of `sources`, the same before, that the fault changes. A header is
    planted in a tree of its own, which is looked into first, and what includes it is compiled anew."""
    path = os.path.join(ROOT, fault.file)
    is_header = fault.file.endswith(".hpp")
    tree = os.path.join(out, "planted_tree")
    shutil.rmtree(tree, ignore_errors=True)
    copy = os.path.join(tree, fault.file) if is_header else os.path.join(out, "planted.cpp")
    os.makedirs(os.path.dirname(copy), exist_ok=True)
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text)
    changed = [source for source, built in sources.items()
               if (includes(built, path) if is_header else source == path)]
    first = [os.path.join(tree, one) for one in HEADER_ROOTS] if is_header else []
    targets = [os.path.join(out, f"planted_{i}.o") for i in range(len(changed))]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return dict(zip(changed, pool.map(compile_one,
                                          changed if is_header else [copy] * len(changed),
                                          targets, [first] * len(changed))))


def build(patterns, out):
    """{source: object} of all files that match."""
    paths = sources(patterns)
    targets = [os.path.join(out, os.path.relpath(path, ROOT).replace("/", "_") + ".o")
               for path in paths]
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return dict(zip(paths, pool.map(compile_one, paths, targets)))


def verdict(objects, program, tests="*"):
    """Nothing if those tests pass; else the names of those that failed, or how the program ended."""
    subprocess.run(["g++", *objects, *LIBRARIES, "-o", program], check=True)
    command = [program, "--gtest_brief=1", "--gtest_filter=" + tests]
    listed = subprocess.run([*command, "--gtest_list_tests"], capture_output=True, text=True,
                            check=True).stdout
    if "  " not in listed:
        sys.exit(f"there is no test {tests}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False,
                              env={"PATH": "/usr/bin:/bin"})
    except subprocess.TimeoutExpired:
        return ["a hang"]
    if done.returncode == 0:
        return []
    failed = re.findall(r"^\[  FAILED  \] (\S+)(?:, where.*)? \(\d+ ms\)$", done.stdout, re.M)
    return failed or [f"a crash ({done.returncode})" if done.returncode < 0 else "an exit"]


def try_all(suite, faults, out):
    """The names of the faults that no test caught."""
    product = build(suite.product, out)
    support = build(suite.support, out)
    programs = {name: build(patterns, out) | support | product
                for name, patterns in suite.programs.items()}

    for objects in programs.values():
        if sound := verdict(objects.values(), os.path.join(out, "tests")):
            sys.exit("the tests fail without any fault: " + ", ".join(sound))
    survivors = []
    for fault in faults:
        text = planted(fault)
        caught = []
        if text is not None:
            wanted = [programs[fault.program]] if fault.program else [*programs.values()]
            faulty = rebuild({source: built for objects in wanted
                              for source, built in objects.items()}, fault, text, out)
            for objects in wanted:
                objects = {source: faulty.get(source, built) for source, built in objects.items()}
                caught = verdict(objects.values(), os.path.join(out, "tests"), fault.tests)
                if caught:
                    break
            print(f"{fault.name}: {', '.join(caught[:4]) if caught else 'SURVIVED'}"
                  f"{f' and {len(caught) - 4} more' if len(caught) > 4 else ''}", flush=True)
        if not caught:
            survivors.append(fault.name)
    return survivors


def main(suite):
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true",
                        help="compile nothing; see that each fault applies")
    parser.add_argument("--keep", help="where to build; kept")
    parser.add_argument("names", nargs="*", help="faults to plant; all by default")
    arguments = parser.parse_args()
    faults = [one for one in suite.faults if not arguments.names or one.name in arguments.names]
    if arguments.check:
        for patterns in [suite.product, suite.support, *suite.programs.values()]:
            sources(patterns)
        return 1 if [one for one in faults if planted(one) is None] else 0
    with tempfile.TemporaryDirectory() as scratch:
        out = arguments.keep or scratch
        os.makedirs(out, exist_ok=True)
        survivors = try_all(suite, faults, out)
    print(f"{len(faults) - len(survivors)} of {len(faults)} faults were caught")
    return 1 if survivors else 0
