"""The transfers under way: told to the page, which shows them and can cancel each."""

import asyncio


class Cancelled(asyncio.CancelledError):
    """The person has cancelled a transfer."""


class Transfers:
    """Those of one notebook. `tell(**message)` sends the page a message."""

    def __init__(self, tell):
        self._tell = tell
        self._tasks = {}
        self._cancelled = set()

    def show(self, identifier, name, done, total, left, task):
        """Tell how far one is, in bytes; `left` is in seconds, None for unknown. `task` waits for it."""
        self._tasks[identifier] = task
        self._tell(type="transfer", id=identifier, name=name, done=done, total=total, left=left)

    def end(self, identifier):
        """Tell that one has ended, if it was shown; return True if it was cancelled here."""
        if self._tasks.pop(identifier, None) is not None:
            self._tell(type="transfer-ended", id=identifier)
        cancelled = identifier in self._cancelled
        self._cancelled.discard(identifier)
        return cancelled

    def cancel(self, identifier):
        """End one as Stop would; nothing happens when it has ended."""
        if (task := self._tasks.get(identifier)) is not None:
            self._cancelled.add(identifier)
            task.cancel()
