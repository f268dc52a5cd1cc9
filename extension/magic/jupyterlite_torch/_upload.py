"""Bytes on their way up the channel."""

import asyncio
import zlib

from . import _frames

#: An upload goes in parts of at most this many bytes, so many of them unacknowledged at a time.
PART_BYTES = 2**20
PARTS_IN_FLIGHT = 8


class Upload:
    """One upload, and which of its parts the server has not acknowledged."""

    def __init__(self, identifier, pieces, size, moved):
        self.identifier, self.size = identifier, size
        self._moved = moved
        #: Where parts begin, with the buffers that lie in them.
        self.parts = dict(_parts(pieces))
        self.in_flight = {}
        self.acknowledged = asyncio.Event()
        self.error = None

    def part(self, start):
        """Return the frame of the part at `start`."""
        buffers = self.parts[start]
        # Many small ones as one: each would be a call into the browser.
        data = buffers[0] if len(buffers) == 1 else b"".join(buffers)
        head = {
            "type": "upload",
            "id": self.identifier,
            "start": start,
            "total": self.size,
            "crc32": zlib.crc32(data),
            "buffers": [len(data)],
        }
        return _frames.build(head, [data])

    async def room(self, parts):
        """Wait until fewer than `parts` are unacknowledged."""
        while self.error is None and len(self.in_flight) >= parts:
            self.acknowledged.clear()
            await self.acknowledged.wait()
        if self.error is not None:
            raise self.error

    def settle(self, start=None, error=None):
        """Note that the part at `start` has arrived, or that nothing more will."""
        if start in self.in_flight:
            del self.in_flight[start]
            self._moved(sum(map(len, self.parts[start])))
        self.error = self.error or error
        self.acknowledged.set()


def _parts(pieces):
    """Yield (start, buffers): large pieces cut where they begin, small ones in a row together."""
    position, row, size = 0, [], 0
    for piece in pieces:
        if row and size + len(piece) > PART_BYTES:
            yield position - size, row
            row, size = [], 0
        if len(piece) < PART_BYTES:
            row.append(piece)
            size += len(piece)
        else:
            for offset in range(0, len(piece), PART_BYTES):
                yield position + offset, [piece[offset : offset + PART_BYTES]]
        position += len(piece)
    if row:
        yield position - size, row
