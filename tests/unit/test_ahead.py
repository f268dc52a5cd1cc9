"""The meeting of two requests for one tensor, in the proxy."""

import asyncio

import pytest

from kernel_proxy.errors import Refused
from kernel_proxy.tensors import ahead
from kernel_proxy.tensors.ahead import MOST, Ahead

NAME = "a-name-of-the-page"


def test_nothing_is_kept_of_what_nobody_asks_for(monkeypatch):
    monkeypatch.setattr(ahead, "LIFETIME_S", 0)

    async def run():
        meeting = Ahead()
        waiting = asyncio.ensure_future(meeting.handle(NAME))
        meeting.tell(f"{NAME}-other", "handle")
        with pytest.raises(Refused):
            await waiting
        assert not meeting._handles

    asyncio.run(run())


def test_so_many_wait_and_one_more_is_refused_at_once():
    async def run():
        meeting = Ahead()
        waiting = [asyncio.ensure_future(meeting.handle(f"{NAME}-{n}")) for n in range(MOST)]
        # Behind the others.
        one_more = asyncio.ensure_future(meeting.handle(NAME))
        with pytest.raises(Refused):
            await one_more
        meeting.tell(NAME, "handle")
        for number in range(MOST):
            meeting.tell(f"{NAME}-{number}", f"handle-{number}")
        assert await asyncio.gather(*waiting) == [f"handle-{n}" for n in range(MOST)]

    asyncio.run(run())


@pytest.mark.parametrize("name", [None, 7, ["x"], "short", "x" * 65, "half a character \ud800"])
def test_what_is_no_name_is_nobodys(name):
    async def run():
        meeting = Ahead()
        meeting.tell(name, "handle")
        assert not meeting._handles

    asyncio.run(run())
