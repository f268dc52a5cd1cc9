"""How much GPU memory the tensors of a session have while a cell runs."""

import time
from typing import TYPE_CHECKING

from ..errors import AgentFailure

if TYPE_CHECKING:
    from .session import Session

#: For so many seconds an answer is taken for the present.
FRESH_S = 1.5


class GpuMemory:
    """Asks the kernel of one session aside of the cell that runs, and waits for no answer: code that
    holds Python's lock keeps the kernel from giving one."""

    def __init__(self, session: "Session"):
        self._session = session
        self._asking = False
        self._bytes: int | None = None
        self._at = float("-inf")

    def now(self) -> int | None:
        """Return the last answer, None for none or an old one; the next one is asked for."""
        age = time.monotonic() - self._at
        kernel = self._session.life.kernel
        on_gpu = kernel and str(kernel.description.get("device")).startswith("cuda")
        if on_gpu and not self._asking and age >= FRESH_S:
            self._asking = True
            self._session.run(self._ask())
        # A page asks every two seconds.
        return self._bytes if age < 4 * FRESH_S else None

    async def _ask(self) -> None:
        kernel = self._session.life.kernel
        try:
            if kernel is not None:
                self._bytes = (await kernel.call_aside("memory"))["gpu"]
                self._at = time.monotonic()
        except AgentFailure:
            # Of a kernel without subshells nobody can know.
            self._bytes = None
            self._at = time.monotonic()
        finally:
            self._asking = False
