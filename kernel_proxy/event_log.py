"""The event log of a session: every message of its kernel, numbered, kept until acknowledged."""

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One Jupyter message. `text` is the JSON of its frame, `buffers` its binary parts."""

    seq: int
    text: bytes
    buffers: tuple[bytes, ...]

    @property
    def nbytes(self) -> int:
        """The memory that it takes in the log, in bytes."""
        return len(self.text) + sum(map(len, self.buffers)) + 64


class EventLog:
    """Events of one session, `quota` bytes of them; beyond that the oldest are given up.

    `id` differs from log to log, so that a page can not ask one for what it saw in another.
    """

    def __init__(self, quota: int):
        self.id = secrets.token_hex(8)
        self.quota = quota
        self.last = 0
        self._events: deque[Event] = deque()
        self._nbytes = 0
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def first(self) -> int:
        """The number of the oldest event that can still be had."""
        return self.last + 1 - len(self._events)

    def append(self, channel: str, message: bytes, buffers: tuple[bytes, ...] = ()) -> None:
        """Add a message, given as the JSON text of `{header, parent_header, metadata, content}`."""
        self.last += 1
        lengths = b"[" + b",".join(b"%d" % len(part) for part in buffers) + b"]"
        text = b'{"type":"event","seq":%d,"channel":"%b","buffers":%b,"msg":%b}' % (
            self.last,
            channel.encode(),
            lengths,
            message,
        )
        event = Event(self.last, text, buffers)
        self._events.append(event)
        self._nbytes += event.nbytes
        while self._nbytes > self.quota and len(self._events) > 1:
            self._nbytes -= self._events.popleft().nbytes
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def forget(self, seq: int) -> None:
        """Drop the events up to `seq`: every listener has them."""
        while self._events and self._events[0].seq <= seq:
            self._nbytes -= self._events.popleft().nbytes

    def after(self, seq: int) -> Event | None:
        """Return the oldest event after `seq`, or None when there is none yet."""
        if seq >= self.last or not self._events:
            return None
        return self._events[max(0, seq + 1 - self.first)]

    async def grown(self, seq: int) -> None:
        """Wait until there is an event after `seq`."""
        while seq >= self.last:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
