"""How the pieces of a file are cut into the parts of an upload."""

import random
import zlib

import pytest

from jupyterlite_torch import _upload
from jupyterlite_torch._frames import parse

PART = 16


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(_upload, "PART_BYTES", PART)


def received(pieces):
    """Return the frames of all parts, by where they begin, as the server reads them."""
    upload = _upload.Upload("x", pieces, sum(map(len, pieces)), lambda count: None)
    frames = {start: upload.part(start) for start in upload.parts}
    return {start: parse(b"".join(frame))[0] for start, frame in frames.items()}


@pytest.mark.parametrize("seed", range(50))
def test_parts_are_all_bytes_in_order(seed):
    rng = random.Random(seed)
    pieces = [memoryview(rng.randbytes(rng.randrange(1, 3 * PART))) for _ in range(20)]
    position = 0
    data = b"".join(pieces)
    for start, (head, (part,)) in received(pieces).items():
        assert start == head["start"] == position and len(part) <= PART
        assert part == data[start : start + len(part)] and head["crc32"] == zlib.crc32(part)
        position += len(part)
    assert position == head["total"] == len(data)


def test_small_ones_go_together_and_large_ones_from_their_beginning():
    pieces = [bytes(4)] * 5 + [bytes(2 * PART + 3)] + [bytes(4)]
    sizes = [len(part) for _, (part,) in received(pieces).values()]
    assert sizes == [16, 4, PART, PART, 3, 4]
