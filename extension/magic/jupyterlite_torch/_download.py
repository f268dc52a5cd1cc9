"""One safetensors file on its way into memory: taken up again after a break, and checked.

The kernel sums up each MiB of a tensor while it copies it, and its checksums come behind the file.
What arrives is summed up at once, while it is warm in the cache, and a MiB that differs is fetched again.
"""

import asyncio
import contextlib
import typing
from collections.abc import Callable

from . import _safetensors
from ._checksum import BLOCK_BYTES, packed_size, unpacked
from ._errors import TransferError

#: How often in a row a transfer that gets nothing is begun again before it is given up.
TRIES = 5
#: How often a block is fetched in all before it is given up.
FETCHES = 3
#: Bytes of a stream for which Python is woken; as many blocks.
READ_BYTES = 4 * 2**20
#: After so many bytes the rate of a line is known.
PROBE_BYTES = 8 * 2**20
#: Above so many bytes per second, which is a gigabit, it is the machines at both ends that limit a
#: transfer, and coding would take more of them.
SLOW_BYTES_PER_S = 125e6


class Link:
    """What is known of the line to a server. `rate`: bytes per second; None until it is known."""

    rate = None

    def carried(self, sent, seconds, coded):
        """Note how many bytes it has carried. What is coded may have waited for the coder."""
        rate = sent / seconds
        self.rate = max(rate, self.rate or 0) if coded else rate


def wanted_bytes(start, stop, link):
    """Return the headers that ask for bytes of a file; `stop` None for all that follow, which may
    come coded. Of a `Range` a browser takes nothing coded (Chromium 156)."""
    if stop is not None:
        return {"Range": f"bytes={start}-{stop - 1}"}
    headers = {"Torch-Start": str(start)}
    if link.rate is not None and link.rate < SLOW_BYTES_PER_S:
        headers["Torch-Rate"] = str(max(1, int(link.rate)))
    return headers


class Sink(typing.NamedTuple):
    """Where one file goes, and who is told. `name` is the array's for the user.

    `incoming` takes the data, as an Incoming of _arrays.py does. `begin(header, file size)` is called
    before it comes, `moved(count)` told of bytes as they come, and `checksum(view)` computes that of a
    block.
    """

    name: str
    incoming: typing.Any
    begin: Callable
    moved: Callable
    checksum: Callable


class Ahead:
    """The stream of a whole file that is asked for before it is known where that is; `open_stream()`
    gives it, as `open_range` of a Download does."""

    def __init__(self, open_stream):
        # Not the task's result, which Pyodide's loop would keep.
        self._stream = None
        self._opening = asyncio.ensure_future(self._open(open_stream))

    async def _open(self, open_stream):
        with contextlib.suppress(ConnectionError, TransferError):
            self._stream = await open_stream()

    async def take(self):
        """Return the stream, once; None when there is none."""
        await self._opening
        stream, self._stream = self._stream, None
        return stream

    def close(self):
        """Let go of a stream that nobody has taken."""
        self._opening.cancel()
        if self._stream is not None:
            self._stream.close()


