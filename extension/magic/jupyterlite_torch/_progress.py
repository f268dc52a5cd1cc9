"""A bar in a cell's output area, and in the page, while arrays are on their way."""

import asyncio
import collections
import contextlib
import secrets

from ._size import human_size
from ._transfers import Cancelled

#: Seconds until a bar is shown; most transfers are done by then.
AFTER_S = 0.3
#: Seconds between two updates.
EVERY_S = 0.25
#: The rate is that of the last so many seconds.
RATE_OVER_S = 3
WIDTH = 24


class Progress:
    """How far one transfer of `total` bytes is. `label` says what goes where."""

    def __init__(self, label, total):
        self.label, self.total = label, total
        #: Seconds until the end, as the last line says; None for unknown.
        self.left = None
        self._done = 0
        self._samples = collections.deque()

    def moved(self, count):
        """Note that `count` more bytes are there."""
        self._done += count

    @property
    def done(self):
        """How many bytes are there."""
        return min(self._done, self.total)

    def line(self, now):
        """Return the bar with bytes, rate and time left, to be asked for at rising times."""
        self._samples.append((now, self._done))
        while now - self._samples[0][0] > RATE_OVER_S:
            self._samples.popleft()
        began, before = self._samples[0]
        rate = (self._done - before) / (now - began) if now > began else 0
        done, total = self.done, self.total
        full = WIDTH * done // total
        self.left = (total - done) / rate if rate else None
        parts = [
            f"{self.label}  {'█' * full}{'░' * (WIDTH - full)}  {human_size(done)} of {human_size(total)}"
        ]
        if rate:
            parts += [f"{human_size(rate)}/s", _left(self.left)]
        elif now > began:
            parts.append("waiting")
        return ", ".join(parts)


def _left(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{clock} left" if hours or minutes else f"{seconds} s left"


@contextlib.contextmanager
def shown(output, label, total, transfers=None):
    """Show a transfer in the output area of a cell, and to the page by Transfers, while it lasts, if
    it lasts; gives its Progress. `output` None shows nothing.

    The bar is gone afterwards: a notebook that is saved keeps what its cells say. Cancelled when the
    person cancels it.
    """
    progress = Progress(label, total)
    if output is None:
        yield progress
        return
    loop = asyncio.get_running_loop()
    identifier, update = secrets.token_hex(8), False
    task = asyncio.current_task()
    progress.line(loop.time())

    def show():
        nonlocal timer, update
        output.display(progress.line(loop.time()), identifier, update)
        update = True
        if transfers is not None:
            now = progress.done, total, progress.left
            transfers.show(identifier, label, *now, task)
        timer = loop.call_later(EVERY_S, show)

    def ended():
        return transfers is not None and transfers.end(identifier)

    timer = loop.call_later(AFTER_S, show)
    try:
        yield progress
    except asyncio.CancelledError:
        if ended():
            task.uncancel()
            raise Cancelled from None
        raise
    finally:
        ended()
        timer.cancel()
        if update:
            output.display(None, identifier, update)
