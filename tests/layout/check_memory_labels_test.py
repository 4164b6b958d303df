#!/usr/bin/env python3
"""The tree's own labels are in order, and check_memory_labels.py catches what is planted."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_memory_labels.py")
TREE = CHECK.parents[2]


def run(root):
    """The lines that the check prints about the tree at `root`, and its exit status."""
    done = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True)
    return done.stdout.strip().splitlines(), done.returncode


def run_on(files):
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            file = pathlib.Path(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return run(root)


WRITER = """\
// R1 pairs with A1 in
// read(): fields before state.
word.store_release(1);
"""
READER = """\
  // Why this loop is short.
  // A1 pairs with R1 in write().
  while (word
             .load_acquire() == 0) {
"""
BOTH = """\
// A2, R3 pair with R2, A3 in take(): one of the two moves the word. R9 is mentioned only.
word.compare_exchange_acq_rel(expected, desired);
"""
SELF = """\
// A4/R4 pair with itself in another process.
word.compare_exchange_acq_rel(expected, desired);
"""
OTHER = """\
// R2, A3 pair with A2 and R3.
word.compare_exchange_acq_rel(expected, desired);
"""
PAGE = "| R4, A4 |\nR5 in a sentence counts for nothing\n| R1 | A1 | why |\n| R2 | A2 |\n| R3, A3 | |\n"

CLEAN = {
    "shared/write.cpp": WRITER,
    "client/read.hpp": READER,
    "daemon/take.cpp": BOTH,
    "client/take.cpp": OTHER,
    "client/self.cpp": SELF,
    "docs/memory-ordering.md": PAGE,
    "tests/some_test.cpp": "// R77 is a reading of a thermometer\n",
}

# (file, its new text, the start of the one line that must be printed)
PLANTED = [
    ("shared/write.cpp", WRITER.replace("R1 pairs with A1 in", "R1 is paired with A1 in"),
     ["shared/write.cpp:1: a label without", "client/read.hpp:2: its partner R1 is nowhere",
      "docs/memory-ordering.md:1: R1 is nowhere"]),
    ("shared/write.cpp", WRITER.replace("A1 in", "the reader in"),
     ["shared/write.cpp:1: R1 names no partner"]),
    ("shared/write.cpp", WRITER.replace("A1", "R3"),
     ["shared/write.cpp:1: R1 names no partner of the other kind"]),
    ("shared/write.cpp", WRITER.replace("store_release", "store_relaxed"),
     ["shared/write.cpp:1: R1 stands above no operation that has release order"]),
    ("client/read.hpp", READER.replace("load_acquire", "load_relaxed"),
     ["client/read.hpp:2: A1 stands above no operation that has acquire order"]),
    ("daemon/take.cpp", BOTH.replace("acq_rel", "release"),
     ["daemon/take.cpp:1: A2 stands above no operation that has acquire order"]),
    ("client/read.hpp", "", ["shared/write.cpp:1: its partner A1 is nowhere",
                             "docs/memory-ordering.md:1: A1 is nowhere"]),
    ("docs/memory-ordering.md", PAGE.replace("| R1 | A1 | why |\n", ""),
     ["client/read.hpp:2: A1 with R1 has no row", "shared/write.cpp:1: R1 with A1 has no row"]),
    ("docs/memory-ordering.md", PAGE + "| R8 | A1 |\n", ["docs/memory-ordering.md:1: R8 is nowhere"]),
]


class CheckMemoryLabels(unittest.TestCase):
    def test_the_tree_itself(self):
        self.assertEqual(run(TREE), (["memory labels: ok"], 0))

    def test_passes_a_clean_tree(self):
        self.assertEqual(run_on(CLEAN), (["memory labels: ok"], 0))

    def test_catches_what_is_planted(self):
        for path, text, expected in PLANTED:
            with self.subTest(path=path, text=text):
                lines, status = run_on({**CLEAN, path: text})
                self.assertEqual(status, 1)
                self.assertEqual(len(lines), len(expected), lines)
                for line, start in zip(sorted(lines), sorted(expected)):
                    self.assertTrue(line.startswith(start), (line, start))


if __name__ == "__main__":
    unittest.main()
