"""Checksums of blocks: what they see, and that page and kernel agree on them."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from jupyterlite_torch import _arrays, _checksum

BLOCK = _checksum.BLOCK_BYTES
ROOT = Path(__file__).parents[2]


@pytest.fixture
def of_the_kernel(monkeypatch):
    """The agent's function, loaded as it is in a kernel."""
    monkeypatch.setitem(sys.modules, "_jupyterlite_torch_page_checksum", _checksum)
    path = ROOT / "kernel_proxy" / "agent" / "checksum.py"
    spec = importlib.util.spec_from_file_location("checksum", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.block_checksums


def checksum(data):
    return _arrays.block_checksum(memoryview(data).cast("B"))


@pytest.mark.parametrize(
    "size", [0, 1, 7, 2**16 - 1, 2**16, 2**16 + 3, BLOCK - 5, BLOCK, 2 * BLOCK + 9]
)
def test_page_and_kernel_agree(of_the_kernel, size):
    data = bytearray(np.random.default_rng(0).bytes(size))
    blocks = [data[start : start + BLOCK] for start in range(0, size, BLOCK)]
    sums = of_the_kernel(memoryview(data))
    # What a page in JavaScript reads as a number keeps 53 bits.
    assert [checksum(block) for block in blocks] == sums and max(sums, default=0) < 2**53


@pytest.mark.parametrize("size", [2**16, BLOCK - 3])
def test_every_bit_counts(size):
    rng = np.random.default_rng(0)
    data = bytearray(rng.bytes(size))
    before = checksum(data)
    last = range(size - 12, size)
    for place in [*range(12), *last, *map(int, rng.integers(0, size, 100))]:
        for bit in range(8):
            data[place] ^= 1 << bit
            assert checksum(data) != before
            data[place] ^= 1 << bit


@pytest.mark.parametrize("bit", range(64))
def test_a_line_of_the_memory_that_is_stuck_is_seen(bit):
    """The same bit of two words, of many and of all: what one product alone does not see."""
    rng = np.random.default_rng(bit)
    words = rng.integers(0, 2**64, BLOCK // 8, dtype=np.uint64)
    before = checksum(words)
    for places in (rng.choice(words.size, 2, replace=False), slice(0, 1000), slice(None)):
        changed = words.copy()
        changed[places] ^= np.uint64(1 << bit)
        assert checksum(changed) != before
    assert checksum(words | np.uint64(1 << bit)) != before


@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "i4", "i8", "c16"])
def test_what_programs_do_to_arrays_is_seen(dtype):
    kind = np.dtype(dtype)
    x = np.random.default_rng(0).integers(-100, 100, BLOCK // kind.itemsize).astype(kind)
    swapped = x.copy()
    swapped[[0, -1]] = x[[-1, 0]]
    changed = [-x, x + kind.type(1), x[::-1].copy(), np.roll(x, 1), np.zeros_like(x), swapped]
    assert len({checksum(each) for each in [x, *changed]}) == len(changed) + 1
