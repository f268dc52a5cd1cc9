"""What the agent measures of a cell on a GPU; torch's counters are stood in for, since tests have no GPU."""

import runpy
from importlib.resources import files
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")


class Counters:
    """The counters of two GPUs, which code may open after its cell has begun."""

    def __init__(self):
        self.opened, self.peaks, self.reset = False, [5, 7], []

    def is_initialized(self):
        return self.opened

    def device_count(self):
        assert self.opened, "asking opens the GPUs"
        return 2

    def reset_peak_memory_stats(self, index):
        self.reset.append(index)

    def max_memory_allocated(self, index):
        return self.peaks[index]

    def memory_allocated(self, index):
        return self.peaks[index] - 1


@pytest.fixture
def receipt(monkeypatch):
    shell = SimpleNamespace(cell="a", get_parent=lambda: {"header": {"msg_id": shell.cell}})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    module = SimpleNamespace(**runpy.run_path(str(files("kernel_proxy") / "agent" / "receipt.py")))
    module.shell, module.counters = shell, Counters()
    monkeypatch.setattr("torch.cuda", module.counters)
    return module


def test_a_gpu_that_was_not_used_is_not_opened(receipt):
    receipt.begin()
    receipt.end()
    assert receipt.take()["peak"] is None and receipt.memory() == {"gpu": None}
    assert receipt.take() is None


def test_the_peak_is_of_the_cell_and_of_the_gpu_with_the_most(receipt):
    receipt.counters.opened = True
    receipt.begin()
    assert receipt.counters.reset == [0, 1]
    # What runs within the cell counts as a part of it.
    receipt.begin()
    receipt.end()
    assert receipt.counters.reset == [0, 1] and receipt.memory() == {"gpu": 6}
    receipt.end()
    assert receipt.take()["peak"] == 7
    receipt.shell.cell = "b"
    receipt.begin()
    assert receipt.counters.reset == [0, 1, 0, 1] and receipt.take() is None
