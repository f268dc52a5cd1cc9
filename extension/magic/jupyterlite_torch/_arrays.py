"""NumPy arrays, and what is made of them, as tensors of a safetensors file, and back."""

import contextlib
import functools
import gc
import math
import sys
import zlib

import numpy as np

from . import _checksum, _loops, _patch, _safetensors, _tables
from ._checksum import BLOCK_BYTES
from ._download import READ_BYTES
from ._errors import TransferError
from ._kinds import CONTAINERS, PAGE_KINDS, TRAVELS
from ._size import human_size
from ._values import Untransferable, encode
from ._widen import WIDEN

#: What comes first in the checksums of a float32 array whose values all are bfloat16.
_BFLOAT16 = "bfloat16"


class Outgoing:
    """The arrays of one push, each once however often it occurs, as parts of a safetensors file.

    `dtype`: of torch, in which floating-point arrays are to arrive; None for their own.
    """

    def __init__(self, dtype=None):
        self._narrow = None if dtype is None else np.dtype(TRAVELS[dtype].here)
        self.arrays = []
        self._keys = {}
        #: The streams of tables, for `leaf`.
        self.streams = {}
        #: The Patch that goes in an array's place, by its key.
        self.patches = {}

    def leaf(self, value):
        """Return the tree of a value as `leaf` does."""
        return leaf(value, self._add, self.streams)

    def _add(self, array):
        key = self._keys.get(id(array))
        if key is None:
            key = self._keys[id(array)] = str(len(self.arrays))
            self.arrays.append(array)
        return {"tensor": key}

    def drop(self, count):
        """Leave out all arrays but the first `count`."""
        for array in self.arrays[count:]:
            del self._keys[id(array)]
        del self.arrays[count:]
        if self.streams:
            kept = set(map(id, self.arrays))
            self.streams = {key: each for key, each in self.streams.items() if id(each[1]) in kept}
        self.patches = {key: each for key, each in self.patches.items() if int(key) < count}

    def file(self):
        """Return (pieces, size): the safetensors file as buffers in order, and its size in bytes."""
        arrays = [self._narrowed(array) for array in self.arrays]
        entries = [self._entry(str(number), array) for number, array in enumerate(arrays)]
        header, size = _safetensors.layout(entries)
        pieces = [memoryview(header)]
        for entry in sorted(entries, key=lambda entry: entry.start):
            if entry.nbytes:
                data, patch = raw(arrays[int(entry.key)]), self.patches.get(entry.key)
                for first, after in ((0, None),) if patch is None else _patch.runs(patch.numbers):
                    stop = after and after * BLOCK_BYTES
                    pieces.append(data[first * BLOCK_BYTES : stop])
        return pieces, size

    def _entry(self, key, array):
        if patch := self.patches.get(key):
            return _safetensors.Entry(key, _safetensors.CODES["uint8"], (patch.nbytes,))
        return _safetensors.Entry(key, _safetensors.CODES[_name(array.dtype)], array.shape)

    def _narrowed(self, array):
        """Return an array as it is sent: never wider than the dtype in which it is to arrive. The
        server does the rest, which NumPy may lack the dtype for."""
        to = self._narrow
        if to is None or array.dtype.kind != "f" or array.dtype.itemsize <= to.itemsize:
            return array
        with np.errstate(over="ignore"):
            return array.astype(to)


class Lacking(Untransferable):
    """A table that travels with `packages` which this page lacks."""

    def __init__(self, reason):
        super().__init__(str(reason))
        self.packages = reason.packages


def leaf(value, place, streams=None):
    """Return the tree of an array or of what consists of arrays, None for anything else; `place`
    gives the tree of an array whose dtype torch has. `streams` keeps those of tables, so that each
    is written once.

    Raises Untransferable for what torch or Arrow has no type for, saying what to do.
    """
    if type(value) is np.ndarray and value.dtype.char in _PLAIN:
        return place(value)
    if isinstance(value, np.generic):
        return _scalar(value)
    if isinstance(value, np.ndarray):
        return _array(value, place)
    if _is_a(value, "scipy.sparse", "sparray", "spmatrix"):
        return _sparse(value, place)
    if _is_a(value, "PIL.Image", "Image"):
        return {"noted": [PAGE_KINDS["image"].note, _array(np.asarray(value), place)]}
    if table := _tables.kind(value):
        return _table(value, table, place, {} if streams is None else streams)
    return None


#: Characters of the dtypes that both NumPy and torch have.
_PLAIN = {
    char
    for char in np.typecodes["AllInteger"] + "?efdFD"
    if np.dtype(char).name in _safetensors.CODES
}


def table_facts(value, kind, streams=None):
    """Return what differs when a table does; of one that may travel, from its stream, which is written to
    `streams` if it is not there.

    Raises Untransferable.
    """
    if streams is not None:
        total = zlib.crc32(_written(value, streams)[0])
    else:
        with _said():
            total = _tables.checksum(value, _tables.PAGE)
    return [*kind, total, *_tables.rest(value)]


