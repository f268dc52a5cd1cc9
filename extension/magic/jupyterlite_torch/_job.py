"""A `%%torch --bg` cell: it runs on while other cells do."""

import asyncio
import time
import uuid

from ._errors import RemoteError, TorchError


class Job:
    """A cell in the background. What it assigns comes back when it ends.

    `await job` waits for that and returns the value of its last expression, or raises what the cell
    raised. `on_end()` is called when it has ended.
    """

    def __init__(self, name, cell, stops, on_end):
        self.name = name
        self._on_end = on_end
        self._cell = cell
        self._stops = stops
        self._began, self._ended = time.monotonic(), None
        self._value = self._error = None
        self._display = uuid.uuid4().hex
        cell.output.display(repr(self), self._display)
        cell.output.detach()
        self._task = asyncio.ensure_future(self._run())

    async def _run(self):
        try:
            self._value = await self._cell.finish()
            if self._cell.output.result is not None:
                self._cell.output.show_result(self._value)
        except (RemoteError, TorchError) as error:
            self._error = error
            self._cell.output.write("\n".join(error._render_traceback_()) + "\n", "stderr")
        finally:
            self._ended = time.monotonic()
            self._on_end()
            self._cell.output.display(repr(self), self._display, update=True)

    def done(self):
        """True when it has ended, well or not."""
        return self._task.done()

    def stop(self):
        """Interrupt it; nothing happens when it has ended."""
        if not self.done():
            self._cell.stop()

    def __await__(self):
        waiting = self._stops.wait(
            asyncio.shield(self._task), f"stopped waiting for {self.name}, which runs on."
        )
        yield from waiting.__await__()
        if self._error is not None:
            raise self._error
        return self._value

    def __repr__(self):
        seconds = (self._ended or time.monotonic()) - self._began
        how = "running" if self._ended is None else "done"
        if self._error is not None:
            how = f"ended with {type(self._error).__name__}"
        return f"<job {self.name}: {how}, {seconds:.1f} s>"
