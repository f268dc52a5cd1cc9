"""What happens to arrays on their way: bytes that change, memory that is full, a bar meanwhile."""

import contextlib
import re
import resource

import numpy as np
import pytest
from IPython.core.displaypub import DisplayPublisher
from native_notebook import NativeNotebook
from relay import DOWN, UP, Fate

from jupyterlite_torch import _download, _progress
from jupyterlite_torch._errors import TransferError

MIB = 2**20


@pytest.fixture
def altered(start_relay, open_notebook):
    """Make a notebook behind a line that changes bytes: `altered(direction, places)`, each place
    being how much of a connection comes before the changed byte. Gives the notebook and a list of
    what was changed."""

    def make(direction, places):
        changed, left = [], list(places)

        def alter(way, passed, data):
            if way == direction and left and passed <= left[0] < passed + len(data):
                data = bytearray(data)
                data[left[0] - passed] ^= 1
                changed.append(left.pop(0))
            return data

        relay = start_relay()
        notebook = open_notebook(url=relay.url)
        relay.alter = alter
        return notebook, changed

    return make


def counting(method, calls):
    async def counted(*arguments):
        calls.append(arguments)
        await method(*arguments)

    return counted


def test_block_that_arrives_changed_is_fetched_again(altered, monkeypatch):
    notebook, changed = altered(DOWN, [5 * MIB, 7 * MIB])
    fetches = []
    monkeypatch.setattr(
        _download.Download, "_repair", counting(_download.Download._repair, fetches)
    )
    notebook.torch("y = torch.arange(2**20, dtype=torch.float64)")
    notebook.local("id(y)")
    assert changed == [5 * MIB, 7 * MIB] and len(fetches) == 2
    assert (notebook.names["y"] == np.arange(2**20)).all()


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_checksum_that_arrives_changed_is_fetched_again(start_relay, open_notebook, dtype):
    relay, ends, changed = start_relay(), {}, []
    notebook = open_notebook(url=relay.url)

    def alter(way, passed, data):
        if way == DOWN and b"octet-stream" in data[:1000] and not changed:
            ends["file"] = (
                int(re.search(rb"Content-Length: (\d+)", data)[1]) + data.index(b"\r\n\r\n") + 4
            )
        # The lowest byte of the last checksum.
        place = ends.get("file", 0) - 8 - passed
        if way == DOWN and not changed and 0 <= place < len(data):
            data = bytearray(data)
            data[place] ^= 1
            changed.append(place)
        return data

    relay.alter = alter
    notebook.torch(f"y = torch.arange(2**20).to(torch.{dtype})")
    notebook.local("id(y)")
    assert changed
    notebook.torch("z = y.double()", "--eager 100MB")
    assert (notebook.names["y"] == notebook.names["z"]).all()


