"""The loops over all bytes of an array that take the time: NumPy's, or in a browser those of loops.wat,
which is WebAssembly on Python's own memory."""

import sys

import numpy as np

if sys.platform == "emscripten":
    from ._browser import webassembly

    _wasm = webassembly("loops.wasm")
else:
    _wasm = None


def dot(words, factors):
    """Return the dot product, modulo 2**64, of a buffer of little-endian 64-bit words, which need not be
    aligned, with the first of `factors`, a uint64 array."""
    numbers = np.frombuffer(words, "<u8")
    if _wasm:
        return _wasm.dot(_address(numbers), _address(factors), numbers.size)
    return int(np.dot(numbers, factors[: numbers.size]))


def widen_bfloat16(codes, floats):
    """Write bfloat16 `codes`, a uint16 array, as the float32 array `floats`, which may be the same memory
    if both end together."""
    if _wasm:
        _wasm.widen_bfloat16(_address(codes), _address(floats), codes.size)
        return
    # Their upper halves, on a little-endian machine: half the time of a shift.
    halves = floats.view(np.uint16)
    halves[1::2] = codes
    halves[::2] = 0


def _address(array):
    return array.__array_interface__["data"][0]
