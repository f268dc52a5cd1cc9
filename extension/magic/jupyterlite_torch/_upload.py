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
        self._pieces = pieces
        self._moved = moved
        #: Where parts begin, with where they end.
        self.parts = dict(_parts(pieces))
        self.in_flight = {}
        self.acknowledged = asyncio.Event()
        self.error = None

    def part(self, start):
        """Return the frame of the part at `start`."""
        stop, checksum = self.parts[start], 0
        buffers = list(_frames.slices(self._pieces, start, stop))
        for buffer in buffers:
            checksum = zlib.crc32(buffer, checksum)
        head = {
            "type": "upload",
            "id": self.identifier,
            "start": start,
            "total": self.size,
            "crc32": checksum,
            "buffers": [stop - start],
        }
        return _frames.build(head, buffers)

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
            self._moved(self.parts[start] - start)
        self.error = self.error or error
        self.acknowledged.set()


def _parts(pieces):
    """Yield (start, stop): large pieces cut where they begin, small ones in a row together."""
    position = begun = 0
    for piece in pieces:
        if (len(piece) >= PART_BYTES or position + len(piece) - begun > PART_BYTES) and (
            position > begun
        ):
            yield begun, position
            begun = position
        if len(piece) >= PART_BYTES:
            for offset in range(0, len(piece), PART_BYTES):
                yield position + offset, position + min(offset + PART_BYTES, len(piece))
            begun = position + len(piece)
        position += len(piece)
    if position > begun:
        yield begun, position
