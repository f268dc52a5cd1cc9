"""How long a cell may run (`--max-cell-minutes`)."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import interrupts, journal
from .cells import Cell
from .idle import duration

if TYPE_CHECKING:
    from .session import Session

#: A cell that goes on for so long after it was interrupted, in seconds, loses its kernel; sooner
#: where the limit itself is shorter.
GRACE_S = 60
#: What an interrupt raises; the second where a cell awaits something (ipykernel 7).
_INTERRUPTS = ("KeyboardInterrupt", "CancelledError")


class CellTime:
    """Interrupts the cells of one session that run for more than `limit_s` seconds; 0 for no limit."""

    def __init__(self, session: "Session", limit_s: float, log: logging.Logger):
        self._session = session
        self._log = log
        self._limit_s = limit_s
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def begun(self, cell: Cell) -> None:
        """The code of a cell has begun, or a proxy that was started since finds it running."""
        if self._limit_s and cell.id not in self._timers:
            self._set(cell, self._limit_s, self._interrupt)

    def ended(self, identifier: str | None) -> None:
        """The code of a cell has ended, if it was one."""
        if timer := self._timers.pop(identifier or "", None):
            timer.cancel()

    def close(self) -> None:
        """Interrupt nothing any more."""
        for identifier in list(self._timers):
            self.ended(identifier)

    def _set(self, cell: Cell, seconds: float, act: Callable[[Cell], None]) -> None:
        self._timers[cell.id] = asyncio.get_running_loop().call_later(seconds, act, cell)

    def _interrupt(self, cell: Cell) -> None:
        if cell.reply is not None:
            # Its values are on their way.
            return
        cell.over_time = True
        journal.limit(self._log, "--max-cell-minutes", session=self._session.id[:6])
        self._set(cell, min(GRACE_S, self._limit_s), self._restart)
        text = f"Interrupted by the server: {self._why}"
        self._session.emit("iopub", "notice", {"text": text}, cell.header)
        self._session.run(self._stop(cell))

    async def _stop(self, cell: Cell) -> None:
        await interrupts.interrupt(self._session, cell.id)

    def _restart(self, cell: Cell) -> None:
        why = (
            "The remote kernel was restarted by the server, because a cell did not end when it was "
            f"interrupted: {self._why} The variables are gone: run the cells that define what you "
            "need again."
        )
        self._session.run(self._session.give_up(why))

    @property
    def _why(self) -> str:
        return (
            f"a cell may run for {duration(self._limit_s)} there (--max-cell-minutes), and this one "
            "has."
        )

    def explain(self, cell: Cell | None, message: dict[str, bytes]) -> dict[str, bytes]:
        """Return the reply to a cell, which says so if the limit has ended it."""
        if cell is None or not cell.over_time:
            return message
        content = json.loads(message["content"])
        if content.get("ename") not in _INTERRUPTS:
            return message
        content["ename"], content["evalue"] = _INTERRUPTS[0], self._why
        content["traceback"] = [*content.get("traceback", ()), f"{_INTERRUPTS[0]}: {self._why}"]
        return {**message, "content": json.dumps(content).encode()}
