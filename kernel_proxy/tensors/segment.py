"""Shared memory between the proxy and a kernel of the same host.

On Linux a memfd: it has no name that could be left behind, vanishes with its holders, and is not
bound by the 64 MiB that a container gives /dev/shm. The other process opens it by its path under
/proc, which needs the same user. Elsewhere it is a temporary file, unlinked with its owner.
"""

import mmap
import os
import signal
import struct
import sys
import tempfile

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

#: What a kernel that fills segments writes into a pipe: the number of one, and how many of its bytes are
#: there from the first on; or, below zero, an `errno` that ended it.
MARK = struct.Struct("<qq")


class Segment:
    """`size` bytes that another process can open at `path`; `view` maps them here."""

    def __init__(self, fd: int, size: int, path: str, named: bool = False):
        self.fd, self.size, self.path, self._named = fd, size, path, named
        self._map: mmap.mmap | None = None
        #: True if its pages are there, from an earlier use.
        self.used = False

    @classmethod
    def create(cls, size: int) -> "Segment":
        """Allocate a segment; OSError when the system has no room for it."""
        if sys.platform == "linux":
            made = os.memfd_create("jupyterlite-torch", os.MFD_CLOEXEC)
            try:
                # Made for all; what keeps others out is that /proc is closed to them.
                os.fchmod(made, 0o600)
                # A memfd's own descriptor is not counted as a writer, see `unshared`.
                fd = os.open(f"/proc/self/fd/{made}", os.O_RDWR | os.O_CLOEXEC)
            finally:
                os.close(made)
            path, named = f"/proc/{os.getpid()}/fd/{fd}", False
        else:
            fd, path = tempfile.mkstemp(prefix="jupyterlite-torch-")
            named = True
        segment = cls(fd, size, path, named)
        try:
            os.ftruncate(fd, size)
        except OSError:
            segment.close()
            raise
        return segment

    @classmethod
    def open(cls, path: str, size: int | None = None) -> "Segment":
        """Open a segment that another process made, of which the first `size` bytes are used."""
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        whole = os.fstat(fd).st_size
        if size is not None and not 0 <= size <= whole:
            os.close(fd)
            raise ValueError(f"{size} bytes of a segment of {whole}")
        return cls(fd, whole if size is None else size, path)

    def unshared(self) -> bool:
        """True when no other process has it open or mapped any more, also one that was killed.

        The system grants a write lease only then (Linux).
        """
        if sys.platform != "linux":
            return False
        try:
            # Who opens it this very moment would end this process with SIGIO.
            fcntl.fcntl(self.fd, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError:
            return False
        fcntl.fcntl(self.fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return True

    @property
    def view(self) -> memoryview:
        """The bytes, mapped once."""
        if self._map is None:
            self._map = mmap.mmap(self.fd, self.size)
        return memoryview(self._map)

    def write(self, start: int, data: "bytes | memoryview") -> None:
        """Put bytes into their place; OSError when the system has no memory for them."""
        while len(data):
            count = os.pwrite(self.fd, data, start)
            data, start = memoryview(data)[count:], start + count

    def close(self) -> None:
        """Let go of it here; the memory lives as long as somebody else holds it."""
        # A mapping with exported views closes itself when the last of them goes.
        self._map = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            if self._named:
                os.unlink(self.path)
