"""What is kept of a session for a proxy that is started after this one."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ..operations import journal
from .cells import Cell, Cells
from .idle import moment
from .state import SessionFolder

#: In which more of the state may change before it is saved, in seconds.
SAVE_DELAY_S = 0.1


class Record:
    """Saves the state of one session, which is called `name` in the log, until it is closed.

    `quiet_s()`: for how many seconds nothing has happened in it.
    """

    def __init__(
        self,
        name: str,
        folder: SessionFolder,
        cells: Cells,
        quiet_s: Callable[[], float],
        logger: logging.Logger,
    ):
        self._name = name
        self._quiet_s = quiet_s
        self._folder = folder
        self._cells = cells
        self._logger = logger
        self._saving: asyncio.TimerHandle | None = None
        self._closed = False

    def note_sent(self, cell: Cell) -> None:
        """Note of a cell that it goes to the kernel, before it does: it may be lost with this process,
        and is never run twice."""
        note = {"cell": vars(cell), "active": moment(self._quiet_s())}
        self._attempt(lambda: self._folder.note("sent", note))

    def save_cells(self) -> None:
        """Save what cells there are and how far they have come."""
        if self._saving:
            self._saving.cancel()
            self._saving = None
        if self.save("cells", {**self._cells.record(), "active": moment(self._quiet_s())}):
            self._attempt(lambda: self._folder.drop_notes("sent"))

    def save_cells_soon(self) -> None:
        """Save what the log says as well, or what does no harm if it is lost."""
        if self._saving is None:
            loop = asyncio.get_running_loop()
            self._saving = loop.call_later(SAVE_DELAY_S, self.save_cells)

    def save(self, name: str, content: Any) -> bool:
        """Keep `content` under `name`; False if that can not be."""
        return self._attempt(lambda: self._folder.save(name, content))

    def _attempt(self, action: Callable[[], None]) -> bool:
        if self._closed:
            return False
        try:
            action()
        except OSError as error:
            # The cell goes on; only a proxy that is started again will not know of it.
            journal.note(
                self._logger,
                "state not saved",
                logging.ERROR,
                session=self._name,
                error=error.strerror,
            )
            return False
        return True

    def close(self) -> None:
        """Save nothing any more."""
        self._closed = True
        if self._saving:
            self._saving.cancel()
            self._saving = None