def test_block_that_stays_wrong_is_an_error_that_names_the_array(altered):
    # The block is fetched again by itself, when it is most of what comes.
    notebook, changed = altered(DOWN, [5 * MIB, MIB // 2, MIB // 2])
    notebook.torch("y = torch.arange(2**20, dtype=torch.float64)")
    with pytest.raises(TransferError, match=r"`y` arrived changed: 1048576 bytes from 4194304 on"):
        notebook.local("id(y)")
    assert len(changed) == 3
    notebook.torch("same = bool((y == torch.arange(2**20)).all())")
    assert notebook.names["same"] is True
    notebook.local("id(y)")
    assert (notebook.names["y"] == np.arange(2**20)).all()


def test_part_that_arrives_changed_is_sent_again(altered):
    notebook, changed = altered(UP, [MIB, 3 * MIB])
    notebook.names["x"] = x = np.random.default_rng(0).random(2**20)
    notebook.torch("y = x.flip(0)")
    assert len(changed) == 2
    assert (notebook.names["y"] == x[::-1]).all()


def test_parts_that_stay_wrong_are_an_error_that_names_the_array(altered):
    notebook, changed = altered(UP, [MIB * n // 2 for n in range(1, 40)])
    notebook.names["x"] = np.random.default_rng(0).random(2**20)
    with pytest.raises(TransferError, match=r"`x` \(8 MiB\) can not be sent: .* arrived changed"):
        notebook.torch("y = x.flip(0)")
    assert changed
    notebook.torch("y = 1 + 1")
    assert notebook.names["y"] == 2


@contextlib.contextmanager
def largest_file(pid, nbytes):
    """Let a process make no file above `nbytes`: shared memory is one."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (nbytes, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_no_shared_memory_in_the_kernel(notebook):
    notebook.torch("import os\npid = os.getpid()")
    notebook.torch("small = torch.ones(2**19)\ny = torch.ones(2**22)")
    with largest_file(notebook.names["pid"], 8 * MIB):
        with pytest.raises(
            TransferError, match=r"^`y` \(16 MiB\) is still on the server .*: File too large$"
        ):
            notebook.local("id(small), id(y)")
    assert type(notebook.names["small"]) is np.ndarray
    notebook.local("id(y)")
    assert (notebook.names["y"] == 1).all()


def test_no_shared_memory_in_the_proxy(notebook, proxy):
    notebook.names["x"] = np.ones(2**21)
    with largest_file(proxy.process.pid, 8 * MIB):
        with pytest.raises(
            TransferError, match=r"^`x` \(16 MiB\) can not be sent: .*: File too large\.$"
        ):
            notebook.torch("total = x.sum()")
    notebook.torch("total = x.sum()")
    assert notebook.names["total"] == 2**21


def test_full_budget_names_the_array(start_proxy, loop):
    notebook = NativeNotebook(start_proxy("--shared-memory", "8"), loop)
    notebook.names["x"] = np.zeros(2**20 + 1)
    with pytest.raises(TransferError, match=r"^`x` \(8 MiB\) can not be sent: .*--shared-memory"):
        notebook.torch("x")
    notebook.torch("y = torch.ones(2**20 + 1, dtype=torch.float64)")
    with pytest.raises(TransferError, match=r"^`y` \(8 MiB\) is still on the server .*8 MiB"):
        notebook.local("id(y)")
    notebook.torch("part = y[:-1024]")
    assert len(notebook.names["part"]) == 2**20 - 1023
    notebook.close()


class Area(DisplayPublisher):
    """Keeps what a cell displays."""

    def __init__(self, shell):
        super().__init__(shell=shell)
        self.shown = []

    def publish(self, data, metadata=None, **rest):
        self.shown.append((data, rest["update"]))


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_slow_transfer_shows_a_bar(start_relay, open_notebook, monkeypatch, direction):
    monkeypatch.setattr(_progress, "EVERY_S", 0.05)
    relay = start_relay(fate=lambda number: Fate(UP, 2**40, delay_s=0.005) if slow else None)
    slow = True
    notebook = open_notebook(url=relay.url)
    area = notebook.shell.display_pub = Area(notebook.shell)
    if direction == UP:
        notebook.names["x"] = np.ones(2**20)
        notebook.torch("len(x);")
    else:
        notebook.torch("x = torch.ones(2**20, dtype=torch.float64)")
        notebook.local("id(x)")
    lines = [data.get("text/plain") for data, update in area.shown]
    label = "`x` to the server" if direction == UP else "`x` from the server"
    assert all(line.startswith(label) for line in lines[:-1]) and len(lines) > 2
    assert "of 8 MiB" in lines[0] and "left" in lines[-2]
    assert [update for _, update in area.shown] == [False] + [True] * (len(lines) - 1)
    assert lines[-1] is None


def test_the_next_export_uses_the_memory_of_the_last(notebook):
    notebook.torch("import sys\n_pool = sys.modules['_jupyterlite_torch_export'].pool")
    paths = []
    for n in range(3):
        notebook.torch(f"y = torch.full((2**20 - 100 * {n},), {n}.)")
        notebook.local("id(y)")
        assert (notebook.names["y"] == n).all()
        # With it the kernel hears that its memory was taken over.
        notebook.torch("pass")
        notebook.torch("paths = [s.path for s in _pool._kept]")
        paths += notebook.names["paths"]
    assert len(paths) == 3 and len(set(paths)) == 1, paths


def test_a_cell_that_fails_gives_back_the_memory_of_the_one_before(notebook):
    notebook.torch("import sys\n_export = sys.modules['_jupyterlite_torch_export']")
    notebook.torch("y = torch.ones(2**21)", "--eager 100MB")
    # It is told with what that cell brings back, which is after its code.
    with pytest.raises(ZeroDivisionError):
        notebook.torch("1 / 0")
    notebook.torch("left = len(_export.outgoing)")
    assert notebook.names["left"] == 0


def test_what_is_kept_for_the_next_export_is_bounded(notebook):
    notebook.torch("import sys\n_pool = sys.modules['_jupyterlite_torch_export'].pool")
    notebook.torch("_before, _pool._budget = _pool._budget, 24 * 2**20")
    for n in range(1, 6):
        notebook.torch(f"y = torch.ones({n} * 2**20)")
        notebook.local("id(y)")
    notebook.torch("kept = _pool.nbytes\n_pool._budget = _before")
    assert 0 < notebook.names["kept"] <= 24 * MIB


@pytest.mark.parametrize("mib", [2, 32], ids=["with the reply", "behind it"])
def test_memory_of_an_export_goes_back_to_the_system(notebook, mib):
    notebook.torch("""
import sys, time
_export, _pool = (sys.modules[f"_jupyterlite_torch_{name}"] for name in ("export", "pool"))
_pool.KEPT_S = 0.1
def _is_so(condition, deadline=time.monotonic() + 30):
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()
""")
    notebook.torch(f"y = torch.ones({mib} * 2**18)", "--eager 100MB")
    # Nothing else is asked of the kernel but this.
    notebook.torch("told = _is_so(lambda: not _export.outgoing)")
    notebook.torch("freed = _is_so(lambda: not _export.pool.nbytes)")
    assert notebook.names["told"] is True and notebook.names["freed"] is True


def test_slow_line_carries_less_where_that_pays(start_relay, open_notebook):
    # 64 KiB each 5 ms: 13 MB/s.
    relay = start_relay(fate=lambda number: Fate(UP, 2**40, delay_s=0.005))
    notebook = open_notebook(url=relay.url)
    ratios = notebook.connection.transport.ratios
    notebook.torch("y = torch.arange(3 * 2**20) // 1000")
    notebook.local("id(y)")
    first, rest = ratios
    assert first == 1 and rest < 0.1
    assert np.array_equal(notebook.names["y"], np.arange(3 * 2**20) // 1000)
    ratios.clear()
    notebook.torch("z = y + 1")
    notebook.local("id(z)")
    assert len(ratios) == 1 and ratios[0] < 0.1
    assert np.array_equal(notebook.names["z"], notebook.names["y"] + 1)
    ratios.clear()
    notebook.torch("noise = torch.randint(2**62, (2**18,)); copy = noise.clone()")
    notebook.local("id(noise)")
    assert ratios == [1]


def test_fast_line_carries_what_is_there(notebook):
    transport = notebook.connection.transport
    # Measured, loopback is a slow line where other tests take the processors.
    transport.link.rate = 10 * _download.SLOW_BYTES_PER_S
    notebook.torch("y = torch.arange(3 * 2**20) // 1000")
    notebook.local("id(y)")
    assert transport.ratios == [1]


def test_cut_of_a_coded_stream(start_relay, open_notebook):
    line = {"delay_s": 0.005}
    relay = start_relay(fate=lambda number: Fate(DOWN, cuts.pop(0) if cuts else 2**40, **line))
    cuts = []
    notebook = open_notebook(url=relay.url)
    notebook.torch("y = torch.arange(3 * 2**20) // 7")
    notebook.local("id(y)")
    notebook.torch("z = y * 3")
    cuts.extend([100_000, 300_000])
    before = relay.cuts
    notebook.local("id(z)")
    assert relay.cuts == before + 2
    assert np.array_equal(notebook.names["z"], notebook.names["y"] * 3)
    assert all(ratio < 0.8 for ratio in notebook.connection.transport.ratios[1:])
