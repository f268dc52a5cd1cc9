"""How long a cell may run (`--max-cell-minutes`), and how much it may compute
(`--max-cell-cpu-minutes`)."""

import asyncio
import json
import logging
import os
from typing import TYPE_CHECKING

from ..operations import journal
from . import interrupts
from .cells import Cell
from .idle import duration

if TYPE_CHECKING:
    from .session import Session

#: A cell that goes on for so long after it was interrupted, in seconds, loses its kernel; sooner
#: where the limit itself is shorter.
GRACE_S = 60
#: It is not looked more often than this, in seconds.
LOOK_EVERY_S = 0.2
#: What an interrupt raises; the second where a cell awaits something (ipykernel 7).
_INTERRUPTS = ("KeyboardInterrupt", "CancelledError")
_WALL = "a cell may run for {} there (--max-cell-minutes), and this one has."
_CPU = "a cell may use the processors for {} there (--max-cell-cpu-minutes), and this one has."


class CellTime:
    """Interrupts the cells of one session that run for more than `wall_s` seconds, or use the
    processors for more than `cpu_s` together with their child processes; 0 for no limit.

    The processors' time is that of the kernel's process: of threads that earlier cells have left in
    it, too.
    """

    def __init__(self, session: "Session", wall_s: float, cpu_s: float, log: logging.Logger):
        self._session = session
        self._log = log
        self._wall_s, self._cpu_s = wall_s or float("inf"), cpu_s or float("inf")
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def begun(self, cell: Cell) -> None:
        """The code of a cell has begun, or a proxy that was started since finds it running."""
        if min(self._wall_s, self._cpu_s) < float("inf") and cell.id not in self._timers:
            self._look(cell, asyncio.get_running_loop().time(), self._used())

    def ended(self, identifier: str | None) -> None:
        """The code of a cell has ended, if it was one."""
        if timer := self._timers.pop(identifier or "", None):
            timer.cancel()

    def close(self) -> None:
        """Interrupt nothing any more."""
        for identifier in list(self._timers):
            self.ended(identifier)

    def _used(self) -> float:
        kernel = self._session.life.kernel
        return kernel.process.cpu_s() if kernel and self._cpu_s < float("inf") else 0

    def _look(self, cell: Cell, began: float, used_before: float) -> None:
        """Interrupt a cell that is over a limit, and look at others when they can be."""
        loop = asyncio.get_running_loop()
        wall_left = began + self._wall_s - loop.time()
        cpu_left = used_before + self._cpu_s - self._used()
        if wall_left <= 0:
            self._interrupt(cell, "--max-cell-minutes", _WALL, self._wall_s)
        elif cpu_left <= 0:
            self._interrupt(cell, "--max-cell-cpu-minutes", _CPU, self._cpu_s)
        else:
            # It can use all processors at once.
            soonest = min(wall_left, cpu_left / (os.cpu_count() or 1))
            self._timers[cell.id] = loop.call_later(
                max(LOOK_EVERY_S, soonest), self._look, cell, began, used_before
            )

    def _interrupt(self, cell: Cell, option: str, why: str, limit_s: float) -> None:
        if cell.reply is not None:
            # Its values are on their way.
            return
        cell.over_limit = why.format(duration(limit_s))
        journal.limit(self._log, option, session=self._session.id[:6])
        self._timers[cell.id] = asyncio.get_running_loop().call_later(
            min(GRACE_S, limit_s), self._restart, cell.over_limit
        )
        text = f"Interrupted by the server: {cell.over_limit}"
        self._session.emit("iopub", "notice", {"text": text}, cell.header)
        self._session.run(self._stop(cell))

    async def _stop(self, cell: Cell) -> None:
        await interrupts.interrupt(self._session, cell.id)

    def _restart(self, over_limit: str) -> None:
        why = (
            "The remote kernel was restarted by the server, because a cell did not end when it was "
            f"interrupted: {over_limit} The variables are gone: run the cells that define what you "
            "need again."
        )
        self._session.run(self._session.life.give_up(why))

    def explain(self, cell: Cell | None, message: dict[str, bytes]) -> dict[str, bytes]:
        """Return the reply to a cell, which says so if a limit has ended it."""
        if cell is None or not cell.over_limit:
            return message
        content = json.loads(message["content"])
        if content.get("ename") not in _INTERRUPTS:
            return message
        content["ename"], content["evalue"] = _INTERRUPTS[0], cell.over_limit
        last = f"{_INTERRUPTS[0]}: {cell.over_limit}"
        content["traceback"] = [*content.get("traceback", ()), last]
        return {**message, "content": json.dumps(content).encode()}
