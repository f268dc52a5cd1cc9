"""Tables, which are the data frames, series and arrays of pandas, polars and pyarrow, as streams of
Arrow IPC, and back.

Standard library, and what the user imported: this source runs in the page and, injected by the
proxy, in the kernel. Nothing is pickled: what pandas adds to a stream is JSON.
"""

import importlib
import io
import re
import sys
import warnings
import zlib

#: What each library needs on both sides. polars writes and reads Arrow by itself. What a page may
#: not have comes first, so that it loads no other package in vain.
NEEDS = {"pandas": ("pyarrow", "pandas"), "polars": ("polars",), "pyarrow": ("pyarrow",)}
_TYPES = {
    "pandas": ("DataFrame", "Series"),
    "polars": ("DataFrame", "Series"),
    "pyarrow": ("Table", "RecordBatch", "ChunkedArray", "Array"),
}
#: Earlier releases unpickle extension types that a stream names (CVE-2023-47248).
SAFE_PYARROW = (14, 0, 1)
#: Larger tables come to the page only when they are asked for.
AUTO_BYTES = 256 * 2**20
#: The end of a stream, without which a part of it would pass for the whole.
_END = b"\xff\xff\xff\xff\0\0\0\0"
#: Of each side: its name, and where something is typed for it.
PAGE = ("this page", "here")
KERNEL = ("the server's kernel", "in a `%%torch` cell")


class Unfit(Exception):
    """A table that can not travel; the text says why and what to do, without the value's name."""


class Missing(Unfit):
    """A side lacks `packages`."""

    def __init__(self, library, kind, packages, side):
        where, how = side
        self.packages = packages
        plain = {"Table": "to_pydict", "RecordBatch": "to_pydict"}.get(kind, "to_pylist")
        super().__init__(
            f"a {library} {kind} travels where both sides have {' and '.join(NEEDS[library])}, and "
            f"{where} lacks {' and '.join(packages)}: write `%pip install {' '.join(packages)}` "
            f"{how}, or take `.{plain if library == 'pyarrow' else 'to_numpy'}()` of it"
        )


def kind(value):
    """Return (library, type name) of a table, None for anything else; imports nothing."""
    for library, names in _TYPES.items():
        module = sys.modules.get(library)
        for name in names:
            found = getattr(module, name, None)
            if isinstance(found, type) and isinstance(value, found):
                return library, name
    return None


def imported(library, kind, side):
    """Import what a table needs and return its library. Raises Missing, or Unfit for no table."""
    if kind not in _TYPES.get(library, ()):
        raise Unfit(f"a {library} {kind} is unknown here")
    lacking = []
    for package in NEEDS[library]:
        try:
            importlib.import_module(package)
        except ImportError:
            lacking.append(package)
    if lacking:
        raise Missing(library, kind, lacking, side)
    if "pyarrow" in NEEDS[library] and _release(sys.modules["pyarrow"]) < SAFE_PYARROW:
        where, how = side
        raise Unfit(
            f"{where} has a pyarrow that could run code from what it reads: write "
            f"`%pip install -U pyarrow` {how}"
        )
    return sys.modules[library]


def _release(module):
    return tuple(int(part) for part in re.findall(r"\d+", module.__version__)[:3])


# --- Writing -------------------------------------------------------------------------------------


def write(value, side):
    """Return (stream, rest, lost): the stream in a writable buffer; what comes behind it in an
    `arrow` tree; what it does not keep of the value, or None.

    The same value gives the same bytes. Raises Unfit.
    """
    library, name = kind(value)
    module = imported(library, name, side)
    try:
        if library == "polars":
            stream = io.BytesIO()
            _write_polars(value, module, stream)
            return stream.getbuffer(), [], None
        table = _arrow(value)
        lost = _lost(value, table, module) if library == "pandas" else None
        return _written(table), rest(value), lost
    except MemoryError:
        raise Unfit(f"there is no memory for a copy of this {library} {name}") from None
    except Exception as error:
        raise Unfit(
            f"Arrow does not have all that is in this {library} {name} ({_reason(error)}): convert "
            "that to numbers, text or dates"
        ) from None


def rest(value):
    """Return what comes behind the stream in an `arrow` tree."""
    return [value.name is not None] if kind(value) == ("pandas", "Series") else []


def checksum(value, side):
    """Return the CRC-32 of the stream of `write`, without the memory for it. Raises Unfit."""
    library, name = kind(value)
    module = imported(library, name, side)
    total = _Sum()
    try:
        if library == "polars":
            _write_polars(value, module, total)
        else:
            _write_arrow(_arrow(value), sys.modules["pyarrow"].PythonFile(total, "w"))
    except Exception as error:
        raise Unfit(_reason(error)) from None
    return total.value


def nbytes(value):
    """Return about how many bytes a table has, without looking into Python's objects."""
    library, name = kind(value)
    if library == "pyarrow":
        return value.nbytes
    if library == "polars":
        return value.estimated_size()
    used = value.memory_usage()
    return int(used.sum() if name == "DataFrame" else used)


class _Sum:
    """A file that sums up what is written to it."""

    value, closed = 0, False

    def write(self, data):
        self.value = zlib.crc32(data, self.value)
        return len(data)

    def flush(self):
        pass

    def close(self):
        pass


