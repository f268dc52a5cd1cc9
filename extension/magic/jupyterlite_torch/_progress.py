"""A bar in a cell's output area while arrays are on their way."""

import asyncio
import collections
import contextlib
import secrets

from ._size import human_size

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
        self._label, self._total = label, total
        self._done = 0
        self._samples = collections.deque()

    def moved(self, count):
        """Note that `count` more bytes are there."""
        self._done += count

    def line(self, now):
        """Return the bar with bytes, rate and time left, to be asked for at rising times."""
        self._samples.append((now, self._done))
        while now - self._samples[0][0] > RATE_OVER_S:
            self._samples.popleft()
        began, before = self._samples[0]
        rate = (self._done - before) / (now - began) if now > began else 0
        done = min(self._done, self._total)
        full = WIDTH * done // self._total
        parts = [
            f"{self._label}  {'█' * full}{'░' * (WIDTH - full)}  {human_size(done)} of {human_size(self._total)}"
        ]
        if rate:
            parts += [f"{human_size(rate)}/s", _left((self._total - done) / rate)]
        elif now > began:
            parts.append("waiting")
        return ", ".join(parts)


def _left(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
    return f"{clock} left" if hours or minutes else f"{seconds} s left"


@contextlib.contextmanager
def shown(output, label, total):
    """Show a transfer in the output area of a cell while it lasts, if it lasts; gives its Progress.
    `output` None shows nothing.

    The bar is gone afterwards: a notebook that is saved keeps what its cells say.
    """
    progress = Progress(label, total)
    if output is None:
        yield progress
        return
    loop = asyncio.get_running_loop()
    identifier, update = secrets.token_hex(8), False
    progress.line(loop.time())

    def show():
        nonlocal timer, update
        output.display(progress.line(loop.time()), identifier, update)
        update = True
        timer = loop.call_later(EVERY_S, show)

    timer = loop.call_later(AFTER_S, show)
    try:
        yield progress
    finally:
        timer.cancel()
        if update:
            output.display(None, identifier, update)
