"""One safetensors file on its way into memory: taken up again after a break, and checked.

The kernel has summed up each MiB of a tensor while it copied it. Each is compared as it
arrives, while it is warm in the cache, and one that differs is fetched again.
"""

import asyncio
import typing
from collections.abc import Callable

from . import _safetensors
from ._checksum import BLOCK_BYTES
from ._errors import TransferError

#: How often in a row a transfer that gets nothing is begun again before it is given up.
TRIES = 5
#: How often a block is fetched in all before it is given up.
FETCHES = 3
#: Bytes of a stream for which Python is woken.
READ_BYTES = 4 * 2**20
#: After so many bytes the rate of a line is known.
PROBE_BYTES = 8 * 2**20
#: Above so many bytes per second it is the machines at both ends that limit a transfer, and coding
#: would take more of them.
SLOW_BYTES_PER_S = 200e6


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

    `checksums`: those of the data's blocks, None for none; `checksum(view)` computes one. `place(header,
    file size)` returns where the data goes. `moved(count)` is told of bytes as they come.
    `arrived(count)` is told how many of the data's bytes, from the first on, are as the kernel had them.
    """

    name: str
    checksums: list[int] | None
    checksum: Callable
    place: Callable
    moved: Callable
    arrived: Callable


class Download:
    """One file. `open_range(start, stop)` gives a stream of those bytes, `stop` None for the end.

    A stream has `size`, how much it is going to give, `ratio`, of which that part is sent, `async
    read_into(view)`, which returns how much of the view it has filled, 0 at the end, and `close()`.
    ConnectionError when it breaks. `link` is what is known of the line, and learns from this.
    """

    def __init__(self, open_range, sink, link):
        self._open_range = open_range
        self._link = link
        self._sink = sink
        self._checksums = sink.checksums or ()
        self._header = bytearray(8)
        self._data = None
        self._received = 0
        self._size = None
        self._checked = 0
        self._bad = []

    async def run(self):
        """Fetch it. TransferError when the line stays broken, or bytes stay wrong."""
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
        self._check()
        for block in self._bad:
            await self._repair(block)

    async def _read_on(self):
        unknown = self._link.rate is None
        stream = await self._open_range(self._received, None)
        clock, first = asyncio.get_running_loop().time, self._received
        began = clock()
        try:
            if self._size is None:
                self._size = stream.size
            while self._received < self._size:
                count = await stream.read_into(self._room())
                if not count:
                    return
                self._received += count
                self._sink.moved(count)
                self._check()
                if self._received - first >= PROBE_BYTES:
                    sent = (self._received - first) * stream.ratio
                    self._link.carried(sent, clock() - began, stream.ratio < 1)
                    left = self._size - self._received
                    if unknown and self._link.rate < SLOW_BYTES_PER_S and left >= PROBE_BYTES:
                        # Asked again, the server may send what is left in less.
                        return
        finally:
            stream.close()

    def _room(self):
        """Return where the next bytes go: first the header, then the data."""
        if self._received == len(self._header) == 8:
            # Another one: the old may still be looked at.
            self._header = self._header + bytes(_safetensors.header_size(self._header) - 8)
        if self._received < len(self._header):
            return memoryview(self._header)[self._received :]
        if self._data is None:
            self._data = self._sink.place(bytes(self._header), self._size)
        start = self._received - len(self._header)
        return self._data[start : start + READ_BYTES]

    def _check(self):
        """Compare the blocks that have become whole."""
        if self._data is None:
            return
        arrived = self._received - len(self._header)
        while self._checked < len(self._checksums):
            view = self._block(self._checked)
            if self._checked * BLOCK_BYTES + len(view) > arrived:
                break
            if self._sink.checksum(view) != self._checksums[self._checked]:
                self._bad.append(self._checked)
            self._checked += 1
        if not self._bad:
            self._sink.arrived(min(self._checked * BLOCK_BYTES, arrived))

    def _block(self, block):
        return self._data[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]

    async def _repair(self, block):
        view = self._block(block)
        start = len(self._header) + block * BLOCK_BYTES
        for _ in range(FETCHES - 1):
            filled = 0
            try:
                stream = await self._open_range(start, start + len(view))
                try:
                    while count := await stream.read_into(view[filled:]):
                        filled += count
                finally:
                    stream.close()
            except ConnectionError:
                continue
            if self._sink.checksum(view) == self._checksums[block]:
                return
        raise TransferError(
            f"`{self._sink.name}` arrived changed: {len(view)} bytes from {block * BLOCK_BYTES} on do not "
            f"have the checksum that the kernel computed, after {FETCHES} fetches. Something between "
            "alters what is sent, or the memory of a machine does; it is still on the server."
        )
