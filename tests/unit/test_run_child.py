"""Processes that end with the one that started them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lite_site.child import Child

# Starts a process in a session of its own, as the proxy does with kernels, and says both ids.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"],
                         start_new_session=True)
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
STARTER = """
import subprocess, sys, time
from pathlib import Path
from lite_site.child import Child
child = Child([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, remove=Path(sys.argv[2]))
print(child.process.stdout.readline(), flush=True)
time.sleep(600)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_gone(pids: list[int], folder: Path) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not any(alive(pid) for pid in pids) and not folder.exists():
            return True
        time.sleep(0.05)
    return False


def test_closing_ends_all_that_was_started(tmp_path: Path):
    folder = tmp_path / "profile"
    folder.mkdir()
    command = [sys.executable, "-c", PARENT]
    with Child(command, stdout=subprocess.PIPE, remove=folder) as child:
        pids = [int(pid) for pid in child.process.stdout.readline().split()]
        assert all(alive(pid) for pid in pids)
    assert all_gone(pids, folder)


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_the_death_of_the_starter_ends_all(tmp_path: Path, by: signal.Signals):
    folder = tmp_path / "profile"
    folder.mkdir()
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, PARENT, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as starter:
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        starter.send_signal(by)
    assert all_gone(pids, folder)


def test_the_status_of_the_command_is_passed_on():
    with Child([sys.executable, "-c", "raise SystemExit(3)"]) as child:
        assert child.process.wait(30) == 3
