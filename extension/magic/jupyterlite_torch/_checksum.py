"""The checksum of a MiB of an array, by which page and kernel see that bytes differ.

The kernel computes it as well, without NumPy: each brings its own `dots`.

It is made of two dot products of 64-bit words with odd random numbers, modulo 2**64, the second one of
the words that begin four bytes later. Alone, the first would not see that the topmost bit of an even
number of words has changed, which is what `-x` does to float64.
"""

import hashlib
import itertools
import struct
import zlib

BLOCK_BYTES = 2**20
#: Of so many bytes at a time the products are made, with the same factors: both stay in a cache that a
#: block and a factor for each of its words would fill (with 2 MiB of it, in Pyodide 314, 64 blocks that are
#: there take 14 ms instead of 26).
PIECE_BYTES = 2**18
#: A shorter block has its CRC-32: below, it is the calls that take the time.
_SHORT_BYTES = 2**16
#: Odd, and from a hash as the words' factors are.
MIX = int.from_bytes(hashlib.shake_256(b"mix").digest(8), "little") | 1
_ODD = bytes(byte | 1 for byte in range(256))


def factors():
    """Compute the odd 64-bit numbers for a piece's words, little-endian."""
    data = bytearray(hashlib.shake_256(b"factors").digest(PIECE_BYTES))
    data[::8] = data[::8].translate(_ODD)
    return bytes(data)


def block_checksum(data, combined):
    """Return the checksum of a memoryview of at most BLOCK_BYTES bytes, as an int that JSON readers
    in JavaScript keep (53 bits). `combined` does what the function of that name does."""
    if len(data) < _SHORT_BYTES:
        return zlib.crc32(data)
    whole = len(data) // 8 * 8
    rest = int.from_bytes(data[whole:], "little")
    # A low bit of a product says nothing of the bits above it in the words.
    return (combined(data[:whole]) * MIX + rest) * MIX % 2**64 >> 11


def combined(words, dots):
    """Return the products of each piece of a memoryview of little-endian 64-bit words, one after the
    other the digits of a number to the base MIX, modulo 2**64.

    `dots(words)` returns, for each piece of words that need not be aligned, the dot product, modulo
    2**64, with as many of `factors()`.
    """
    total = 0
    for pair in itertools.zip_longest(dots(words), dots(words[4:-4]), fillvalue=0):
        for product in pair:
            total = (total * MIX + product) % 2**64
    return total


def block_checksums(data, combined):
    """Return the checksum of each block of a memoryview."""
    starts = range(0, len(data), BLOCK_BYTES)
    return [block_checksum(data[start : start + BLOCK_BYTES], combined) for start in starts]


def packed_size(nbytes):
    """Return how many bytes the packed checksums of so many bytes take."""
    return -(-nbytes // BLOCK_BYTES) * 8


def packed(checksums):
    """Return checksums as they lie behind a file."""
    return struct.pack(f"<{len(checksums)}Q", *checksums)


def unpacked(data):
    """Return the checksums that are packed in a buffer."""
    return struct.unpack(f"<{len(data) // 8}Q", data)
