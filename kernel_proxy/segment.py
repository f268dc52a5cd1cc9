"""Shared memory between the proxy and a kernel of the same host.

On Linux a memfd: it has no name that could be left behind, vanishes with its holders, and is not
bound by the 64 MiB that a container gives /dev/shm. The other process opens it by its path under
/proc, which needs the same user. Elsewhere it is a temporary file, unlinked with its owner.
"""

import mmap
import os
import sys
import tempfile


class Segment:
    """`size` bytes that another process can open at `path`; `view` maps them here."""

    def __init__(self, fd: int, size: int, path: str, named: bool = False):
        self.fd, self.size, self.path, self._named = fd, size, path, named
        self._map: mmap.mmap | None = None

    @classmethod
    def create(cls, size: int) -> "Segment":
        """Allocate a segment; OSError when the system has no room for it."""
        if sys.platform == "linux":
            fd = os.memfd_create("jupyterlite-torch", os.MFD_CLOEXEC)
            path, named = f"/proc/{os.getpid()}/fd/{fd}", False
        else:
            fd, path = tempfile.mkstemp(prefix="jupyterlite-torch-")
            named = True
        os.ftruncate(fd, size)
        return cls(fd, size, path, named)

    @classmethod
    def open(cls, path: str) -> "Segment":
        """Open a segment that another process made; its size is what the file says."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        return cls(fd, os.fstat(fd).st_size, path)

    @property
    def view(self) -> memoryview:
        """The bytes, mapped once."""
        if self._map is None:
            self._map = mmap.mmap(self.fd, self.size)
        return memoryview(self._map)

    def close(self) -> None:
        """Let go of it here; the memory lives as long as somebody else holds it."""
        # A mapping with exported views closes itself when the last of them goes.
        self._map = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            if self._named:
                os.unlink(self.path)
