"""The safetensors layout, https://github.com/huggingface/safetensors#format: 8 bytes of header
length, a JSON header, the data.

Pure standard library: this source runs in the page, in the proxy and, injected by it, in the kernel.
"""

import json
import math
import struct

#: Of each dtype that travels, by the name that torch and NumPy share: its code, and the bytes of an
#: item. C32 and C128 are not in the format (safetensors 0.8).
_DTYPES = {
    "float64": ("F64", 8), "float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2),
    "float8_e4m3fn": ("F8_E4M3", 1), "float8_e4m3fnuz": ("F8_E4M3FNUZ", 1),
    "float8_e5m2": ("F8_E5M2", 1), "float8_e5m2fnuz": ("F8_E5M2FNUZ", 1),
    "float8_e8m0fnu": ("F8_E8M0", 1),
    "int64": ("I64", 8), "int32": ("I32", 4), "int16": ("I16", 2), "int8": ("I8", 1),
    "uint64": ("U64", 8), "uint32": ("U32", 4), "uint16": ("U16", 2), "uint8": ("U8", 1),
    "bool": ("BOOL", 1),
    "complex32": ("C32", 4), "complex64": ("C64", 8), "complex128": ("C128", 16),
}  # fmt: skip
CODES = {name: code for name, (code, _) in _DTYPES.items()}
NAMES = {code: name for name, code in CODES.items()}
ITEM_SIZES = dict(_DTYPES.values())

MAX_HEADER_BYTES = 4 * 2**20
#: Of NumPy's arrays (2.4).
MAX_DIMENSIONS = 64
ALIGNMENT = 64


class Entry:
    """One tensor of a file: `key`, dtype `code`, `shape`, and its bytes at `start` of the file."""

    __slots__ = ("code", "key", "nbytes", "shape", "start")

    def __init__(self, key, code, shape, start=0):
        self.key, self.code, self.shape, self.start = key, code, tuple(shape), start
        self.nbytes = math.prod(self.shape) * ITEM_SIZES[code]


def layout(entries):
    """Place `entries`, give each its `start`, and return (header bytes, size of the file in bytes)."""
    entries = sorted(entries, key=lambda entry: -ITEM_SIZES[entry.code])
    table, offset = {}, 0
    for entry in entries:
        table[entry.key] = {
            "dtype": entry.code,
            "shape": list(entry.shape),
            "data_offsets": [offset, offset + entry.nbytes],
        }
        offset += entry.nbytes
    header = json.dumps(table, separators=(",", ":")).encode()
    header += b" " * (-(len(header) + 8) % ALIGNMENT)
    position = len(header) + 8
    for entry in entries:
        entry.start = position
        position += entry.nbytes
    return struct.pack("<Q", len(header)) + header, position


def header_size(prefix):
    """Return how many bytes come before the data, from the first 8 bytes of a file.

    Raises ValueError above MAX_HEADER_BYTES.
    """
    (length,) = struct.unpack("<Q", bytes(prefix))
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"a safetensors header of {length} bytes is over {MAX_HEADER_BYTES}")
    return 8 + length


def parse(header, file_size):
    """Return the entries of a file of `file_size` bytes, by key, from everything before its data.

    Raises ValueError for a header that does not describe exactly that file.
    """
    try:
        table = json.loads(bytes(header[8:]))
        table.pop("__metadata__", None)
        for key, info in table.items():
            _check_numbers(key, info["shape"], info["data_offsets"])
        entries = {
            key: Entry(key, info["dtype"], info["shape"], len(header) + info["data_offsets"][0])
            for key, info in table.items()
        }
        ends = {key: len(header) + info["data_offsets"][1] for key, info in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(f"not a safetensors header: {error!r:.200}") from None
    position = len(header)
    for entry in sorted(entries.values(), key=lambda entry: (entry.start, entry.nbytes)):
        if entry.start != position or entry.start + entry.nbytes != ends[entry.key]:
            raise ValueError(f"the bytes of tensor {entry.key!r} do not fit its shape and dtype")
        position += entry.nbytes
    if position != file_size:
        raise ValueError(f"a safetensors file of {file_size} bytes describes {position}")
    return entries


def _check_numbers(key, shape, offsets):
    """Raises ValueError for what is no shape or no place; before anything is multiplied, since the
    product of a million lengths takes minutes."""
    if len(shape) > MAX_DIMENSIONS or len(offsets) != 2:
        raise ValueError(f"tensor {key!r:.40} has {len(shape)} dimensions, {len(offsets)} offsets")
    if any(type(number) is not int or not 0 <= number < 2**63 for number in (*shape, *offsets)):
        raise ValueError(f"tensor {key!r:.40} has the shape {shape} at {offsets}")
