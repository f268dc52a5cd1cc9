"""Arrays that arrive, and the checksums by which a change of one is seen."""

import numpy as np
import pytest

from jupyterlite_torch import _arrays, _safetensors
from jupyterlite_torch._widen import WIDEN


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
    incoming.take(memoryview(raw).cast("B"))
    wide = incoming.array
    blocks = [
        _arrays.block_checksum(memoryview(raw[start : start + 2**19]).cast("B"))
        for start in range(0, raw.size, 2**19)
    ]
    assert _arrays.known_checksums(wide, "bfloat16", blocks) == _arrays.checksums(wide)
    # Of others it is known only while it is not taken for one of these.
    assert _arrays.known_checksums(np.ones(4, np.float32), "float32", [1]) is None
    assert _arrays.known_checksums(np.full(4, 0.1, np.float32), "float32", [1]) == (1,)
    assert _arrays.known_checksums(wide, "float8_e5m2", blocks) is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2", "complex32"])
def test_a_tensor_is_widened_as_it_arrives(dtype):
    # Several windows, and several steps of each.
    raw = np.random.default_rng(0).bytes(9 * 2**20 + 4)
    code = _safetensors.CODES[dtype]
    incoming = _arrays.Incoming("x", code, (len(raw) // _safetensors.ITEM_SIZES[code],))
    for start in range(0, len(raw), 2**19):
        part = raw[start : start + 2**19]
        incoming.view(start, start + len(part))[:] = part
        incoming.arrived(start + len(part))
    kind, widen = WIDEN[dtype]
    codes = np.frombuffer(raw, kind)
    expected = np.empty(codes.shape, np.float32)
    widen(codes, expected)
    assert incoming.array.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2", "complex32", "float32"])
def test_a_block_that_had_arrived_wrong_is_mended(dtype):
    raw = bytearray(np.random.default_rng(0).bytes(5 * 2**20 + 4))
    code = _safetensors.CODES[dtype]
    shape = (len(raw) // _safetensors.ITEM_SIZES[code],)

    def arrived(data):
        incoming = _arrays.Incoming("x", code, shape)
        incoming.take(data)
        return incoming

    right, wrong = bytes(raw), raw
    wrong[2**20 + 8 : 2**20 + 16] = bytes(8)
    incoming = arrived(wrong)
    assert incoming.array.tobytes() != arrived(right).array.tobytes()
    incoming.mend(2**20, right[2**20 : 2**21])
    assert incoming.array.tobytes() == arrived(right).array.tobytes()
