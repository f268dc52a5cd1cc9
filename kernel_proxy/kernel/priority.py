"""How kernels share the processors: what runs for long gives way to the short cells of others."""

import asyncio
import errno
from pathlib import Path

#: A cell gives way when it has run for so long, in seconds.
LONG_S = 1.0
#: As of a process with this niceness, to which Linux gives about a third of what others get.
NICENESS = 5
#: Linux refuses changes that come faster than one in a tenth of a second, of all processes together.
_RETRY_S = 0.25


class Priority:
    """That of one kernel and of what it starts, by the group in which Linux's scheduler puts a session
    of processes (sched(7), autogroup). A process may not take back its own niceness; this it may.

    Nothing happens where there are no such groups: on other systems, or where the administrator shares
    the processors by cgroups. `pid`: None for a process that is not on this machine. `lowered`: an
    earlier proxy may have left it low.
    """

    def __init__(self, pid: int | None, lowered: bool = False):
        self._file = Path(f"/proc/{pid}/autogroup")
        self._lowered = lowered
        self._timer: asyncio.TimerHandle | None = None

    def begun(self) -> None:
        """A cell runs."""
        self._after(LONG_S, True)

    def ended(self) -> None:
        """It runs no more."""
        self.close()
        if self._lowered:
            self._set(False)

    def close(self) -> None:
        """Change nothing any more."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _after(self, seconds: float, lowered: bool) -> None:
        self.close()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._set, lowered)

    def _set(self, lowered: bool) -> None:
        try:
            self._file.write_text(str(NICENESS if lowered else 0))
        except OSError as error:
            if error.errno == errno.EAGAIN:
                self._after(_RETRY_S, lowered)
            return
        self._lowered = lowered
