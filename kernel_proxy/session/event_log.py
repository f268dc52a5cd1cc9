"""The event log of a session: every message of its kernel, numbered, kept until acknowledged."""

import asyncio
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable

from ..operations import journal
from .event_files import Event, EventFiles

#: Events that `after` returns at once, out of memory.
BATCH = 64
#: Seconds after which a full disk is tried again.
RETRY_S = 5
#: For how many seconds an event that is followed by another one waits for that.
FOLLOWED_S = 0.02


class EventLog:
    """Events of one session: the latest in `memory` bytes, and all of them in `files`, whose quota
    gives up the oldest. `on_full(why)` is called when the disk begins to take no more.

    `id` differs from log to log, so that a page can not ask one for what it saw in another.
    """

    def __init__(
        self,
        files: EventFiles,
        memory: int,
        log: logging.Logger,
        on_full: Callable[[str], None] = lambda why: None,
    ):
        self.id = files.id
        self.last = files.last
        self._files: EventFiles | None = files
        self._memory = memory
        self._logger = log
        self._on_full = on_full
        #: When the disk is tried again that has taken no more; None while it takes all.
        self._retry_at: float | None = None
        self._events: deque[Event] = deque()
        self._nbytes = 0
        self._forgotten = 0
        self._waiters: set[asyncio.Future[None]] = set()
        self._waking: asyncio.TimerHandle | None = None

    @property
    def first(self) -> int:
        """The number of the oldest event that can still be had."""
        held = self.last + 1 - len(self._events)
        kept = min(held, self._files.first) if self._files else held
        return max(self._forgotten + 1, kept)

    def append(
        self,
        channel: str,
        message: bytes,
        buffers: tuple[bytes, ...] = (),
        followed: bool = False,
    ) -> None:
        """Add a message, given as the JSON text of `{header, parent_header, metadata, content}`.

        One that is `followed` by another one at once leaves it to that to wake who waits for events.
        """
        self.last += 1
        event = Event.make(self.last, channel, message, buffers)
        why = self._write(event)
        self._events.append(event)
        self._nbytes += event.nbytes
        while self._nbytes > self._memory and len(self._events) > 1:
            self._nbytes -= self._events.popleft().nbytes
        if not followed:
            self._wake()
        elif self._waking is None:
            self._waking = asyncio.get_running_loop().call_later(FOLLOWED_S, self._wake)
        if why:
            self._on_full(why)

    def _wake(self) -> None:
        if self._waking:
            self._waking.cancel()
            self._waking = None
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    def _write(self, event: Event) -> str | None:
        """Put an event on the disk; return why that could not be when it could before."""
        full = self._retry_at is not None
        if self._files is None or (full and time.monotonic() < self._retry_at):
            return None
        first = self._files.first
        try:
            self._files.append(event)
            if self._files.first > max(first, self._forgotten + 1):
                journal.limit(self._logger, "--event-log", lost=self._files.first - first)
        except OSError as error:
            self._retry_at = time.monotonic() + RETRY_S
            if full:
                return None
            # Not the error itself, which may name a session's folder, and so the session.
            journal.note(self._logger, "events not on disk", logging.ERROR, error=error.strerror)
            return error.strerror
        self._retry_at = None
        return None

    def forget(self, seq: int) -> None:
        """Drop the events up to `seq`: nobody needs them any more."""
        self._forgotten = max(self._forgotten, min(seq, self.last))
        while self._events and self._events[0].seq <= seq:
            self._nbytes -= self._events.popleft().nbytes
        if self._files:
            self._files.forget(self._forgotten)

    def after(self, seq: int) -> list[Event]:
        """Return some of the events after `seq`, oldest first; none when there is none yet."""
        seq = max(seq, self.first - 1)
        held = self.last + 1 - len(self._events)
        if seq + 1 < held and self._files:
            found = self._files.after(seq)
            if found and found[0].seq < held:
                return found
        start = max(0, seq + 1 - held)
        return list(itertools.islice(self._events, start, start + BATCH))

    async def grown(self, seq: int) -> None:
        """Wait until there is an event after `seq`."""
        while seq >= self.last:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def close(self) -> None:
        """Let go of the files, which stay."""
        if self._files:
            self._files.close()

    def remove(self) -> None:
        """Remove the files; what is in memory can still be had."""
        files, self._files = self._files, None
        if files:
            files.remove()
