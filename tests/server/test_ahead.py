"""A large array's bytes are asked for at once with the array, and not only when its handle is known."""

import asyncio
import secrets

import numpy as np
import pytest
from native_transport import NativeTransport

from jupyterlite_torch._download import SLOW_BYTES_PER_S
from jupyterlite_torch._errors import TransferError

MIB = 2**20
LARGE = "y = torch.arange(2**20, dtype=torch.float64)"
VALUES = np.arange(2**20)


@pytest.fixture
def asked(monkeypatch):
    """What is asked for, as (the headers that say what, the name of the error or None); a request for
    which `asked.fails(headers)` is true is not made."""
    open_range = NativeTransport._open_range

    class Asked(list):
        fails = staticmethod(lambda headers: False)

    asked = Asked()

    async def noted(transport, path, headers, start, stop):
        (what,) = {key for key in headers if key in ("Torch-Ahead", "Torch-Handle")}
        number = len(asked)
        asked.append((what, None))
        try:
            if asked.fails(headers):
                raise ConnectionError
            return await open_range(transport, path, headers, start, stop)
        except BaseException as raised:
            asked[number] = what, type(raised).__name__
            raise

    monkeypatch.setattr(NativeTransport, "_open_range", noted)
    return asked


def test_large_array_is_asked_for_once(notebook, asked):
    notebook.torch(LARGE)
    notebook.local("id(y)")
    assert (notebook.names["y"] == VALUES).all()
    assert asked == [("Torch-Ahead", None)]


def test_array_arrives_if_it_can_not_be_asked_for_ahead(notebook, asked):
    asked.fails = lambda headers: "Torch-Ahead" in headers
    notebook.torch(LARGE)
    notebook.local("id(y)")
    assert (notebook.names["y"] == VALUES).all()
    assert asked == [("Torch-Ahead", "ConnectionError"), ("Torch-Handle", None)]


def test_array_that_is_gone_is_not_waited_for(notebook, asked):
    notebook.torch(LARGE)
    notebook.torch("y = 1", "--no-auto")
    with pytest.raises(TransferError, match="the value that `y` had is not on the server"):
        notebook.local("id(y)")
    assert [what for what, _ in asked] == ["Torch-Ahead"]


@pytest.mark.parametrize("index", [slice(2**19, None), (..., slice(None, None, 2)), None])
def test_large_part_is_asked_for_once(notebook, asked, index):
    notebook.torch(LARGE)
    assert np.array_equal(notebook.names["y"][index], VALUES[index])
    assert asked == [("Torch-Ahead", None)]


def test_many_together_are_asked_for_once(notebook, asked):
    # Of a slow line, which loopback is where other tests take the processors, the rest is asked for again.
    notebook.connection.transport.link.rate = 10 * SLOW_BYTES_PER_S
    notebook.torch("many = [torch.full((2**18,), each) for each in range(10)]")
    notebook.local("total = sum(map(sum, many))")
    assert notebook.names["total"] == 45 * 2**18 and asked == [("Torch-Ahead", None)]


@pytest.mark.parametrize(
    "cell",
    [
        "y[:10]",
        "y[::1024]",
        "y[[1, 2]]",
        "y[np.arange(2**20) < 5]",
        "y[5]",
        "y.sum()",
        "[many]",
        "[z, z]",
    ],
)
def test_what_is_small_comes_with_the_reply(notebook, asked, cell):
    notebook.torch(
        LARGE + "\nmany = list(torch.zeros(1000, 1024))\nz = torch.zeros(2**17)", "--eager 0"
    )
    notebook.local(f"np = __import__('numpy'); {cell}")
    assert not asked


@pytest.mark.parametrize("bytes_first", [True, False])
def test_either_request_may_come_first(notebook, bytes_first):
    notebook.torch(LARGE)
    _, handle = notebook.names["y"].handle
    channel, transport = notebook.connection.channel, notebook.connection.transport
    ahead = secrets.token_urlsafe(18)
    content = {"operation": "get", "handle": handle, "eager": 0, "limit": 2**30, "ahead": ahead}
    headers = {**channel.session_headers, "Torch-Ahead": ahead}

    async def both():
        asking = [
            lambda: transport._open_range("tensors", headers, 0, None),
            lambda: channel.request("use_request", content),
        ]
        first, second = asking if bytes_first else asking[::-1]
        first = asyncio.ensure_future(first())
        if bytes_first:
            # A name that the server does not know yet is waited for.
            await asyncio.wait([first], timeout=0.5)
            assert not first.done()
        else:
            await first
        await second()
        stream = await (first if bytes_first else asking[0]())
        stream.close()
        return stream.size

    assert notebook.wait(both()) > 8 * MIB


@pytest.mark.parametrize("ahead", ["short", "x" * 65, "with spaces in it", "\N{SNOWMAN}" * 20, ""])
def test_bad_name_is_refused_at_once(notebook, ahead):
    channel, transport = notebook.connection.channel, notebook.connection.transport
    headers = {**channel.session_headers, "Torch-Ahead": ahead.encode().decode("latin-1")}
    with pytest.raises(TransferError, match="Nothing came that is to be fetched"):
        notebook.wait(transport._open_range("tensors", headers, 0, None))
