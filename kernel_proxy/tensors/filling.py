"""How far a kernel is with the segments that it fills behind its reply."""

import asyncio
import os
import stat

from ..errors import Refused
from .segment import MARK


class Filling:
    """The segments of one export. `sizes`: theirs in bytes, by the number that the kernel has given
    each. OSError or ValueError when there is no pipe at `path`."""

    def __init__(self, path: str, sizes: dict[int, int]):
        self._sizes = sizes
        self._filled = dict.fromkeys(sizes, 0)
        self._errors: dict[int, int] = {}
        self._unread = b""
        self._moved = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._pipe = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISFIFO(os.fstat(self._pipe).st_mode):
            os.close(self._pipe)
            raise ValueError(f"{path} is no pipe")
        self._loop.add_reader(self._pipe, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, 2**12)
        except BlockingIOError:
            return
        marks = self._unread + data
        whole = len(marks) // MARK.size * MARK.size
        self._unread = marks[whole:]
        for number, count in MARK.iter_unpack(marks[:whole]):
            if number in self._sizes:
                if count < 0:
                    self._errors.setdefault(number, -count)
                else:
                    self._filled[number] = count
        # A child of the kernel may hold the other end longer than that does.
        done = all(n in self._errors or self._filled[n] >= size for n, size in self._sizes.items())
        if done or not data:
            self.close()
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved.clear()

    def check(self, number: int, count: int) -> None:
        """Refused when so many bytes of a segment are not going to be there."""
        if self._filled[number] >= count:
            return
        if number in self._errors:
            raise Refused(
                "the server could not copy it into shared memory: "
                f"{os.strerror(self._errors[number])}. Read it again, or a part of it.",
                "agent",
                503,
            )
        if self._pipe < 0:
            raise Refused(
                "the kernel ended while it was copied. Run the cell again that made it.",
                "kernel-died",
                404,
            )

    async def reach(self, number: int, count: int) -> None:
        """Return when so many bytes of a segment are there; Refused when they are not going to be."""
        while self._filled[number] < count:
            self.check(number, count)
            await self._moved.wait()

    def close(self) -> None:
        """Hear no more of it."""
        if self._pipe >= 0:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1
            self._tell()
