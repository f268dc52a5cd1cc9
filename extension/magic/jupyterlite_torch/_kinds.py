"""What becomes of every kind of value between torch and the page. The code takes its rules from
here, and so do the tables of docs/guide.md, "Dtypes".

Pure standard library: this source runs in the page and, injected by the proxy, in the kernel.
"""

from typing import NamedTuple


class Rule(NamedTuple):
    """`there` and `here` are a row of the guide, in Markdown.

    `note` completes the sentence "`x` ..." that the cell says where a value does not arrive as what
    it was; None: nothing is said.
    """

    there: str
    here: str
    note: str | None = None


class Dtypes(NamedTuple):
    """Dtypes of torch that share a rule: `names` travel as `wire` and are `here` in the page; None
    for what they are. `rule` is of the guide."""

    names: tuple[str, ...]
    rule: str
    wire: str | None = None
    here: str | None = None
    note: str | None = None


_BYTES = "has the dtype {dtype}, which NumPy lacks: its bytes came, as {wire}"
_WIDENED = "NumPy has none: widened here, exactly, a NaN with its payload"
_AS_BYTES = "its bytes; the cell says so"
#: From torch to the page.
TORCH_DTYPES = (
    Dtypes(
        (
            *("float64", "float32", "float16", "int64", "int32", "int16", "int8"),
            *("uint64", "uint32", "uint16", "uint8", "bool", "complex128", "complex64"),
        ),
        "bit for bit: infinities, -0.0, a NaN with its payload",
    ),
    Dtypes(
        (
            *("bfloat16", "float8_e4m3fn", "float8_e4m3fnuz"),
            *("float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
        ),
        _WIDENED,
        here="float32",
    ),
    Dtypes(("complex32",), _WIDENED, here="complex64"),
    Dtypes(
        ("qint8", "quint8", "qint32", "quint4x2", "quint2x4"),
        "quantized per tensor or per channel: what `.dequantize()` gives; the cell says so",
        "float32",
        "float32",
        "is quantized: its dequantized values came",
    ),
    Dtypes(tuple(f"int{bits}" for bits in range(1, 8)), _AS_BYTES, "int8", "int8", _BYTES),
    Dtypes(
        (
            *(f"uint{bits}" for bits in range(1, 8)),
            *("float4_e2m1fn_x2", "bits8", "bits4x2", "bits2x4", "bits1x8"),
        ),
        _AS_BYTES,
        "uint8",
        "uint8",
        _BYTES,
    ),
    Dtypes(("bits16",), _AS_BYTES, "uint16", "uint16", _BYTES),
)


class Travel(NamedTuple):
    """Of one dtype of torch: the dtype whose bytes travel, NumPy's dtype in the page, what is said."""

    wire: str
    here: str
    note: str | None


TRAVELS = {
    name: Travel(
        row.wire or name,
        row.here or name,
        row.note and row.note.format(dtype=name, wire=row.wire),
    )
    for row in TORCH_DTYPES
    for name in row.names
}

#: From torch to the page, what is not one plain piece of memory.
TORCH_KINDS = {
    "view": Rule(
        "transposed, strided, expanded, conjugate and negated views; `Parameter`; a tensor with "
        "gradients; on any device; 0-d, empty, and with lengths of 0",
        "an array of their values",
    ),
    "subclass": Rule("subclasses that hold their values as a tensor does", "an array"),
    "sparse": Rule(
        "sparse COO, CSR, CSC and BSR of two dimensions",
        "a `scipy.sparse` array of the same layout, with the same duplicates; `float16` in it as "
        "`float32`. The first one loads scipy; a page that has none gets a dense array, and "
        "`-o d=s.to_dense()` brings one",
    ),
    "dense": Rule(
        "sparse BSC, with batches, with dense dimensions, or not of two dimensions",
        "a dense array; the cell says so",
        "is a sparse tensor for which scipy.sparse has no type: it came dense",
    ),
    "mkldnn": Rule("in the layout of oneDNN", "an array"),
    "nested": Rule(
        "nested, strided or jagged",
        "a list of arrays; the cell says so",
        "is a nested tensor: it came as the list of its parts",
    ),
    "masked": Rule(
        "`MaskedTensor`; a masked array of `numpy.ma` there",
        "a masked array of `numpy.ma`, with what is below the mask",
    ),
    "dtensor": Rule(
        "`DTensor`", "its full tensor; of more than one process: stays there with a word"
    ),
    "stays": Rule(
        "without values: on the `meta` device, a `FakeTensor`, an uninitialized `Parameter`; "
        "subclasses that compute their values",
        "stay there with a word",
    ),
}

#: From the page to torch.
PAGE_KINDS = {
    "array": Rule(
        "a tensor of the same dtype, bit for bit, and shape",
        "`float64`, `float32`, `float16`, `int8` to `int64`, `uint8` to `uint64`, `bool`, "
        "`complex64`, `complex128`: in any memory order, read-only, byte-swapped, strided, reversed",
    ),
    "scalar": Rule("a number", "a NumPy scalar"),
    "time": Rule(
        "a tensor of `int64`; the cell says so",
        "`datetime64`, `timedelta64`",
        "has the dtype {dtype}: it went as int64",
    ),
    "sparse": Rule(
        "a sparse tensor of the same layout, its indices `int64`; sorted and without duplicates if "
        "it is not COO",
        "`scipy.sparse` COO, CSR, CSC, BSR",
    ),
    "other sparse": Rule(
        "a sparse COO tensor; the cell says so",
        "`scipy.sparse` of another layout",
        "is of the layout {layout}: it went as a sparse COO tensor",
    ),
    "masked": Rule(
        "a `MaskedTensor`, which torch calls a prototype; the cell says so",
        "a masked array of `numpy.ma`; an error for a dtype that `MaskedTensor` lacks, such as `uint8` "
        "and `complex64`",
        "is a masked array: it went as a MaskedTensor, which torch calls a prototype",
    ),
    "image": Rule(
        "a tensor of its pixels as `np.asarray` gives them, mostly `uint8`; the cell says so",
        "an image of PIL",
        "is an image of PIL: its pixels went",
    ),
    "refused": Rule(
        "an error that says what to send instead",
        "structured arrays, `object`, text, `longdouble`; tables with what Arrow lacks, "
        "such as `object` columns of mixed types",
    ),
}

#: In both directions.
CONTAINERS = {
    "same": Rule(
        "lists, tuples, sets, `range`, `slice`, named tuples, `dict`, `OrderedDict`, `defaultdict`, "
        "`Counter`, a `state_dict`, nested up to 100 levels",
        "the same; `torch.Size` is a tuple",
    ),
    "text": Rule(
        "`date`, `time`, `datetime` and `timedelta`; `Path`; `Decimal`, `Fraction`, `UUID`",
        "the same; a `Path` names a file of the side that uses it, and what has a time zone other than a "
        "fixed distance from UTC is an error, or stays",
    ),
    "defaultdict": Rule(
        "a `defaultdict` whose default is neither `None` nor made by a built-in type",
        "a `dict`; the cell says so",
        "is a defaultdict whose default comes from a function of yours: a dict travels",
    ),
    "dataclass": Rule(
        "a dataclass",
        "a `dict` of its fields; the cell says so",
        "is a dataclass: a dict of its fields travels",
    ),
    "shared": Rule(
        "a tensor or array that occurs more than once",
        "sent once, and one object; also a tensor that the page has under another name, and an array of "
        "1 MiB or more that the server has under another one",
    ),
    "table": Rule(
        "a table: DataFrame and Series of pandas and polars; Table, RecordBatch, ChunkedArray and "
        "Array of pyarrow",
        "the same, by Arrow, where [both sides can](#tables); the cell says what Arrow does not keep",
        "is a table of which Arrow keeps not all: {lost}",
    ),
    "endless": Rule("what contains itself, or is nested deeper", "an error, or stays with a word"),
    "module": Rule("a module", "stays there; `-o model` brings its `state_dict`"),
}
