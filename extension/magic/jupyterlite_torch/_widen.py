"""Floats that NumPy lacks, as wider ones that it has: exactly, a NaN with its sign and payload."""

import functools

import numpy as np

from ._loops import widen_bfloat16


def _float8(exponent_bits, mantissa_bits, bias, specials):
    """Return what widens an 8-bit float; `specials` gives the float32 bits of its codes that are no
    number, without their sign."""

    @functools.cache
    def table():
        codes = np.arange(256)
        mantissa = codes & (2**mantissa_bits - 1)
        exponent = codes >> mantissa_bits & (2**exponent_bits - 1)
        negative = codes >> (exponent_bits + mantissa_bits) & 1
        whole = mantissa + np.where(exponent > 0, 2**mantissa_bits, 0)
        values = np.ldexp(whole.astype(float), np.maximum(exponent, 1) - bias - mantissa_bits)
        wide = values.astype(np.float32).view(np.uint32)
        for code, bits in specials.items():
            wide[code] = bits
        wide |= negative.astype(np.uint32) << 31
        return wide.view(np.float32)

    return _by(table)


def _by(table):
    """Return what widens by looking up each code in `table()`."""

    def widen(raw, wide):
        wide[:] = np.take(table(), raw)

    return widen


@functools.cache
def _float16_table():
    halves = np.arange(2**16, dtype=np.uint16)
    wide = halves.view(np.float16).astype(np.float32).view(np.uint32)
    # By the processor's own conversion a signaling NaN would become a quiet one.
    nan = (halves & 0x7FFF) > 0x7C00
    wide[nan] = (halves[nan] & 0x8000).astype(np.uint32) << 16 | 0x7F800000
    wide[nan] |= (halves[nan] & 0x03FF).astype(np.uint32) << 13
    return wide.view(np.float32)


@functools.cache
def _powers():
    """Powers of two, 2 ** (code - 127), and a NaN: all that float8_e8m0fnu has."""
    powers = np.ldexp(1.0, np.arange(256) - 127)
    powers[255] = np.nan
    return powers.astype(np.float32)


_INFINITY, _NAN = 0x7F800000, 0x7FC00000
#: By the name of a dtype: NumPy's dtype of its codes, and the function that writes float32 for them,
#: `widen(codes, float32s)`. A complex number is two codes.
WIDEN = {
    "bfloat16": (np.uint16, widen_bfloat16),
    "float8_e4m3fn": (
        np.uint8,
        _float8(4, 3, 7, dict.fromkeys((0x7F, 0xFF), _INFINITY | 7 << 20)),
    ),
    # "fnuz": finite, no negative zero, whose code is the one NaN.
    "float8_e4m3fnuz": (np.uint8, _float8(4, 3, 8, {0x80: _NAN})),
    "float8_e5m2": (
        np.uint8,
        _float8(
            5, 2, 15, {sign | 0x7C | m: _INFINITY | m << 21 for sign in (0, 128) for m in range(4)}
        ),
    ),
    "float8_e5m2fnuz": (np.uint8, _float8(5, 2, 16, {0x80: _NAN})),
    "float8_e8m0fnu": (np.uint8, _by(_powers)),
    "complex32": (np.uint16, _by(_float16_table)),
}
