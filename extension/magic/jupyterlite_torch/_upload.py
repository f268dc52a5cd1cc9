"""Bytes on their way up the channel."""

import asyncio

from . import _frames

#: An upload goes in parts of this many bytes, so many of them unacknowledged at a time.
PART_BYTES = 2**20
PARTS_IN_FLIGHT = 8


class Upload:
    """One upload, and which of its parts the server has not acknowledged."""

    def __init__(self, identifier, pieces, size):
        self.identifier, self._pieces, self.size = identifier, pieces, size
        self.in_flight = {}
        self.acknowledged = asyncio.Event()
        self.error = None

    def part(self, start):
        """Return the frame of the part at `start`."""
        stop = min(start + PART_BYTES, self.size)
        head = {
            "type": "upload",
            "id": self.identifier,
            "start": start,
            "total": self.size,
            "buffers": [stop - start],
        }
        return _frames.build(head, list(_frames.slices(self._pieces, start, stop)))

    async def room(self, parts):
        """Wait until fewer than `parts` are unacknowledged."""
        while self.error is None and len(self.in_flight) >= parts:
            self.acknowledged.clear()
            await self.acknowledged.wait()
        if self.error is not None:
            raise self.error

    def settle(self, start=None, error=None):
        """Note that the part at `start` has arrived, or that nothing more will."""
        self.in_flight.pop(start, None)
        self.error = self.error or error
        self.acknowledged.set()