class Download:
    """One file. `open_range(start, stop)` gives a stream of those bytes, `stop` None for the end.

    A stream has `size`, how much it is going to give, `ratio`, of which that part is sent, `async
    read_into(view)`, which returns how much of the view it has filled, 0 at the end, and `close()`.
    ConnectionError when it breaks. `link` is what is known of the line, and learns from this. `ahead`: the
    Ahead of the file, or None.
    """

    def __init__(self, open_range, sink, link, ahead=None):
        self._open_range = open_range
        self._ahead = ahead
        self._link = link
        self._sink = sink
        self._header = bytearray(8)
        self._begun = False
        self._behind = bytearray(packed_size(sink.incoming.nbytes))
        self._received = 0
        self._size = None
        # Of the blocks as they came.
        self._sums = []

    async def run(self):
        """Fetch it; return the checksums of its blocks. TransferError when the line stays broken, or
        bytes stay wrong."""
        tries = 0
        while self._size is None or self._received < self._size:
            before = self._received
            try:
                await self._read_on()
            except ConnectionError:
                pass
            if self._received > before:
                tries = 0
            elif (tries := tries + 1) == TRIES:
                raise TransferError(
                    f"The connection broke while `{self._sink.name}` came back, and {TRIES} tries to go "
                    "on failed. It is still on the server: read it again when the connection is back."
                )
            else:
                await asyncio.sleep(0.2 * 2**tries)
        for block, checksum in enumerate(unpacked(self._behind)):
            if checksum != self._sums[block]:
                self._sums[block] = await self._repair(block)
        return self._sums

    async def _read_on(self):
        unknown = self._link.rate is None
        stream = self._ahead and await self._ahead.take()
        stream = stream or await self._open_range(self._received, None)
        clock, first = asyncio.get_running_loop().time, self._received
        # The line's time, and not what this side does with the bytes.
        seconds = 0
        try:
            if self._size is None:
                self._size = stream.size
            while self._received < self._size:
                room, began = self._room(), clock()
                count = await stream.read_into(room)
                seconds += clock() - began
                if not count:
                    return
                self._received += count
                self._sink.moved(count)
                self._sum_up()
                if self._received - first >= PROBE_BYTES:
                    sent = (self._received - first) * stream.ratio
                    self._link.carried(sent, seconds, stream.ratio < 1)
                    left = self._size - self._received
                    if unknown and self._link.rate < SLOW_BYTES_PER_S and left >= PROBE_BYTES:
                        # Asked again, the server may send what is left in less.
                        return
        finally:
            stream.close()

    def _room(self):
        """Return where the next bytes go: first the header, then the data, then what is behind it."""
        if self._received == len(self._header) == 8:
            # Another one: the old may still be looked at.
            self._header = self._header + bytes(_safetensors.header_size(self._header) - 8)
        if self._received < len(self._header):
            return memoryview(self._header)[self._received :]
        if not self._begun:
            self._sink.begin(bytes(self._header), self._size - len(self._behind))
            self._begun = True
        start, nbytes = self._received - len(self._header), self._sink.incoming.nbytes
        if start < nbytes:
            return self._sink.incoming.view(
                start, min(start - start % READ_BYTES + READ_BYTES, nbytes)
            )
        return memoryview(self._behind)[start - nbytes :]

    def _sum_up(self):
        """Sum up the blocks that have become whole."""
        if not self._begun:
            return
        nbytes = self._sink.incoming.nbytes
        arrived = min(self._received - len(self._header), nbytes)
        while (start := len(self._sums) * BLOCK_BYTES) < arrived:
            stop = min(start + BLOCK_BYTES, nbytes)
            if stop > arrived:
                break
            self._sums.append(self._sink.checksum(self._sink.incoming.view(start, stop)))
        self._sink.incoming.arrived(min(len(self._sums) * BLOCK_BYTES, arrived))

    async def _repair(self, block):
        """Fetch a block again, and its checksum; return that."""
        start, nbytes = block * BLOCK_BYTES, self._sink.incoming.nbytes
        data = bytearray(min(BLOCK_BYTES, nbytes - start))
        expected = bytearray(packed_size(1))
        behind = len(self._header) + nbytes + packed_size(start)
        for _ in range(FETCHES - 1):
            try:
                await self._fetch(len(self._header) + start, memoryview(data))
                await self._fetch(behind, memoryview(expected))
            except ConnectionError:
                continue
            checksum = self._sink.checksum(memoryview(data))
            if (checksum,) == unpacked(expected):
                self._sink.incoming.mend(start, data)
                return checksum
        raise TransferError(
            f"`{self._sink.name}` arrived changed: {len(data)} bytes from {start} on do not "
            f"have the checksum that the kernel computed, after {FETCHES} fetches. Something between "
            "alters what is sent, or the memory of a machine does; it is still on the server."
        )

    async def _fetch(self, start, view):
        """Fill a view with the file's bytes from `start` on, or as many as there are."""
        filled = 0
        stream = await self._open_range(start, start + len(view))
        try:
            while count := await stream.read_into(view[filled:]):
                filled += count
        finally:
            stream.close()
