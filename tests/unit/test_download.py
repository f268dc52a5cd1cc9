"""What a page tells the server of its line, so that a download comes coded or not."""

import asyncio
from unittest.mock import Mock

import numpy as np

from jupyterlite_torch import _arrays, _safetensors
from jupyterlite_torch._checksum import BLOCK_BYTES, packed
from jupyterlite_torch._download import Download, Link, Sink, wanted_bytes


def asked_rate(*carried):
    link = Link()
    for each in carried:
        link.carried(*each)
    return wanted_bytes(0, None, link).get("Torch-Rate")


def test_an_unknown_line_is_not_told():
    assert asked_rate() is None


def test_a_slow_line_is_told_in_bytes_per_second():
    assert asked_rate((20e6, 2, False)) == "10000000"


def test_a_line_as_fast_as_the_machines_is_not_told():
    assert asked_rate((10e6, 1, False), (300e6, 1, False)) is None


def test_a_gigabit_is_slow_and_more_is_not():
    assert asked_rate((118e6, 1, False)) == "118000000"
    assert asked_rate((130e6, 1, False)) is None


def test_what_the_page_does_with_the_bytes_is_not_the_lines_time():
    """Of 16 MiB, each read takes a millisecond and each checksum a second, on a clock of their own."""
    data = bytes(16 * BLOCK_BYTES)
    header, _ = _safetensors.layout([_safetensors.Entry("0", "U8", (len(data),))])
    sums = packed(_arrays.checksums(np.frombuffer(data, "u1")))
    file = memoryview(header + data + sums)
    link, seconds = Link(), 0

    class Stream:
        ratio = 1

        def __init__(self, start):
            self.place, self.size = start, len(file) - start

        async def read_into(self, view):
            nonlocal seconds
            seconds += 0.001
            part = file[self.place : self.place + len(view)]
            view[: len(part)] = part
            self.place += len(part)
            return len(part)

        def close(self):
            pass

    def checksum(view):
        nonlocal seconds
        seconds += 1
        return _arrays.block_checksum(view)

    async def open_range(start, stop):
        return Stream(start)

    async def run():
        asyncio.get_running_loop().time = lambda: seconds
        incoming = _arrays.Incoming("x", "U8", (len(data),))
        sink = Sink("x", incoming, Mock(), Mock(), checksum)
        await Download(open_range, sink, link).run()

    asyncio.run(run())
    assert seconds > 16 and link.rate > 1e9


def test_what_is_coded_only_raises_the_rate():
    assert asked_rate((100e6, 1, False), (5e6, 1, True)) == "100000000"
    assert asked_rate((5e6, 1, False), (100e6, 1, True)) == "100000000"
    # What is not coded says what the line carries now.
    assert asked_rate((100e6, 1, False), (5e6, 1, False)) == "5000000"
