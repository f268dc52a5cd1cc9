"""What a kernel says of the segments that it fills, and what it should not say."""

import asyncio
import errno
import os

import pytest

from kernel_proxy.errors import Refused
from kernel_proxy.tensors.filling import Filling
from kernel_proxy.tensors.segment import MARK

mark = MARK.pack


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield f"/proc/self/fd/{reader}", writer
    os.close(reader)


def test_reached_as_it_is_told(pipe):
    path, writer = pipe

    async def run():
        before = len(os.listdir("/proc/self/fd"))
        filling = Filling(path, {0: 100, 1: 50})
        waiting = [
            asyncio.ensure_future(filling.reach(*each)) for each in [(0, 40), (0, 41), (1, 1)]
        ]
        os.write(writer, mark(0, 40))
        await waiting[0]
        assert not waiting[1].done() and not waiting[2].done()
        # One of a number that nobody has given, and of one that comes in two pieces the first.
        pieces = mark(7, 99) + mark(0, 41), mark(1, 50)
        os.write(writer, pieces[0] + pieces[1][:5])
        await waiting[1]
        assert not waiting[2].done()
        os.write(writer, pieces[1][5:] + mark(-1, 3))
        await waiting[2]
        os.write(writer, mark(0, 100))
        await filling.reach(0, 100)
        # All is told, and it has let go of the pipe, which has a writer still.
        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(run())
    os.close(writer)


def test_one_that_failed_and_one_that_was_left(pipe):
    path, writer = pipe

    async def run():
        filling = Filling(path, {0: 100, 1: 100})
        os.write(writer, mark(0, -errno.ENOSPC) + mark(1, 60))
        await filling.reach(1, 60)
        with pytest.raises(Refused, match="No space left on device"):
            await filling.reach(0, 1)
        waiting = asyncio.ensure_future(filling.reach(1, 61))
        os.close(writer)
        with pytest.raises(Refused, match="the kernel ended"):
            await waiting

    asyncio.run(run())


def test_what_is_no_pipe(tmp_path):
    file = tmp_path / "file"
    file.touch()

    async def run():
        with pytest.raises(ValueError, match="is no pipe"):
            Filling(str(file), {0: 1})
        with pytest.raises(OSError):
            Filling(str(tmp_path / "none"), {0: 1})

    asyncio.run(run())
