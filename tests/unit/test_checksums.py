"""The checksums by which a change of an array is seen."""

import zlib

import numpy as np

from jupyterlite_torch import _arrays


def test_checksums_see_every_change_of_an_array():
    rng = np.random.default_rng(0)
    for x in (
        rng.random(2**19),
        rng.random(2**19).astype(np.float32),
        rng.integers(0, 9, 2**19).astype(np.float32),
    ):
        sums = _arrays.checksums(x)
        assert sums == _arrays.checksums(x.copy())
        changed = [-x, x[::-1], np.roll(x, 1), x + np.spacing(x)]
        assert all(_arrays.checksums(other) != sums for other in changed)
        one = x.copy()
        one[-1] = np.nextafter(one[-1], 10)
        assert _arrays.checksums(one) != sums


def test_checksums_of_a_bfloat16_are_those_of_its_bytes():
    raw = np.random.default_rng(0).integers(0, 2**16, 2**20, dtype=np.uint16)
    incoming = _arrays.Incoming("x", "BF16", raw.shape)
    incoming.destination[:] = memoryview(raw).cast("B")
    wide = incoming.array
    blocks = [zlib.crc32(raw[start : start + 2**19]) for start in range(0, raw.size, 2**19)]
    assert _arrays.known_checksums(wide, "bfloat16", blocks) == _arrays.checksums(wide)
    # Of others it is known only while it is not taken for one of these.
    assert _arrays.known_checksums(np.ones(4, np.float32), "float32", [1]) is None
    assert _arrays.known_checksums(np.full(4, 0.1, np.float32), "float32", [1]) == (1,)
    assert _arrays.known_checksums(wide, "float8_e5m2", blocks) is None
