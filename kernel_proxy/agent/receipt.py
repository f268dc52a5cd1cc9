"""What a cell took: its own time, and the most GPU memory that it had at once.

Injected into the kernel, as agent.py is.
"""

import time

import torch
from IPython import get_ipython

_cell = None
_began = None
_last = None


def begin(_info=None):
    """The code of a cell begins."""
    global _cell, _began, _last
    cell = get_ipython().get_parent()["header"]["msg_id"]
    if cell == _cell:
        # `%%capture` and the like run code within a cell.
        return
    _cell, _began, _last = cell, time.perf_counter(), None
    for index in _gpus():
        torch.cuda.reset_peak_memory_stats(index)


def end(_result=None):
    """The code of a cell has ended, or a part of it that it ran as a cell."""
    global _last
    peak = max(map(torch.cuda.max_memory_allocated, _gpus()), default=None)
    _last = {"seconds": time.perf_counter() - _began, "peak": peak}


def take():
    """Return the receipt of the cell that ended last, once; None without one."""
    global _last
    taken, _last = _last, None
    return taken


def memory():
    """Return the bytes that tensors have on a GPU now, of the one with the most; None without one."""
    return {"gpu": max(map(torch.cuda.memory_allocated, _gpus()), default=None)}


def _gpus():
    """Return the numbers of the GPUs, none before code has used one: asking would open them all."""
    return range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