def _write_polars(value, polars, stream):
    frame = value.to_frame() if isinstance(value, polars.Series) else value
    if polars.Object in frame.dtypes:  # Written as bytes that mean nothing (polars 2.1).
        raise TypeError("a column has the dtype Object")
    frame.write_ipc_stream(stream)


def _arrow(value):
    """Return what pyarrow can write."""
    pyarrow = sys.modules["pyarrow"]
    if isinstance(value, pyarrow.Array):
        return pyarrow.RecordBatch.from_arrays([value], names=[""])
    if isinstance(value, pyarrow.ChunkedArray):
        return pyarrow.Table.from_arrays([value], names=[""])
    if isinstance(value, pyarrow.Table | pyarrow.RecordBatch):
        return value
    with warnings.catch_warnings():
        # Names of columns that become text are among what is lost.
        warnings.simplefilter("ignore")
        return pyarrow.Table.from_pandas(_frame(value))


def _frame(value):
    return value.to_frame() if value.ndim == 1 else value


def _written(table):
    pyarrow = sys.modules["pyarrow"]
    # Written twice, the first time to know the size: a buffer that grows has two copies at times.
    size = pyarrow.MockOutputStream()
    _write_arrow(table, size)
    stream = bytearray(size.size())
    _write_arrow(table, pyarrow.FixedSizeBufferWriter(pyarrow.py_buffer(stream)))
    return stream


def _write_arrow(table, sink):
    pyarrow = sys.modules["pyarrow"]
    if not table.num_rows and isinstance(table, pyarrow.Table):
        # Of a table without rows no batch is written, and with it no categories (pyarrow 26).
        columns = [column.combine_chunks() for column in table.columns]
        table = pyarrow.RecordBatch.from_arrays(columns, schema=table.schema)
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write(table)


def _lost(value, table, pandas):
    lost = list(_losses(_frame(value), table))
    if type(value) not in (pandas.DataFrame, pandas.Series):
        lost.append(f"its class {type(value).__name__}")
    if len(lost) > 3:
        lost[3:] = [f"{len(lost) - 3} more"]
    return "; ".join(lost) or None


def _losses(frame, table):
    """Yield what is lost of a frame of pandas, by what becomes of its types without the rows."""
    is_nested = sys.modules["pyarrow"].types.is_nested
    empty = table.slice(0, 0).to_pandas()
    if not empty.columns.equals(frame.columns):
        yield "the names of its columns arrive as text"
    was_now = zip(frame.columns, frame.dtypes, empty.dtypes, table.schema.types, strict=False)
    for name, was, now, stored in was_now:
        if was != now:
            yield f"column {name!r:.40} arrives as {now}"
        elif str(was) == "object" and is_nested(stored):
            yield f"in column {name!r:.40} lists arrive as arrays, dicts with all keys"
    was, now = frame.index, empty.index
    if type(was).__name__ != "RangeIndex" and _dtypes(was) != _dtypes(now):
        yield f"its index arrives as {', '.join(map(str, _dtypes(now)))}"
    if getattr(was, "freq", None) != getattr(now, "freq", None):
        yield "its index without `freq`"
    if frame.attrs and not empty.attrs:
        yield "its `attrs`"


def _dtypes(index):
    return [index.dtype] if index.nlevels == 1 else list(index.dtypes)


# --- Reading -------------------------------------------------------------------------------------


def read(library, kind, data, *rest, side):
    """Return the table of an `arrow` tree whose stream is the buffer `data`, which it may keep.

    Raises Missing, or Unfit for what is no such stream.
    """
    module = imported(library, kind, side)
    try:
        data = memoryview(data)
        if (data.format, data.ndim) != ("B", 1) or bytes(data[-len(_END) :]) != _END:
            raise ValueError("it does not end as it should")
        if library == "polars":
            frame = module.read_ipc_stream(bytes(data))
            return frame if kind == "DataFrame" else _only(frame.get_columns())
        with sys.modules["pyarrow"].ipc.open_stream(data) as stream:
            table = stream.read_next_batch() if kind in ("RecordBatch", "Array") else None
            table = stream.read_all() if table is None else table
        # Of what came from elsewhere pyarrow follows no offset before they are checked.
        table.validate(full=True)
        if library == "pandas":
            return _to_pandas(table, module, *(() if kind == "DataFrame" else rest))
        return table if kind in ("Table", "RecordBatch") else _only(table.columns)
    except Exception as error:
        raise Unfit(
            f"the Arrow stream of the {library} {kind} is broken ({_reason(error)})"
        ) from None


def _to_pandas(table, pandas, named=None):
    """Return a frame, or with `named` the series that is its one column."""
    frame = table.to_pandas()
    for number, dtype in enumerate(frame.dtypes):
        if isinstance(dtype, pandas.CategoricalDtype) or dtype.kind in "mM":
            # These are on the stream's memory, which pyarrow 26 has made read-only.
            frame.isetitem(number, frame.iloc[:, number].copy())
    if named is None:
        return frame
    label = _only(frame.columns.tolist())
    series = frame.pop(label)
    series.name = label if named else None
    series.attrs = frame.attrs
    return series


def _only(columns):
    (column,) = columns
    return column


def _reason(error):
    texts = error.args if error.args and type(error) is not KeyError else [error]
    text = "; ".join(str(each).strip().split("\n")[0] for each in texts)
    return f"{type(error).__name__}: {text:.300}"
