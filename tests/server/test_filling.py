"""Large tensors travel while the kernel still copies them."""

import asyncio
import os
import signal

import numpy as np
import pytest

from jupyterlite_torch import _progress
from jupyterlite_torch._errors import TransferError

MIB = 2**20
#: Has copies stop at 32 MiB until there is a file, or for so long that the test has failed.
GATED = """\
import os, sys, threading, time
_export, _copying = (sys.modules[f"_jupyterlite_torch_{{name}}"] for name in ("export", "copying"))
_part, _end, pid, opened, targets = _copying.Copy._part, _copying.Filling.end, os.getpid(), {{}}, []
_asked = threading.Event()
_deadline = time.monotonic() + 30
def _noted(self):
    _asked.set()
    _end(self)
def _gated(self, start, stop):
    if start == 0:
        targets.append(self._target)
        if {fork} and not os.fork():
            with open({gate!r} + ".child", "w") as file:
                file.write(str(os.getpid()))
            # Longer than the test, which ends it.
            time.sleep(60)
            os._exit(0)
    while start >= 32 * 2**20 and not os.path.exists({gate!r}) and time.monotonic() < _deadline:
        time.sleep(0.005)
    opened[start] = os.path.exists({gate!r})
    _part(self, start, stop)
_copying.Copy._part, _copying.Filling.end = _gated, _noted
y = torch.arange(8 * 2**20, dtype=torch.float64)
None
"""


@pytest.fixture
def gated(notebook, tmp_path, monkeypatch):
    """A notebook whose kernel has stopped to copy `y` halfway once 28 MiB of it are here: then `action`
    of what this returns is called, once."""
    moved = _progress.Progress.moved

    def note(progress, count):
        moved(progress, count)
        if notebook.action and progress.done >= 28 * MIB:
            action, notebook.action = notebook.action, None
            action()

    monkeypatch.setattr(_progress.Progress, "moved", note)
    notebook.action = None

    def make(fork=False):
        # Of a line that is found to be slow midway the server would take a sample, which waits for all.
        notebook.connection.transport.link.rate = 1e9
        gate = tmp_path / "gate"
        notebook.torch(GATED.format(gate=str(gate), fork=fork))
        notebook.gate, notebook.open_gate = gate, gate.touch
        return notebook

    return make


def test_the_page_has_the_first_half_before_the_second_is_copied(gated):
    notebook = gated()
    notebook.action = notebook.open_gate
    notebook.local("id(y)")
    assert (notebook.names["y"] == np.arange(8 * MIB)).all()
    assert notebook.action is None
    assert second_half(notebook) == [True] * 16


def second_half(notebook):
    """Of each piece of it, whether the gate was open when it was copied."""
    notebook.torch(
        "second = [was_open for start, was_open in opened.items() if start >= 32 * 2**20]"
    )
    return notebook.names["second"]


def test_so_it_has_what_comes_with_a_cell(gated):
    notebook = gated()
    notebook.action = notebook.open_gate
    notebook.torch("z = y + 1", "--eager 100MB")
    assert (notebook.names["z"] == np.arange(1, 8 * MIB + 1)).all()
    assert notebook.action is None
    assert second_half(notebook) == [True] * 16


def test_the_next_cell_does_not_change_what_is_still_copied(gated):
    notebook = gated()
    notebook.action = notebook.open_gate
    notebook.torch("z = y + 1", "--eager 100MB --bg job")
    notebook.torch("z.zero_()\nNone", "--no-auto")
    notebook.result(notebook.names["job"])
    assert (notebook.names["z"] == np.arange(1, 8 * MIB + 1)).all()
    assert second_half(notebook) == [True] * 16


@pytest.mark.parametrize("fork", [False, True], ids=["", "with a child that has the pipe"])
def test_a_kernel_that_ends_halfway(gated, fork):
    notebook = gated(fork)
    generation = notebook.connection.generation
    notebook.action = lambda: os.kill(notebook.names["pid"], signal.SIGKILL)
    with pytest.raises(TransferError, match=r"`y` \(64 MiB\) did not arrive: the kernel ended"):
        notebook.local("id(y)")
    if fork:
        child = int(notebook.gate.with_name("gate.child").read_text())
        # One that has ended has no open files.
        assert os.listdir(f"/proc/{child}/fd")
        os.kill(child, signal.SIGKILL)
    while notebook.connection.generation == generation:
        notebook.wait(asyncio.sleep(0.02))
    assert notebook.torch("'y' in globals()") is False
    notebook.torch("y = torch.ones(8 * 2**20)")
    notebook.local("id(y)")
    assert (notebook.names["y"] == 1).all()


def test_memory_is_not_used_again_before_it_is_filled(gated):
    notebook = gated()
    notebook.action = notebook.connection.interrupt
    with pytest.raises(KeyboardInterrupt, match="still there"):
        notebook.local("id(y)")
    notebook.torch(f"""
_thread = threading.Thread(target=lambda: _export.release(list(_export.outgoing)))
_thread.start()
asked = _asked.wait(20)
before = targets[0] in _export.pool._kept
open({str(notebook.gate)!r}, "w").close()
while targets[0] not in _export.pool._kept and time.monotonic() < _deadline:
    time.sleep(0.005)
after = targets[0] in _export.pool._kept
""")
    assert notebook.names["asked"] is True
    assert notebook.names["before"] is False and notebook.names["after"] is True
