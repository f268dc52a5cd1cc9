"""What the page's Stop button stops."""

import asyncio
import contextlib

from ._errors import stopped_here


class Stops:
    """What waits in the notebook, the innermost last; Stop is for that."""

    def __init__(self):
        self._waiting = []

    @contextlib.contextmanager
    def by(self, stop):
        """Have Stop call `stop()` meanwhile."""
        self._waiting.append(stop)
        try:
            yield
        finally:
            self._waiting.remove(stop)

    def stop(self):
        """Stop what waits; nothing happens when nothing does."""
        if self._waiting:
            self._waiting[-1]()

    async def wait(self, coroutine, text):
        """Wait for a coroutine, which Stop cancels; the KeyboardInterrupt then says `text`."""
        stopped = asyncio.get_running_loop().create_future()

        def stop():
            if not stopped.done():
                stopped.set_result(None)

        with self.by(stop):
            return await unless(stopped, coroutine, text)


async def unless(stopped, coroutine, text):
    """Return what a coroutine returns. When the future `stopped` is done before, cancel it, wait for
    its end, and raise KeyboardInterrupt with `text`."""
    # Not the task's own result, which may be an array: what Pyodide's loop has called lives, with the
    # task that it was about, until the collector comes by (314).
    results = []

    async def run():
        results.append(await coroutine)

    task = asyncio.ensure_future(run())
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.cancelled():
        raise stopped_here(text)
    task.result()
    return results.pop()
