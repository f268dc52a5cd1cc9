"""The bar of a transfer: what it says, and when it is there."""

import asyncio

import pytest

from jupyterlite_torch import _progress


class Area:
    """Takes what an output area is told."""

    def __init__(self):
        self.shown = []

    def display(self, text, identifier, update=False):
        assert update == bool(self.shown)
        self.shown.append(text)
        if len(self.shown) == 3:
            self.third.set()


def test_line_has_bytes_rate_and_time_left():
    progress = _progress.Progress("x to the server", 400 * 2**20)
    progress.line(0)
    progress.moved(100 * 2**20)
    line = progress.line(2)
    assert line.startswith("x to the server  ██████░")
    assert line.endswith("100 MiB of 400 MiB, 50 MiB/s, 6 s left")


def test_line_says_when_nothing_moves():
    progress = _progress.Progress("x", 1000)
    progress.line(0)
    progress.moved(500)
    assert "/s" in progress.line(1)
    for now in range(2, 10):
        line = progress.line(now)
    assert line.endswith("500 bytes of 1000 bytes, waiting")


def test_minutes_and_hours():
    assert _progress._left(59) == "59 s left"
    assert _progress._left(61) == "1:01 left"
    assert _progress._left(3661) == "1:01:01 left"


def test_short_transfer_shows_nothing():
    area = Area()

    async def run():
        with _progress.shown(area, "x", 100) as progress:
            progress.moved(100)
            await asyncio.sleep(0)

    asyncio.run(run())
    assert area.shown == []


def test_bar_goes_when_the_transfer_ends_or_fails(monkeypatch):
    monkeypatch.setattr(_progress, "AFTER_S", 0.01)
    monkeypatch.setattr(_progress, "EVERY_S", 0.01)
    area = Area()

    async def run():
        with _progress.shown(area, "x", 100) as progress:
            progress.moved(50)
            area.third = asyncio.Event()
            await area.third.wait()
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(run())
    assert "50 bytes of 100 bytes" in area.shown[0]
    assert area.shown[-1] is None and area.shown.count(None) == 1
