"""The proxy's memory over cells and reconnections, by the bench's own client and a fraction of its count."""

import asyncio

import pytest

from bench import load

MIB = 2**20
CELLS, RECONNECTS = 400, 150


@pytest.mark.alone
def test_memory_is_flat():
    over_cells, over_reconnects = asyncio.run(load.memory(CELLS, RECONNECTS))
    assert over_cells < 6 * MIB, over_cells / MIB
    assert over_reconnects < 3 * MIB, over_reconnects / MIB
