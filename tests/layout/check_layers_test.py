#!/usr/bin/env python3
"""check_layers.py catches each violation that is planted, and nothing else."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = pathlib.Path(__file__).with_name("check_layers.py")


def run(files):
    """The lines check_layers.py prints about a tree of these files, and its exit status."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in files.items():
            file = pathlib.Path(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        done = subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True)
        return done.stdout.strip().splitlines(), done.returncode


CLEAN = {
    "shared/include/allot/handle.hpp": "#include <cstdint>\n",
    "client/include/allot/heap.hpp": "#include <allot/handle.hpp>\n",
    "shared/include/allot/detail/atomic.hpp": "std::atomic_ref<int> word;\n",
    "shared/platform/memfd.hpp": "",
    "shared/region/own.hpp": '#include "shared/platform/memfd.hpp"\n',
    "client/heap.cpp": '#include <allot/heap.hpp>\n#include "shared/region/own.hpp"\n'
                       "// std::atomic and memory_order_seq_cst may be talked about\n",
    "client/embedded.cpp": '#include "daemon/core/grants.hpp"\n',
    "daemon/core/grants.cpp": '#include "daemon/core/grants.hpp"\n',
    "daemon/server.cpp": '#include <boost/asio.hpp>\n#include "daemon/core/grants.hpp"\n',
    "tools/allotctl/main.cpp": '#include "shared/protocol/message.hpp"\n',
    "examples/pipeline/main.cpp": '#include <allot/heap.hpp>\n#include "stage.hpp"\n',
    "examples/pipeline/stage.hpp": "",
    "tests/unit/heap_test.cpp": '#include "daemon/core/grants.hpp"\nstd::atomic<int> calls;\n',
}

VIOLATIONS = [
    ("shared/include/allot/x.hpp", '#include "shared/platform/memfd.hpp"'),
    ("shared/include/allot/x.hpp", "#include <allot/heap.hpp>"),
    ("shared/platform/x.cpp", '#include "shared/region/own.hpp"'),
    ("shared/region/x.cpp", '#  include "shared/protocol/message.hpp"'),
    ("shared/protocol/x.cpp", '#include "client/heap.hpp"'),
    ("client/include/allot/x.hpp", '#include "shared/region/own.hpp"'),
    ("client/x.cpp", '#include "daemon/core/grants.hpp"'),
    ("client/x.cpp", '#include "../daemon/core/grants.cpp"'),
    ("client/embedded.hpp", '#include "daemon/server.cpp"'),
    ("daemon/core/x.cpp", '#include "daemon/server.hpp"'),
    ("daemon/core/x.cpp", "#include <boost/asio/io_context.hpp>"),
    ("daemon/x.cpp", '#include "client/heap.hpp"'),
    ("daemon/x.cpp", "#include <allot/heap.hpp>"),
    ("tools/allotctl/x.cpp", '#include "client/heap.hpp"'),
    ("tools/allotctl/x.cpp", '#include "daemon/core/grants.hpp"'),
    ("examples/x.cpp", '#include "shared/region/own.hpp"'),
    ("bench/x.cpp", '#include "client/heap.hpp"'),
    ("client/x.cpp", "#include <boost/asio.hpp>"),
    ("client/x.cpp", "word.load(std::memory_order_seq_cst);"),
    ("client/x.cpp", "word.load(std::memory_order::seq_cst);"),
    ("daemon/x.cpp", "std::atomic_thread_fence(std::memory_order_release);"),
    ("daemon/x.cpp", "std::atomic_signal_fence(std::memory_order_acq_rel);"),
    ("client/x.cpp", "std::atomic<int> word;"),
    ("shared/region/x.hpp", "std::atomic_ref<int> word(raw);"),
    ("tests/process/x_test.cpp", "std::this_thread::sleep_for(1ms);"),
    ("daemon/x.cpp", "usleep(10);"),
]


class CheckLayers(unittest.TestCase):
    def test_passes_a_clean_tree(self):
        self.assertEqual(run(CLEAN), (["layers: ok"], 0))

    def test_catches_each_planted_violation(self):
        for path, line in VIOLATIONS:
            with self.subTest(path=path, line=line):
                lines, status = run({**CLEAN, path: f"// first line\n{line}\n"})
                self.assertEqual(status, 1)
                self.assertEqual(len(lines), 1, lines)
                self.assertTrue(lines[0].startswith(f"{path}:2: "), lines)


if __name__ == "__main__":
    unittest.main()
