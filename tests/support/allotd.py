"""A real allotd for tests that are scripts."""
import contextlib
import os
import select
import signal
import socket
import subprocess
import tempfile

DEADLINE_S = 20


def start(allotd, directory):
    """A daemon with its sockets in `directory`, once it is ready."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(os.path.join(directory, "notify.sock"))
        daemon = subprocess.Popen([allotd, "--runtime-dir", directory],
                                  env={**os.environ, "NOTIFY_SOCKET": notify.getsockname()})
        ended = os.pidfd_open(daemon.pid)
        try:
            while True:
                ready, _, _ = select.select([notify, ended], [], [], DEADLINE_S)
                if not ready or ended in ready:
                    daemon.kill()
                    raise RuntimeError("allotd does not get ready")
                if b"READY=1" in notify.recv(4096).splitlines():
                    return daemon
        finally:
            os.close(ended)


@contextlib.contextmanager
def serving(allotd):
    """The environment for a client, while a daemon in a directory of its own serves it."""
    with tempfile.TemporaryDirectory(prefix="allot_test.") as directory:
        daemon = start(allotd, directory)
        try:
            yield {**os.environ, "ALLOT_RUNTIME_DIR": directory}
        finally:
            daemon.send_signal(signal.SIGTERM)
            status = daemon.wait(timeout=DEADLINE_S)
        if status != 0:
            raise RuntimeError(f"allotd exits with {status}")
