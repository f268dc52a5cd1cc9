"""NumPy arrays as tensors of a safetensors file, and back."""

import math
import sys
import zlib

import numpy as np

from . import _safetensors
from ._errors import TransferError
from ._values import Untransferable, encode

#: NumPy dtype name of what arrives, by code: all but bfloat16 are themselves.
_LOCAL_DTYPES = {code: name for code, name in _safetensors.NAMES.items() if code != "BF16"}
CHECKSUM_BLOCK_BYTES = 2**20


def local_dtype(code):
    """Return the name of the NumPy dtype that a tensor of this code has here."""
    return "float32" if code == "BF16" else _LOCAL_DTYPES[code]


class Outgoing:
    """The arrays of one push, each once however often it occurs, as parts of a safetensors file."""

    def __init__(self):
        self.arrays = []
        self._keys = {}

    def leaf(self, value):
        """Return the tree of an array or NumPy scalar; None for anything else.

        Raises Untransferable for arrays that torch has no dtype for, saying what to do.
        """
        if isinstance(value, np.generic):
            return self._scalar(value)
        if not isinstance(value, np.ndarray):
            return None
        if isinstance(value, np.ma.MaskedArray):
            raise Untransferable("it is a masked array: send `.filled(0)` and `.mask` of it")
        name = value.dtype.newbyteorder("=").name
        if name not in _safetensors.CODES:
            raise Untransferable(
                f"it is an array of dtype {value.dtype}, which torch does not have: convert it "
                "with `.astype(...)` first"
            )
        key = self._keys.get(id(value))
        if key is None:
            key = self._keys[id(value)] = str(len(self.arrays))
            self.arrays.append(value)
        return {"tensor": key}

    @staticmethod
    def _scalar(value):
        plain = value.item()
        if type(plain) in (bool, int, float, complex, str, bytes):
            return encode(plain, lambda _: None)
        raise Untransferable(f"it is a NumPy {value.dtype} scalar: convert it to a number first")

    def drop(self, count):
        """Leave out all arrays but the first `count`."""
        for array in self.arrays[count:]:
            del self._keys[id(array)]
        del self.arrays[count:]

    def file(self):
        """Return (pieces, size): the safetensors file as buffers in order, and its size in bytes."""
        entries = [
            _safetensors.Entry(
                str(number), _safetensors.CODES[array.dtype.newbyteorder("=").name], array.shape
            )
            for number, array in enumerate(self.arrays)
        ]
        header, size = _safetensors.layout(entries)
        pieces = [memoryview(header)]
        for entry in sorted(entries, key=lambda entry: entry.start):
            if entry.nbytes:
                pieces.append(raw(self.arrays[int(entry.key)]))
        return pieces, size


def raw(array):
    """View an array's bytes in C order and the machine's byte order; copies only if it must."""
    native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return memoryview(native.reshape(-1).view(np.uint8))


def checksums(array):
    """Return the CRC-32 of each MiB of an array's bytes. A sum would not see a permutation."""
    data = raw(array)
    blocks = range(0, len(data), CHECKSUM_BLOCK_BYTES)
    return tuple(zlib.crc32(data[start : start + CHECKSUM_BLOCK_BYTES]) for start in blocks)


class Incoming:
    """One tensor on its way into an array: `destination` takes its bytes, `array` is the result.

    Raises TransferError when this browser can not hold it.
    """

    def __init__(self, name, code, shape):
        self._widen = code == "BF16"
        dtype = np.dtype(np.uint16 if self._widen else _LOCAL_DTYPES[code])
        nbytes = math.prod(shape) * dtype.itemsize * (2 if self._widen else 1)
        if nbytes > sys.maxsize:
            raise TransferError(too_large(name, nbytes))
        try:
            self._raw = np.empty(shape, dtype)
        except (MemoryError, ValueError):
            raise TransferError(too_large(name, nbytes)) from None

    @property
    def destination(self):
        """A writable view of the bytes as they travel."""
        return memoryview(self._raw.reshape(-1).view(np.uint8))

    @property
    def array(self):
        """The array; bfloat16 widened exactly to float32, since NumPy has none."""
        if not self._widen:
            return self._raw
        wide = self._raw.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)


def too_large(name, nbytes):
    """Say that the browser can not hold an array, and what to do."""
    return (
        f"`{name}` of {size(nbytes)} is larger than the browser can hold. It stays on the server: "
        f"bring back a part of it, as with `%%torch -o part={name}[:1000]`."
    )


def size(nbytes):
    """Write a number of bytes as people do."""
    for unit in ("bytes", "KiB", "MiB"):
        if nbytes < 1024:
            return f"{nbytes:.4g} {unit}"
        nbytes /= 1024
    return f"{nbytes:.4g} GiB"
