"""The loops over all bytes of an array that take the time: NumPy's, or in a browser those of loops.wat,
which is WebAssembly on Python's own memory."""

import functools
import sys

import numpy as np

from . import _checksum

if sys.platform == "emscripten":
    from ._browser import webassembly

    _wasm = webassembly("loops.wasm")
else:
    _wasm = None


_PIECE = _checksum.PIECE_BYTES // 8


@functools.cache
def _factors():
    """The factors of a checksum, and behind them what it mixes with; and their address."""
    mix = _checksum.MIX.to_bytes(8, "little")
    numbers = np.frombuffer(_checksum.factors() + mix, "<u8")
    return numbers, _address(numbers)


def combined(words):
    """Do what `_checksum.combined` does with a memoryview of 64-bit words, which need not be aligned."""
    if not _wasm:
        return _checksum.combined(words, _dots)
    numbers = np.frombuffer(words, "<u8")
    return _wasm.combined(_address(numbers), numbers.size, _factors()[1])


def _dots(words):
    numbers, (factors, _) = np.frombuffer(words, "<u8"), _factors()
    pieces = (numbers[start : start + _PIECE] for start in range(0, numbers.size, _PIECE))
    return [int(np.dot(piece, factors[: piece.size])) for piece in pieces]


def widen_bfloat16(codes, floats):
    """Write bfloat16 `codes`, a uint16 array, as the float32 array `floats`."""
    if _wasm:
        _wasm.widen_bfloat16(_address(codes), _address(floats), codes.size)
        return
    # Their upper halves, on a little-endian machine: half the time of a shift.
    halves = floats.view(np.uint16)
    halves[1::2] = codes
    halves[::2] = 0


def _address(array):
    return array.__array_interface__["data"][0]
