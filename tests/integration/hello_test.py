#!/usr/bin/env python3
"""The example `hello` as a user runs it: with a daemon it says hello, without one it says why not."""
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile

DEADLINE_S = 20


def check(condition, what):
    if not condition:
        sys.exit(f"FAIL: {what}")


def start_daemon(allotd, directory):
    """The daemon, once it has said that it is ready."""
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = os.path.join(directory, "notify.sock")
    notify.bind(path)
    daemon = subprocess.Popen([allotd, "--runtime-dir", directory],
                              env={**os.environ, "NOTIFY_SOCKET": path})
    ended = os.pidfd_open(daemon.pid)
    try:
        while True:
            ready, _, _ = select.select([notify, ended], [], [], DEADLINE_S)
            check(ready and ended not in ready, "allotd does not get ready")
            if b"READY=1" in notify.recv(4096).splitlines():
                return daemon
    finally:
        os.close(ended)
        notify.close()


def main():
    allotd = os.environ["ALLOT_ALLOTD_PATH"]
    hello = os.path.join(os.environ["ALLOT_BINARY_DIR"], "examples", "hello")
    if not allotd or not os.path.exists(hello):
        print("skipped: not built")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as directory:
        environment = {**os.environ, "ALLOT_RUNTIME_DIR": directory}

        def run_hello():
            return subprocess.run([hello], env=environment, capture_output=True, text=True,
                                  timeout=DEADLINE_S, check=False)

        lonely = run_hello()
        check(lonely.returncode == 1, f"without a daemon it exits with {lonely.returncode}")
        check("daemon" in lonely.stderr or "allotd" in lonely.stderr,
              f"it does not say what is missing: {lonely.stderr}")

        daemon = start_daemon(allotd, directory)
        try:
            for _ in range(3):
                said = run_hello()
                check(said.returncode == 0 and said.stdout == "hello from another process\n",
                      f"exit status {said.returncode}, {said.stdout!r}, {said.stderr!r}")
        finally:
            daemon.send_signal(signal.SIGTERM)
            status = daemon.wait(timeout=DEADLINE_S)
        check(status == 0, f"allotd exits with {status}")


if __name__ == "__main__":
    main()
