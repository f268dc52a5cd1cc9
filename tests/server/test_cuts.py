"""A line that breaks anywhere: what is printed, sent and brought back is there once, and in order."""

import asyncio
import collections
import dataclasses
import hashlib

import numpy as np
import pytest
from relay import DOWN, UP, Fate

from jupyterlite_torch import _channel

CUTS = 200
# Below the 64 MiB that a proxy keeps in memory for a page that is away.
LINES, LINE_BYTES = 2600, 20_000

PRINTS = f"""\
import hashlib, time
for i in range({LINES}):
    print(hashlib.shake_128(str(i).encode()).hexdigest({LINE_BYTES // 2}), flush=True)
    time.sleep(0.002)
runs = globals().get("runs", 0) + 1"""


@pytest.fixture
def soon_silent(monkeypatch):
    """A line is taken for broken sooner, so that a test need not wait."""
    monkeypatch.setattr(_channel, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(_channel, "SILENCE_S", 1)


class Fates:
    """A random Fate for each connection from `begin` to `end`; `kinds` counts which there were."""

    def __init__(self, rng):
        self.kinds = collections.Counter()
        self._rng = rng
        self._begun = False

    def begin(self):
        self._begun = True

    def end(self):
        self._begun = False

    def __call__(self, number):
        if not self._begun:
            return None
        rng = self._rng
        where = rng.choices(["handshake", "resume", "frame"], [1, 2, 7])[0]
        how = rng.choices(["reset", "orderly", "silent"], [24, 10, 1])[0]
        slow = rng.random() < 0.1
        self.kinds.update([where, how, "slow" if slow else "fast"])
        if where == "handshake":
            fate = Fate(rng.choice([UP, DOWN]), rng.randrange(130))
        elif where == "resume":
            fate = Fate(rng.choice([UP, DOWN]), rng.randrange(250), past_head=True)
        else:
            fate = Fate(DOWN, rng.randrange(400, 560_000), past_head=True)
        fate.orderly, fate.silent = how == "orderly", how == "silent"
        fate.delay_s = 0.03 if slow else 0
        return fate


def test_output_over_200_cuts(start_relay, open_notebook, rng, capsys, soon_silent):
    fates = Fates(rng)
    relay = start_relay(fate=fates)
    notebook = open_notebook(url=relay.url)
    fates.begin()
    # The one that is open already has no fate yet.
    relay.cut_after(100_000, DOWN)
    notebook.torch(PRINTS)
    fates.end()
    got, told = capsys.readouterr()
    got = got.split("\n")
    for i in range(LINES):
        expected = hashlib.shake_128(str(i).encode()).hexdigest(LINE_BYTES // 2)
        assert got[i] == expected, f"line {i} of {len(got)} is another one"
    assert got[LINES:] == [""]
    assert notebook.names["runs"] == 1
    assert "lost" not in told.replace("nothing was lost", "")
    assert relay.cuts >= CUTS
    assert len(fates.kinds) == 8, fates.kinds


def test_transfers_of_several_notebooks_over_cuts(start_relay, open_notebook, loop, rng):
    """Both ways at once; each download is a connection of its own."""
    cuts = iter(range(40))

    def fate(number):
        if begun and next(cuts, None) is not None:
            # A download has little to say upwards, and is not cut there.
            way = rng.choice([UP, DOWN, DOWN])
            return Fate(way, rng.randrange(200, 2**20), orderly=number % 2)

    begun = False
    relay = start_relay(fate=fate)
    notebooks = [open_notebook(url=relay.url) for _ in range(3)]
    for i, each in enumerate(notebooks):
        each.names["x"] = np.random.default_rng(i).integers(0, 2**60, 2**21)
    begun = True
    relay.cut_after(2**20, UP)

    body = "y = ~x\nz = x.flip(0)\ntotal = x.sum()\nruns = globals().get('runs', 0) + 1"

    async def there_and_back(notebook):
        await notebook.run_cell("", body)
        # As a local cell of this text has it fetched.
        await notebook.bring("y.ravel(), z.ravel()")

    async def run():
        await asyncio.gather(*(there_and_back(each.notebook) for each in notebooks))

    loop.run_until_complete(run())
    begun = False
    for each in notebooks:
        x = each.names["x"]
        assert (each.names["y"] == ~x).all() and (each.names["z"] == x[::-1]).all()
        assert each.names["total"] == x.sum() and each.names["runs"] == 1
    assert relay.cuts >= 5


@pytest.mark.parametrize("count", [0, 1, 500, 150_000])
def test_request_that_is_cut_runs_once(start_relay, open_notebook, tmp_path, capsys, count):
    relay = start_relay()
    notebook = open_notebook(url=relay.url)
    notebook.torch("x = 0")
    relay.cut_after(count, UP)
    ran = tmp_path / "ran"
    notebook.torch(f"#{'-' * 200_000}\nopen({str(ran)!r}, 'a').write('x')\nprint('once'); x = 1")
    assert relay.cuts == 1
    # Behind whatever else has been asked of the kernel.
    notebook.torch("there = x", "--no-auto -o there")
    assert ran.read_text() == "x" and notebook.names["there"] == 1
    assert capsys.readouterr().out == "once\n"


def test_cut_between_request_and_acceptance_runs_once(
    start_relay, open_notebook, loop, tmp_path, capsys
):
    """The kernel has run the cell, and the page has not heard a word of it."""
    relay = start_relay()
    notebook = open_notebook(url=relay.url)
    notebook.torch("x = 0")
    ran = tmp_path / "ran"

    def cut_when_it_ran():
        if ran.exists():
            relay.cut()
        else:
            loop.call_later(0.01, cut_when_it_ran)

    relay.drop(DOWN)
    cut_when_it_ran()
    notebook.torch(f"open({str(ran)!r}, 'a').write('x')\nprint('once')\nx += 1")
    assert relay.cuts == 1
    # Behind whatever else has been asked of the kernel.
    notebook.torch("there = x", "--no-auto -o there")
    assert ran.read_text() == "x" and notebook.names["there"] == 1
    assert capsys.readouterr().out == "once\n"


@pytest.mark.parametrize("directions", [(UP,), (DOWN,), (UP, DOWN)])
def test_line_that_swallows_everything_is_found_broken(
    start_relay, open_notebook, soon_silent, capsys, directions
):
    """Nobody ends the connection; only silence tells."""
    relay = start_relay()
    notebook = open_notebook(url=relay.url)
    notebook.torch("x = 0")
    relay.drop(*directions)
    notebook.torch("print('once')\nx += 1")
    assert notebook.names["x"] == 1
    assert capsys.readouterr().out == "once\n"


def test_line_that_swallows_the_rest_of_a_cell_is_found_broken(
    start_relay, open_notebook, soon_silent, capsys, on_print
):
    relay = start_relay()
    notebook = open_notebook(url=relay.url)
    on_print("line 10;", lambda: relay.drop(DOWN))
    notebook.torch(
        "import time\nfor i in range(100):\n    print(f'line {i};', flush=True)\n    time.sleep(0.01)"
    )
    assert capsys.readouterr().out.splitlines() == [f"line {i};" for i in range(100)]


@pytest.mark.parametrize("fate", [Fate(UP, 0), Fate(DOWN, 50), Fate(UP, 40, past_head=True)])
def test_server_that_accepts_and_says_nothing(
    start_relay, open_notebook, soon_silent, capsys, on_print, tmp_path, fate
):
    """Behind a cut come two connections that hang: in the handshake, or after it."""
    fates = iter([])
    relay = start_relay(fate=lambda number: next(fates, None))
    notebook = open_notebook(url=relay.url)

    def cut():
        nonlocal fates
        fates = iter([dataclasses.replace(fate, silent=True) for _ in range(2)])
        relay.cut()
        gate.touch()

    on_print("begun", cut)
    gate = tmp_path / "gate"
    notebook.torch(
        "import os, time\nprint('begun', flush=True)\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\nprint('ended')"
    )
    assert capsys.readouterr().out == "begun\nended\n"
    assert relay.cuts == 3 and next(fates, None) is None
