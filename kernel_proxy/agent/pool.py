"""Segments that are kept for the next export: memory that is fresh costs several times as much.

Injected into the kernel, as agent.py is.
"""

import os
import sys
import threading

import _jupyterlite_torch_segment as segment
import torch

#: What is kept at most for the next export, in bytes and as a part of the machine's memory; and for how
#: many seconds after the last one.
KEPT_BYTES, KEPT_PART, KEPT_S = 2 * 2**30, 1 / 16, 30
#: A segment is not used for less than this part of it, nor kept below this size, in bytes.
SMALLEST_PART = 1 / 4
SMALLEST_BYTES = 2**20


class Pool:
    """Segments by use: `take` one, and `give` it back when the proxy has been told of its end."""

    def __init__(self):
        self._budget = 0
        if sys.platform == "linux":
            memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            self._budget = min(KEPT_BYTES, memory * KEPT_PART)
        self._expiry = None
        self._kept = []
        self._pinned = set()
        # A subshell exports while a cell runs.
        self._lock = threading.Lock()

    def take(self, size, pinned=False):
        """Return a segment of at least `size` bytes; OSError when the system has no room.

        With `pinned` it is page-locked, so that a GPU copies straight into it, if the driver lets it.
        """
        with self._lock:
            # One that the proxy still sends is left alone.
            fitting = [s for s in self._kept if s.size * SMALLEST_PART <= size <= s.size]
            fitting = [s for s in fitting if s.unshared()]
            taken = min(fitting, key=lambda s: s.size, default=None)
            if taken:
                self._kept.remove(taken)
        taken = taken or segment.Segment.create(size)
        if pinned and taken not in self._pinned and _register(taken):
            self._pinned.add(taken)
        return taken

    def give(self, used):
        """Keep a segment for another use, and let go of the oldest beyond the budget."""
        with self._lock:
            if not SMALLEST_BYTES <= used.size <= self._budget:
                self._close(used)
                return
            used.used = True
            if self._expiry:
                self._expiry.cancel()
            self._expiry = threading.Timer(KEPT_S, self.clear)
            self._expiry.daemon = True
            self._expiry.start()
            self._kept.append(used)
            while self.nbytes > self._budget:
                self._close(self._kept.pop(0))

    def clear(self):
        """Keep nothing."""
        with self._lock:
            while self._kept:
                self._close(self._kept.pop())

    @property
    def nbytes(self):
        """What is kept now, in bytes."""
        return sum(kept.size for kept in self._kept)

    def _close(self, used):
        if used in self._pinned:
            self._pinned.discard(used)
            torch.cuda.cudart().cudaHostUnregister(_address(used))
        used.close()


def _register(used):
    return int(torch.cuda.cudart().cudaHostRegister(_address(used), used.size, 0)) == 0


def _address(used):
    return torch.frombuffer(used.view, dtype=torch.uint8).data_ptr()