@contextlib.contextmanager
def _said():
    try:
        yield
    except _tables.Missing as reason:
        raise Lacking(reason) from None
    except _tables.Unfit as reason:
        raise Untransferable(str(reason)) from None


def _written(value, streams):
    """Return (stream, rest, lost) of a table as `_tables.write` does, once for these `streams`."""
    if id(value) not in streams:
        with _said():
            stream, rest, lost = _tables.write(value, _tables.PAGE)
        # With the value, so that no other one takes its ID.
        streams[id(value)] = value, np.frombuffer(stream, np.uint8), rest, lost
    return streams[id(value)][1:]


def _table(value, kind, place, streams):
    stream, rest, lost = _written(value, streams)
    tree = {"arrow": [*kind, place(stream), *rest]}
    return {"noted": [CONTAINERS["table"].note.format(lost=lost), tree]} if lost else tree


def _is_a(value, module, *names):
    """True if `value` is of one of these classes; nobody needs to have imported their module."""
    found = sys.modules.get(module)
    return isinstance(value, tuple(getattr(found, name) for name in names if hasattr(found, name)))


def _scalar(value):
    plain = value.view(np.int64).item() if value.dtype.kind in "mM" else value.item()
    if type(plain) not in (bool, int, float, complex, str, bytes):
        raise Untransferable(f"it is a NumPy {value.dtype} scalar: convert it to a number first")
    tree = encode(plain, lambda _: None)
    return _as_time(value, tree) if value.dtype.kind in "mM" else tree


def _array(value, place):
    if isinstance(value, np.ma.MaskedArray):
        parts = [_array(value.data, place), _array(~np.ma.getmaskarray(value), place)]
        return {"noted": [PAGE_KINDS["masked"].note, {"masked": parts}]}
    dtype = value.dtype
    if dtype.kind in "mM":
        native = value.astype(dtype.newbyteorder("="), copy=False)
        return _as_time(value, place(native.view(np.int64)))
    if dtype.names:
        raise Untransferable(
            "it is a structured array, which torch does not have: send its fields, as "
            f"`[{dtype.names[0]!r}]` of it"
        )
    if _name(dtype) not in _safetensors.CODES:
        raise Untransferable(
            f"it is an array of dtype {value.dtype}, which torch does not have: convert it with "
            "`.astype(...)` first"
        )
    return place(value)


@functools.cache
def _name(dtype):
    """Return the name of a dtype whatever its byte order; NumPy 2.4 works it out each time."""
    return dtype.name


def _as_time(value, tree):
    return {"noted": [PAGE_KINDS["time"].note.format(dtype=value.dtype), tree]}


def _sparse(value, place):
    layout, note = value.format, None
    if layout in ("csr", "csc", "bsr") and value.ndim == 2:
        if not value.has_canonical_format:
            value = value.copy()
            value.sum_duplicates()
        parts = [value.indptr, value.indices]
    else:
        if layout != "coo":
            note = PAGE_KINDS["other sparse"].note.format(layout=layout)
        layout, value = "coo", value.tocoo()
        parts = [np.stack(value.coords)]
    trees = [place(part.astype(np.int64)) for part in parts]
    tree = {"sparse": [layout, list(value.shape), *trees, _array(value.data, place)]}
    return {"noted": [note, tree]} if note else tree


def raw(array):
    """View an array's bytes in C order and the machine's byte order; copies only if it must."""
    native = array
    if type(array) is not np.ndarray or not (array.dtype.isnative and array.flags.c_contiguous):
        native = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    return memoryview(native.reshape(-1).view(np.uint8))


def checksums(array):
    """Return the checksum of each MiB of an array's bytes; of a float32 whose values all are bfloat16,
    _BFLOAT16 and those of its upper halves, which is what came if they came from the server."""
    data, kind = raw(array), ()
    if array.dtype == np.float32 and (halves := _halves(data)) is not None:
        data, kind = halves, (_BFLOAT16,)
    return (*kind, *_checksum.block_checksums(data, _loops.combined))


def block_checksum(data):
    """Return the checksum of a memoryview of at most BLOCK_BYTES bytes."""
    return _checksum.block_checksum(data, _loops.combined)


def known_checksums(array, dtype, sums):
    """Return the `checksums` of an array that came as `dtype` with these checksums; None if they say
    nothing about it."""
    if dtype == _BFLOAT16:
        return (_BFLOAT16, *sums)
    if dtype != array.dtype.name or (dtype == "float32" and _halves(raw(array)) is not None):
        return None
    return tuple(sums)


def _halves(data):
    """Return the upper halves of 32-bit words whose lower ones are all zero, else None."""
    words = np.asarray(data).view(np.uint32)
    for start in range(0, words.size, BLOCK_BYTES):
        if np.bitwise_or.reduce(words[start : start + BLOCK_BYTES]) & 0xFFFF:
            return None
    return memoryview(np.ascontiguousarray(words.view(np.uint16)[1::2])).cast("B")


