"""Kinds of values in NumPy and scipy of the browser: a fixed set of hundreds of arrays each way.

What is tried in CPython, with examples by the thousand, is in tests/server/test_kinds.py.
"""

import kinds

from jupyterlite_torch import _kinds

DTYPES = [name for name in _kinds.TRAVELS if not name.startswith("q")]
SAME = [name for name in DTYPES if _kinds.TRAVELS[name].here == name]
WIDE = {
    name: _kinds.TRAVELS[name].here
    for name in DTYPES
    if _kinds.TRAVELS[name].wire != _kinds.TRAVELS[name].here
}

PLANS = f"""\
dtypes, same, wide = {DTYPES}, {SAME}, {WIDE}
here = { ({name: _kinds.TRAVELS[name].here for name in DTYPES}) }
shapes = [(), (0,), (2, 3), (3, 0, 2), (2, 2, 3)]
plans = [
    (dtype, shapes[(n + m) % len(shapes)], view)
    for n, dtype in enumerate(dtypes) for m, view in enumerate(views)
]"""

SIZES = """\
%%torch
sizes = {dtype: getattr(torch, dtype).itemsize for dtype in dtypes}"""

RAWS = """\
raws = [
    random_bytes(n, math.prod(shape) * sizes[dtype], dtype)
    for n, (dtype, shape, _) in enumerate(plans)
]"""

# What is wide is also widened by torch itself, to compare.
MADE = """\
%%torch
import warnings
warnings.simplefilter("ignore")
made = [build(raw, *plan) for raw, plan in zip(raws, plans)]
widened = {
    n: build(raw, dtype, shape, "plain").to(getattr(torch, wide[dtype]))
    for n, (raw, (dtype, shape, _)) in enumerate(zip(raws, plans)) if dtype in wide
}"""

CHECKED = """\
for n, (got, raw, (dtype, shape, view)) in enumerate(zip(made, raws, plans)):
    expected = views[view]((widened[n] if n in widened else raw.view(here[dtype])).reshape(shape))
    if (dtype, view) == ("complex32", "negated"):
        expected = expected.astype(np.float16)
    same_bits(got, expected, n not in widened and view not in computed)
print(len(made), "from torch")"""

SENT = """\
sent = [
    layout(random_bytes(n, math.prod(shape) * np.dtype(dtype).itemsize, dtype).view(dtype).reshape(shape))
    for n, (dtype, shape, layout) in enumerate(
        (dtype, shape, layout) for dtype in same for shape in shapes[::2] for layout in layouts.values()
    )
]"""

SENT_THERE = """\
%%torch
back = [value.clone() for value in sent]
held = [bytes(value.reshape(-1).view(torch.uint8).tolist()) for value in sent]"""

SENT_HERE = """\
for array, got, bytes_there in zip(sent, back, held, strict=True):
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
    same_bits(got, native)
    assert bytes_there == native.tobytes()
print(len(sent), "to torch")"""

KINDS = """\
%%torch
dense = torch.tensor([[0., 1, 0, 0], [2, 0, 0, 3]])
sparse = [dense.to_sparse(), dense.to_sparse_csr(), dense.to_sparse_csc(), dense.to_sparse_bsr((1, 2))]
bsc = dense.to_sparse_bsc((1, 2))
nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.zeros(1, 3)], layout=torch.jagged)
quantized = torch.quantize_per_tensor(dense, 0.5, 1, torch.qint8)"""

KINDS_HERE = """\
import scipy.sparse
assert [each.format for each in sparse] == ["coo", "csr", "csc", "bsr"]
assert all(scipy.sparse.issparse(each) and (each.toarray() == dense).all() for each in sparse)
assert (bsc == dense).all() and (quantized == dense).all()
assert [part.shape for part in nested] == [(2, 3), (1, 3)]
matrix = scipy.sparse.csr_array(dense * 2)
when = np.array(["1970-01-02"], "M8[D]")"""

KINDS_BACK = """\
%%torch
assert sparse[1].layout is torch.sparse_csr and nested.is_nested and quantized.is_quantized
twice = matrix.to_dense()
day = when.tolist()"""

TABLE = """\
import pandas as pd
df = pd.DataFrame({"a": [1, 2]})"""

# The local Pyodide has pandas and neither pyarrow nor polars.
TABLE_SENT = """\
try:
    %torch len(df)
except Exception as error:
    print(error)"""

TABLE_THERE = """\
%%torch
import pandas as pd, polars as pl
there = pd.DataFrame({"a": [3, 4]})
large = pl.DataFrame({"a": range(2**18)})
number = torch.tensor(1)"""


def test_kinds(run_notebook):
    cells = {
        "views": kinds.HERE,
        "views there": "%%torch\n" + kinds.THERE,
        "plans": PLANS,
        "sizes": SIZES,
        "raws": RAWS,
        "made": MADE,
        "checked": CHECKED,
        "sent": SENT,
        "sent there": SENT_THERE,
        "sent here": SENT_HERE,
        "kinds": KINDS,
        "kinds here": KINDS_HERE,
        "kinds back": KINDS_BACK,
        "back here": "assert (twice == matrix.toarray()).all() and day == [1]",
        "table": TABLE,
        "table sent": TABLE_SENT,
        "table there": TABLE_THERE,
        "table here": "assert number == 1 and 'there' not in dir() and 'large' not in dir()",
        "numbers sent": "numbers = df.to_numpy()",
        "numbers there": "%%torch -o came=there.to_numpy()\nnumbers += 1",
        "numbers here": "assert came.tolist() == [[3], [4]] and numbers.tolist() == [[2], [3]]",
    }
    run = run_notebook(list(cells.values()))
    run.ended(0)
    done = dict(zip(cells, run.cells, strict=True))
    assert done["checked"].stdout == f"{len(DTYPES) * 10} from torch\n"
    assert done["sent here"].stdout == f"{len(SAME) * 24} to torch\n"
    said = done["kinds"].stderr
    for name in ("bsc", "nested", "quantized"):
        assert said.count(f"`{name}` is ") == 1
    assert "`when` has the dtype datetime64[D]" in done["kinds back"].stderr
    lacks = "this page lacks {0}: write `%pip install {0}` here, or take `.to_numpy()` of it."
    assert done["table sent"].stdout.startswith("`df` can not be sent to the server: a pandas Data")
    assert lacks.format("pyarrow") in done["table sent"].stdout
    pandas, polars = done["table there"].stderr.splitlines()
    assert pandas.startswith("`there` stays on the server: a pandas DataFrame travels where")
    assert pandas.endswith(lacks.format("pyarrow")) and polars.endswith(lacks.format("polars"))
