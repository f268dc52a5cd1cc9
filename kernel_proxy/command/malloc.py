"""How the C library keeps memory that was freed."""

import contextlib
import ctypes

#: Parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: What stays with the process for its next use, in bytes.
KEPT_BYTES = 32 * 2**20


def keep_freed_memory() -> None:
    """Keep the pages of freed messages, where the C library is glibc.

    It would give those of each message back to the system and take fresh ones for the next: a third
    of an upload's time (glibc 2.36).
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