#: Codes that are widened at a time; what they become is still in the processor's cache.
_WIDEN_CODES = 2**18


class Incoming:
    """One tensor on its way into an array: `view` is where its bytes go, from the first to the last,
    `array` the result.

    Floats that NumPy lacks come into a window of READ_BYTES, which stays in the processor's cache, and
    are widened from there. Raises TransferError when this browser can not hold the array.
    """

    def __init__(self, name, code, shape):
        dtype = _safetensors.NAMES[code]
        here = np.dtype(TRAVELS[dtype].here)
        nbytes = math.prod(shape) * here.itemsize
        try:
            self._array = _empty(shape, here, nbytes)
        except (MemoryError, ValueError):
            raise TransferError(too_large(name, nbytes)) from None
        memory = self._array.reshape(-1)
        #: Of the tensor as it travels.
        self.nbytes = math.prod(shape) * _safetensors.ITEM_SIZES[code]
        self._codes = None
        self._widened = 0
        if dtype in WIDEN:
            kind, self._widen = WIDEN[dtype]
            self._wide = memory.view(np.float32)
            memory = np.empty(min(self.nbytes, READ_BYTES), np.uint8)
            self._codes = memory.view(kind)
        self._bytes = memoryview(memory.view(np.uint8))

    def view(self, start, stop):
        """Return where the bytes from `start` to `stop` go: no more than to the next multiple of
        READ_BYTES, and of those before it none that have arrived."""
        if self._codes is None:
            return self._bytes[start:stop]
        first = start - start % READ_BYTES
        return self._bytes[start - first : stop - first]

    def arrived(self, count):
        """Note that the first `count` bytes are there."""
        if self._codes is None:
            return
        stop = count // self._codes.itemsize
        while self._widened < stop:
            first = self._widened % self._codes.size
            part = slice(first, first + min(_WIDEN_CODES, stop - self._widened))
            codes = self._codes[part]
            self._widen(codes, self._wide[self._widened : self._widened + len(codes)])
            self._widened += len(codes)

    def mend(self, start, data):
        """Put other bytes in the place of those that had arrived from `start` on."""
        if self._codes is None:
            self._bytes[start : start + len(data)] = data
            return
        codes = np.frombuffer(data, self._codes.dtype)
        first = start // self._codes.itemsize
        self._widen(codes, self._wide[first : first + len(codes)])

    def take(self, data):
        """Take all bytes at once."""
        for start in range(0, self.nbytes, READ_BYTES):
            stop = min(start + READ_BYTES, self.nbytes)
            self.view(start, stop)[:] = data[start:stop]
            self.arrived(stop)

    @property
    def array(self):
        """The array, once all bytes are there."""
        self.arrived(self.nbytes)
        return self._array


def _empty(shape, dtype, nbytes):
    if nbytes > sys.maxsize:
        raise MemoryError
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        # What is in the way may be garbage that the collector has not come by.
        gc.collect()
        return np.empty(shape, dtype)


def compose(kind, parts):
    """Return what consists of arrays, for a kind of COMPOSITE in _values.py.

    Raises TransferError, or Unfit for a table.
    """
    if kind == "masked":
        values, valid = parts
        return np.ma.MaskedArray(values, mask=~valid)
    if kind == "arrow":
        return _tables.read(*parts, side=_tables.PAGE)
    try:
        return _sparse_array(*parts)
    except (ValueError, TypeError, IndexError) as error:
        raise TransferError(f"A sparse tensor of the server has indices amiss: {error}.") from None


def _sparse_array(layout, shape, *parts):
    *indices, values = parts
    try:
        import scipy.sparse
    except ImportError:
        return _dense(layout, shape, indices, values)
    if values.dtype == np.float16:  # Of all dtypes that arrive the one that scipy 1.18 refuses.
        values = values.astype(np.float32)
    if layout == "coo":
        return scipy.sparse.coo_array((values, tuple(indices[0])), tuple(shape))
    make = getattr(scipy.sparse, f"{layout}_array")
    return make((values, indices[1], indices[0]), tuple(shape))


def _dense(layout, shape, indices, values):
    dense = np.zeros(shape, values.dtype)
    if layout == "coo":
        np.add.at(dense, tuple(indices[0]), values)
        return dense
    starts, inner = indices
    outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    if layout == "bsr":
        rows, columns = values.shape[1:]
        for row, column, block in zip(outer * rows, inner * columns, values, strict=True):
            dense[row : row + rows, column : column + columns] = block
    else:
        dense[(outer, inner) if layout == "csr" else (inner, outer)] = values
    return dense


def too_large(name, nbytes):
    """Say that the browser can not hold an array, and what to do."""
    return (
        f"`{name}` of {human_size(nbytes)} is larger than the browser can hold. It stays on the server: "
        f"bring back a part of it, as with `%%torch -o part={name}[:1000]`."
    )
