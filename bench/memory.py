"""Watching how much memory the processes of Chromium hold."""

import contextlib
import os
import re
import threading
import time
from pathlib import Path


class MemoryWatch(threading.Thread):
    """Samples the private memory of processes: `samples[pid]` is a list of (time, bytes).

    `find()` returns their pids with their kinds, and is asked again and again, since processes come
    and go; `kinds` holds all of them.
    """

    INTERVAL_S = 0.02
    FIND_EVERY = 25

    def __init__(self, find):
        super().__init__(daemon=True)
        self.samples, self.kinds = {}, {}
        self._find, self._ended = find, threading.Event()

    def run(self):
        pids, turn = {}, 0
        while not self._ended.wait(self.INTERVAL_S):
            if turn % self.FIND_EVERY == 0:
                pids = self._find()
                self.kinds |= pids
            turn += 1
            for pid in pids:
                try:
                    text = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                if anonymous := re.search(r"^RssAnon:\s+(\d+) kB", text, re.M):
                    sample = time.time(), int(anonymous[1]) * 1024
                    self.samples.setdefault(pid, []).append(sample)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join()

    def growth(self, pid, start, stop):
        """How much more than at `start` a process held, at most, until `stop`, in bytes."""
        samples = self.samples.get(pid, [])
        before = [size for when, size in samples if when <= start][-1:]
        during = [size for when, size in samples if start <= when <= stop]
        return max(during) - before[0] if before and during else 0

    def total_growth(self, label, start, stop):
        """The growth of all of Chromium's processes together, told by their kinds."""
        growths = {
            pid: self.growth(pid, start, stop)
            for pid, kind in self.kinds.items()
            if kind != "given"
        }
        for pid, growth in growths.items():
            if growth >= 2**20:
                print(f"{label}, {self.kinds[pid]} process: {growth / 2**20:.0f} MiB more")
        return sum(growths.values())


def descendants(pid):
    """The processes that a process has started, and theirs."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        # A process that has gone meanwhile has no file any more.
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def chromiums():
    """The processes of every Chromium that this process has started, by pid."""
    found = {}
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if "chrom" in Path(f"/proc/{pid}/comm").read_text():
                # Chromium rewrites its children's command lines, with spaces between.
                command = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
                kind = re.search(r"--type=([\w-]+)", command)
                found[pid] = kind[1] if kind else "browser"
    return found


def proxies():
    """The proxies that this process has started, by pid."""
    found = {}
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:3] == ["-m", "kernel_proxy"]:
                found[pid] = "proxy"
    return found
