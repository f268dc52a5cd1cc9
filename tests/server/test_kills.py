"""kill -9 of a kernel or of the proxy while 64 MiB are on their way. Cells that only compute: see
test_left_behind.py and test_restart.py."""

import asyncio
import os
import signal
import time

import numpy as np
import pytest
from native_notebook import NativeNotebook
from proxy import Proxy
from raw_channel import PATIENCE_S
from relay import DOWN, UP, Relay

from jupyterlite_torch._errors import KernelDied, TransferError

MIB = 2**20
X = np.random.default_rng(0).random(8 * MIB)
# Nothing that would come compressed.
Y = np.arange(8 * MIB) * -7046029254386353131
MAKES_Y = "w = 5\ny = torch.arange(8 * 2**20) * -7046029254386353131"
#: Makes a file when all is copied of what travels meanwhile.
TELLS_WHEN_COPIED = """\
import sys
_Filling = sys.modules["_jupyterlite_torch_copying"].Filling
_run = _Filling._run
def _told(self):
    _run(self)
    open({path!r}, "w").close()
_Filling._run = _told
"""
DIES_IN_DECODE = """\
import os, sys
def _die(**arguments):
    os.kill(os.getpid(), 9)
sys.modules["_jupyterlite_torch_agent"].METHODS["import"] = _die
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    started = Proxy("--state", str(tmp_path_factory.mktemp("kills") / "state"))
    yield started
    started.interrupt()


@pytest.fixture
def halfway(proxy, loop):
    """Make a notebook, and have it that `halfway(direction, action)` runs an action when half of 64 MiB
    have passed."""
    relay = Relay(loop, proxy.url)
    notebook = NativeNotebook(proxy, loop, url=relay.url)
    waiting = []

    def watch(direction, passed, data):
        if waiting and waiting[0][0] == direction and passed > 32 * MIB:
            waiting.pop()[1]()
        return data

    relay.alter = watch
    yield notebook, lambda direction, action: waiting.append((direction, action))
    assert not waiting
    wait_until(notebook, lambda: held(proxy.process.pid) == 0)
    notebook.close()
    relay.close()


def held(pid):
    """How many bytes of our shared memory a process has open."""
    seen = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{name}"
        if "memfd:jupyterlite-torch" in os.readlink(path):
            found = os.stat(path)
            seen[found.st_ino] = found.st_size
    return sum(seen.values())


def wait_until(notebook, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        notebook.wait(asyncio.sleep(0.02))


def pid_of(notebook):
    notebook.torch("import os\npid = os.getpid()")
    return notebook.names["pid"]


def kill_kernel(notebook):
    pid = pid_of(notebook)
    return lambda: os.kill(pid, signal.SIGKILL)


def restart(proxy):
    def act():
        proxy.kill()
        proxy.start()

    return act


def test_kernel_during_an_upload(halfway):
    notebook, at_half = halfway
    notebook.torch("w = 5")
    notebook.names["x"] = X
    at_half(UP, kill_kernel(notebook))
    with pytest.raises(KernelDied, match="variables are gone.* run the cells that define"):
        notebook.torch("total = x.sum() + w")
    notebook.torch("w = 6\ntotal = x.sum() + w")
    assert notebook.names["total"] == pytest.approx(X.sum() + 6)


def test_kernel_while_it_takes_what_was_uploaded(halfway):
    notebook, _ = halfway
    notebook.torch(DIES_IN_DECODE)
    notebook.names["x"] = X
    with pytest.raises(KernelDied, match="killed.*variables are gone.*run the cells that define"):
        notebook.torch("total = x.sum()")
    notebook.torch("total = x.sum()")
    assert notebook.names["total"] == pytest.approx(X.sum())


def test_kernel_during_a_download(halfway, tmp_path):
    notebook, at_half = halfway
    copied = tmp_path / "copied"
    notebook.torch(MAKES_Y)
    notebook.torch(TELLS_WHEN_COPIED.format(path=str(copied)))
    generation = notebook.connection.generation
    kill = kill_kernel(notebook)

    def kill_when_copied():
        deadline = time.monotonic() + PATIENCE_S
        while not copied.exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        kill()

    at_half(DOWN, kill_when_copied)
    # What it has handed over is there, whole; what it has not: see test_filling.py.
    notebook.local("id(y)")
    assert (notebook.names["y"] == Y).all()
    wait_until(notebook, lambda: notebook.connection.generation != generation)
    assert notebook.torch("'y' in globals(), int(y[-1])") == (True, Y[-1])


def test_proxy_during_an_upload(halfway, proxy):
    notebook, at_half = halfway
    notebook.torch("w = 5")
    notebook.names["x"] = X
    at_half(UP, restart(proxy))
    with pytest.raises(
        TransferError, match="`x` .* The server was restarted .* run the cell again"
    ):
        notebook.torch("total = x.sum() + w")
    notebook.torch("total = x.sum() + w")
    assert notebook.names["total"] == pytest.approx(X.sum() + 5)


def test_proxy_during_a_download(halfway, proxy):
    notebook, at_half = halfway
    notebook.torch(MAKES_Y)
    at_half(DOWN, restart(proxy))
    with pytest.raises(
        TransferError, match=r"`y` \(64 MiB\) did not arrive: .* restart. Read it again"
    ):
        notebook.local("id(y)")
    notebook.local("id(y)")
    assert (notebook.names["y"] == Y).all()
    assert notebook.torch("w") == 5
