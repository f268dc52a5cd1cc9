"""Whether processes are there, and what is waited for of them."""

import time

import psutil
from raw_channel import PATIENCE_S


def gone(process):
    """True if a process has ended, its parent told or not."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_until(condition):
    """Wait for what nobody tells of, as the end of another's child."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
