"""Transfers as the page is told of them, and as a person cancels one there."""

import asyncio

import numpy as np
import pytest
from relay import UP, Fate

from jupyterlite_torch import _progress
from jupyterlite_torch._errors import TransferError

MIB = 2**20


@pytest.fixture
def slow(start_relay, open_notebook, monkeypatch):
    """A notebook behind a slow line. With `cancel()` the next transfer is cancelled when it shows."""
    monkeypatch.setattr(_progress, "AFTER_S", 0.05)
    monkeypatch.setattr(_progress, "EVERY_S", 0.05)
    relay = start_relay(fate=lambda number: Fate(UP, 2**40, delay_s=0.005))
    notebook = open_notebook(url=relay.url)
    tell, waiting = notebook.page.tell, []

    def told(**message):
        tell(**message)
        if message["type"] == "transfer" and waiting:
            waiting.clear()
            notebook.connection.transfers.cancel(message["id"])

    monkeypatch.setattr(notebook.page, "tell", told)
    notebook.cancel = lambda: waiting.append(True)
    return notebook


@pytest.fixture
def stuck(slow, monkeypatch):
    """Have the next download come no further than its first KiB."""
    transport = slow.connection.transport
    download = transport.download

    async def stay(path, headers, sink, ahead):
        monkeypatch.setattr(transport, "download", download)
        sink.moved(1024)
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(transport, "download", stay)


def transfers(notebook):
    """Return what the page was told of transfers, and forget it."""
    told = [each for each in notebook.page.told if each["type"].startswith("transfer")]
    notebook.page.told.clear()
    return told


def check(told, name, total):
    """One transfer, as far as it came, and its end."""
    *shown, ended = told
    assert len(shown) > 0 and ended == {"type": "transfer-ended", "id": shown[0]["id"]}
    for each in shown:
        assert (each["id"], each["name"], each["total"]) == (ended["id"], name, total)
    done = [each["done"] for each in shown]
    assert done == sorted(done) and 0 <= done[0] and done[-1] <= total


def test_the_page_is_told_how_far_transfers_are(slow):
    slow.names["x"] = np.ones(MIB)
    slow.torch("y = x + 1", "--eager 0")
    check(transfers(slow), "`x` to the server", 8 * MIB + 128)
    slow.local("id(y)")
    told = transfers(slow)
    check(told, "`y` from the server", 8 * MIB)
    assert all(isinstance(each["left"], float | None) for each in told[:-1])


def test_a_push_that_is_cancelled(slow):
    slow.names["x"] = np.ones(MIB)
    slow.cancel()
    with pytest.raises(KeyboardInterrupt, match="the cell did not run there"):
        slow.torch("y = x")
    check(transfers(slow), "`x` to the server", 8 * MIB + 128)
    assert "y" not in slow.names
    assert slow.torch("len(x)") == MIB


def test_a_fetch_that_is_cancelled(slow, stuck):
    slow.torch("y = torch.ones(2**20, dtype=torch.float64)")
    array = slow.names["y"]
    slow.cancel()
    with pytest.raises(TransferError, match="`y` was cancelled on its way. It is still on the ser"):
        slow.local("id(y)")
    told = transfers(slow)
    check(told, "`y` from the server", 8 * MIB)
    assert told[0]["done"] == 1024
    assert (slow.wait(array.fetch()) == np.ones(MIB)).all()


def test_many_that_are_cancelled_together(slow, stuck):
    slow.torch("y = [torch.ones(2**17, dtype=torch.float64) for _ in range(12)]")
    slow.cancel()
    with pytest.raises(TransferError, match="`y` was cancelled on its way. It is still on the ser"):
        slow.local("id(y)")
    check(transfers(slow), "`y` from the server", 10 * MIB)
    assert all(each.fetched is None for each in slow.names["y"][2:])
    slow.local("id(y)")
    assert all((each == np.ones(2**17)).all() for each in slow.names["y"])


def test_values_of_a_cell_that_are_cancelled(slow, stuck):
    slow.cancel()
    with pytest.raises(KeyboardInterrupt, match="those that did not arrive are on the server"):
        slow.torch("n = 1; y = torch.ones(3 * 2**20)", "--eager 64MiB")
    assert slow.names["n"] == 1 and "y" not in slow.names
    slow.torch("1", "-o y --eager 64MiB")
    assert (slow.names["y"] == np.ones(3 * MIB)).all()


def test_what_has_ended_is_not_cancelled(slow):
    slow.names["x"] = np.ones(MIB)
    slow.torch("1", "-i x")
    ended = transfers(slow)[-1]
    slow.connection.transfers.cancel(ended["id"])
    slow.connection.transfers.cancel("unknown")
    assert slow.torch("len(x)") == MIB
