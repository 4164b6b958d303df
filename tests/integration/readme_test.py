#!/usr/bin/env python3
"""The program in README compiles as it stands there, and does what it says."""
import os
import re
import subprocess
import sys
import tempfile

SOURCE_DIR = os.environ["ALLOT_SOURCE_DIR"]
LIBRARY_DIR = os.path.join(os.environ["ALLOT_BINARY_DIR"], "client")
sys.path.insert(0, os.path.join(SOURCE_DIR, "tests", "support"))
import allotd  # noqa: E402


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL: {what}")


def program_of_readme():
    with open(os.path.join(SOURCE_DIR, "README.md"), encoding="utf-8") as file:
        blocks = re.findall(r"^```cpp\n(.*?)^```$", file.read(), re.M | re.S)
    check(len(blocks) == 1, f"README has {len(blocks)} programs")
    return blocks[0]


def compile_program(text, directory):
    source = os.path.join(directory, "readme.cpp")
    program = os.path.join(directory, "readme")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    includes = [f"-I{SOURCE_DIR}/{part}/include" for part in ("client", "shared")]
    done = subprocess.run(
        ["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", *includes, source, "-o", program,
         f"-L{LIBRARY_DIR}", "-lallot", f"-Wl,-rpath,{LIBRARY_DIR}"],
        capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"it does not compile:\n{done.stderr}")
    return program


def main():
    with tempfile.TemporaryDirectory() as directory:
        program = compile_program(program_of_readme(), directory)
        lonely = subprocess.run([program], env={**os.environ, "ALLOT_RUNTIME_DIR": directory},
                                capture_output=True, text=True, check=False,
                                timeout=allotd.DEADLINE_S)
        check(lonely.returncode == 1 and directory in lonely.stdout,
              f"without a daemon: exit status {lonely.returncode}, {lonely.stdout!r}")
        with allotd.serving(os.environ["ALLOT_ALLOTD_PATH"]) as environment:
            done = subprocess.run([program], env=environment, capture_output=True, text=True,
                                  check=False, timeout=allotd.DEADLINE_S)
        check(done.returncode == 0, f"exit status {done.returncode}, {done.stdout!r}, {done.stderr!r}")


if __name__ == "__main__":
    main()
