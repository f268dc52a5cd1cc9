"""Every kind of value between torch and the page, as _kinds.py declares them, against a real kernel."""

import math
import sys

import kinds
import numpy as np
import PIL.Image
import pytest
import scipy.sparse
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyterlite_torch import _arrays, _kinds
from jupyterlite_torch._errors import TransferError

#: Of a property so many examples are tried, each being one cell with so many arrays.
EXAMPLES, ARRAYS = 60, 40
property_test = settings(
    max_examples=EXAMPLES,
    deadline=None,
    # One notebook serves all examples.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SHAPES = st.lists(st.integers(0, 5), max_size=4).map(tuple)
SEEDS = st.integers(0, 2**32 - 1)


HERE = kinds.here
random_bytes, same_bits = HERE["random_bytes"], HERE["same_bits"]


# --- Every dtype of torch, in every layout -------------------------------------------------------

#: Dtypes whose NaN torch itself widens in ways of its own.
WIDENED = [name for name, travel in _kinds.TRAVELS.items() if travel.wire != travel.here]
STRIDED = [name for name in _kinds.TRAVELS if not name.startswith("q")]


def made_here(raw, dtype):
    """What the page is to have of bytes of a dtype, as torch and NumPy see it."""
    travel = _kinds.TRAVELS[dtype]
    if dtype in WIDENED and raw.size:  # torch 2.13 does not view nothing as complex32.
        wide = torch.from_numpy(raw).view(getattr(torch, dtype)).to(getattr(torch, travel.here))
        return wide.numpy()
    return raw.view(travel.here) if raw.size else np.empty(0, travel.here)


@pytest.fixture
def workshop(notebook):
    """A notebook whose kernel can `build` tensors, of the dtypes that its torch knows."""
    notebook.torch(kinds.THERE)
    notebook.names["dtypes"] = STRIDED
    notebook.torch("dtypes = [name for name in dtypes if hasattr(torch, name)]")
    assert "bfloat16" in notebook.names["dtypes"]
    return notebook


PLANS = st.tuples(st.sampled_from(STRIDED), SHAPES, st.sampled_from(list(HERE["views"])), SEEDS)


@property_test
@given(st.lists(PLANS, min_size=ARRAYS, max_size=ARRAYS))
@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_every_dtype_of_torch_in_every_layout(workshop, plans):
    known = workshop.names["dtypes"]
    plans = [plan for plan in plans if plan[0] in known]
    raws = [
        random_bytes(number, math.prod(shape) * getattr(torch, dtype).itemsize, dtype)
        for dtype, shape, _, number in plans
    ]
    workshop.names.update(raws=raws, plans=[plan[:3] for plan in plans])
    workshop.torch("made = [build(raw, *plan) for raw, plan in zip(raws, plans)]")
    made = workshop.names["made"]
    for got, raw, (dtype, shape, view, _) in zip(made, raws, plans, strict=True):
        expected = HERE["views"][view](made_here(raw, dtype).reshape(shape))
        if (dtype, view) == ("complex32", "negated"):
            expected = expected.astype(np.float16)
        same_bits(got, expected, dtype not in WIDENED and view not in HERE["computed"])


def test_nan_keeps_its_payload_where_it_is_widened(notebook):
    notebook.torch(
        "b = torch.tensor([0x7f81, 0xffc1], dtype=torch.uint16).view(torch.bfloat16)\n"
        "e = torch.tensor([0x7d, 0xff], dtype=torch.uint8).view(torch.float8_e5m2)\n"
        "c = torch.tensor([0x7c01, 0xfe03], dtype=torch.uint16).view(torch.complex32)"
    )
    for name, bits in {
        "b": [0x7F810000, 0xFFC10000],
        "e": [0x7FA00000, 0xFFE00000],
        "c": [0x7F802000, 0xFFC06000],
    }.items():
        assert notebook.names[name].view(np.uint32).tolist() == bits


# --- Every dtype of NumPy, in every layout -------------------------------------------------------

SAME = [name for name, travel in _kinds.TRAVELS.items() if name == travel.here]


@property_test
@given(
    st.lists(
        st.tuples(st.sampled_from(SAME), SHAPES, st.sampled_from(list(HERE["layouts"])), SEEDS),
        min_size=ARRAYS,
        max_size=ARRAYS,
    )
)
def test_every_dtype_of_numpy_in_every_layout(notebook, plans):
    sent = []
    for dtype, shape, layout, number in plans:
        raw = random_bytes(number, math.prod(shape) * np.dtype(dtype).itemsize, dtype)
        sent.append(HERE["layouts"][layout](raw.view(dtype).reshape(shape)))
    notebook.names["sent"] = sent
    notebook.torch(
        "facts = [(str(t.dtype)[6:], list(t.shape), t.is_contiguous()) for t in sent]\n"
        "held = [t.reshape(-1).view(torch.uint8) for t in sent]\nback = [t.clone() for t in sent]"
    )
    names = notebook.names
    columns = (sent, plans, names["facts"], names["held"], names["back"])
    for array, plan, facts, held, back in zip(*columns, strict=True):
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
        assert facts == (plan[0], list(array.shape), True)
        assert held.tobytes() == native.tobytes()
        same_bits(back, native)


# --- What is not one plain piece of memory -------------------------------------------------------

COO = "torch.sparse_coo_tensor(torch.tensor([[2, 0, 2], [1, 0, 1]]), torch.tensor([1., 2., 4.]), (3, 2))"
FROM_TORCH = {
    "view": (
        "x = torch.arange(6.).reshape(2, 3).T[::2]",
        lambda x: same_bits(x, np.array([[0, 3], [2, 5]], "f4")),
    ),
    "subclass": (
        "class Image(torch.Tensor): pass\nx = torch.ones(2).as_subclass(Image)",
        lambda x: same_bits(x, np.ones(2, "f4")),
    ),
    "sparse": (
        f"coo = {COO}\ndense = torch.tensor([[0., 1, 0, 0], [2, 0, 0, 3]])\n"
        "x = [coo, dense.to_sparse_csr(), dense.to_sparse_csc(), dense.to_sparse_bsr((1, 2)),\n"
        "    dense.half().to_sparse_csr(), torch.zeros(0, 3).to_sparse(), dense.bool().to_sparse()]",
        lambda x: (
            assert_sparse(x[0], "coo", [[2, 0], [0, 0], [0, 5]]),
            *(
                assert_sparse(each, layout, [[0, 1, 0, 0], [2, 0, 0, 3]])
                for each, layout in zip(x[1:5], ("csr", "csc", "bsr", "csr"), strict=True)
            ),
            assert_sparse(x[5], "coo", np.zeros((0, 3))),
            assert_sparse(x[6], "coo", [[0, 1, 0, 0], [1, 0, 0, 1]]),
        ),
    ),
    "dense": (
        "d = torch.arange(1., 9).reshape(2, 2, 2)\nx = [d[0].to_sparse_bsc((1, 1)), d.to_sparse_csr(),"
        " d.to_sparse(2), d.to_sparse(), d[0, 1].to_sparse()]",
        lambda x: [
            same_bits(each, dense)
            for dense in [np.arange(1, 9, dtype="f4").reshape(2, 2, 2)]
            for each, dense in zip(x, [dense[0], dense, dense, dense, dense[0, 1]], strict=True)
        ],
    ),
    "mkldnn": ("x = torch.ones(2, 3).to_mkldnn()", lambda x: same_bits(x, np.ones((2, 3), "f4"))),
    "nested": (
        "parts = [torch.ones(2, 3), torch.zeros(1, 3)]\n"
        "x = [torch.nested.nested_tensor(parts, layout=how) for how in (torch.strided, torch.jagged)]",
        lambda x: [
            (same_bits(each[0], np.ones((2, 3), "f4")), same_bits(each[1], np.zeros((1, 3), "f4")))
            for each in x
        ],
    ),
    "masked": (
        "from torch.masked import masked_tensor\n"
        "x = masked_tensor(torch.tensor([1., 2.]), torch.tensor([True, False]))",
        lambda x: (
            same_bits(x.data, np.array([1, 2], "f4")),
            same_bits(x.mask, np.array([False, True])),
        ),
    ),
    "dtensor": (
        "import torch.distributed as dist\n"
        # torch 2.4 has them in a private module.
        "from torch.distributed._tensor import DeviceMesh, Shard, distribute_tensor\n"
        "dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)\n"
        "x = distribute_tensor(torch.ones(4), DeviceMesh('cpu', [0]), [Shard(0)])\n",
        lambda x: same_bits(x, np.ones(4, "f4")),
    ),
}


def assert_sparse(got, layout, dense):
    assert scipy.sparse.issparse(got) and got.format == layout
    assert got.shape == np.shape(dense) and (got.toarray() == dense).all()


def test_kinds_of_torch(notebook, capsys):
    notebook.torch("import warnings\nwarnings.simplefilter('ignore')")
    for kind, (code, check) in FROM_TORCH.items():
        notebook.torch(code)
        x = notebook.names["x"]
        check(x)
        note = _kinds.TORCH_KINDS[kind].note
        assert capsys.readouterr().err == (f"`x` {note}.\n" if note else ""), kind
        # Both sides have it now: nothing is sent in either direction.
        notebook.torch("x")
        assert notebook.names["x"] is x and capsys.readouterr().err == "", kind


def test_every_rule_is_tested():
    assert {*FROM_TORCH, "stays"} == set(_kinds.TORCH_KINDS)
    assert {*TO_TORCH, "refused"} == set(_kinds.PAGE_KINDS)


def test_tensors_without_values_stay_with_a_word(notebook, capsys):
    notebook.torch("from torch._subclasses import FakeTensorMode")
    for code in (
        "x = torch.empty(2, device='meta')",
        "x = torch.nn.LazyLinear(1).weight",
        "with FakeTensorMode(): x = torch.ones(2)",
        "x = torch.ones(2); x.untyped_storage().resize_(0)",
    ):
        notebook.torch(code)
        assert "x" not in notebook.names
        assert "`x` stays on the server: it" in capsys.readouterr().err
    with pytest.raises(TransferError, match="`x` can not be brought back"):
        notebook.torch("1", "-o x")


PER_TENSOR = "per_tensor", "0.1, 2"
PER_CHANNEL = "per_channel", "torch.tensor([0.1, 0.2]), torch.tensor([0, 1]), 0"
# With floats as zero points, which is the only way to make tensors of these dtypes (torch 2.13).
PACKED = "per_channel", "torch.tensor([0.1, 0.2]), torch.tensor([0., 1.]), 0"


def test_quantized(notebook, capsys):
    notebook.torch("import warnings\nwarnings.simplefilter('ignore')")
    for dtype, (how, scales) in [
        *(
            (dtype, how)
            for dtype in ("qint8", "quint8", "qint32")
            for how in (PER_TENSOR, PER_CHANNEL)
        ),
        *((dtype, PACKED) for dtype in ("quint4x2", "quint2x4")),
    ]:
        notebook.torch(
            f"x = torch.quantize_{how}(torch.arange(4.).reshape(2, 2) / 7, {scales}, torch.{dtype})\n"
            "wide = x.dequantize()"
        )
        same_bits(notebook.names["x"], notebook.names["wide"])
        assert capsys.readouterr().err == "`x` is quantized: its dequantized values came.\n"


def test_changes_in_place_of_kinds_come_back(notebook):
    notebook.torch(
        f"s = {COO}\nf = torch.zeros(2).to(torch.float8_e5m2)\ni = torch.zeros(2).bfloat16()\n"
        "b = torch.ones(3, dtype=torch.complex32).conj()"
    )
    notebook.torch("s._values().mul_(2)\nf.copy_(torch.ones(2))\ni[0] = 3\nb.zero_()")
    assert_sparse(notebook.names["s"], "coo", [[4, 0], [0, 0], [0, 10]])
    same_bits(notebook.names["f"], np.ones(2, "f4"))
    same_bits(notebook.names["i"], np.array([3, 0], "f4"))
    assert not notebook.names["b"].any()


# --- Values of the page --------------------------------------------------------------------------


DENSE = np.array([[0, 1.5, 0, 0], [2, 0, 0, 3]])
TO_TORCH = {
    "array": (np.arange(3.0), "x", np.arange(3.0)),
    "scalar": (np.float32(1.5), "[x, type(x).__name__]", [1.5, "float"]),
    "time": (
        [
            np.array(["2026-01-01", "NaT"], "M8[s]"),
            np.array([[1], [-2]], ">m8[ms]"),
            np.datetime64(5, "D"),
        ],
        "x",
        [np.array([1767225600, -(2**63)]), np.array([[1], [-2]]), 5],
    ),
    "sparse": (
        [
            getattr(scipy.sparse, f"{layout}_array")(DENSE)
            for layout in ("coo", "csr", "csc", "bsr")
        ],
        "[[str(t.layout)[13:], t.to_dense()] for t in x]",
        [["coo", DENSE], ["csr", DENSE], ["csc", DENSE], ["bsr", DENSE]],
    ),
    "other sparse": (
        [getattr(scipy.sparse, f"{layout}_array")(DENSE) for layout in ("dok", "lil", "dia")],
        "[t.to_dense() for t in x]",
        [DENSE] * 3,
    ),
    "masked": (
        np.ma.MaskedArray(np.arange(6, dtype="f4").reshape(2, 3).T, np.eye(3, 2)),
        "[x.get_data().clone(), x.get_mask().clone(), type(x).__name__]",
        [np.arange(6, dtype="f4").reshape(2, 3).T, ~np.eye(3, 2, dtype=bool), "MaskedTensor"],
    ),
    "image": (
        [PIL.Image.new("RGB", (3, 2), (1, 2, 3)), PIL.Image.new("L", (2, 1), 7)],
        "x",
        [np.array([[[1, 2, 3]] * 3] * 2, "u1"), np.full((1, 2), 7, "u1")],
    ),
}


def test_kinds_of_the_page(notebook, capsys):
    for kind, (value, expression, expected) in TO_TORCH.items():
        notebook.names["x"] = value
        notebook.torch(f"got = {expression}\nheld = id(x)")
        got, held = notebook.names["got"], notebook.names["held"]
        same_values(got, expected)
        note, said = _kinds.PAGE_KINDS[kind].note, capsys.readouterr().err
        assert bool(note) == ("`x` " in said) and (not note or note.split("{")[0] in said), kind
        notebook.torch("held = id(x)")
        assert notebook.names["held"] == held and capsys.readouterr().err == "", kind


def same_values(got, expected):
    if isinstance(expected, list):
        for each, other in zip(got, expected, strict=True):
            same_values(each, other)
    elif isinstance(expected, np.ndarray):
        same_bits(got, expected)
    else:
        assert got == expected and type(got) is type(expected)


def test_masked_arrays_both_ways(notebook):
    notebook.names["x"] = np.ma.MaskedArray([1.0, 2.0, 3.0], [False, True, False])
    notebook.torch(
        "import numpy\nx = x * 2\ny = numpy.ma.masked_array([1, 2, 3], [False, False, True])"
    )
    assert notebook.names["x"].tolist() == [2, None, 6]
    assert notebook.names["y"].tolist() == [1, 2, None]
    assert notebook.names["y"].data.tolist() == [1, 2, 3]
    # The mask alone changes, on either side.
    notebook.torch("y[0] = numpy.ma.masked")
    assert notebook.names["y"].tolist() == [None, 2, None]
    notebook.names["x"][0] = np.ma.masked
    assert notebook.torch("x.get_mask().tolist()") == [False, False, True]
    notebook.torch("y = [numpy.ma.masked_all((2, 0)), numpy.ma.masked_array(2, True)]")
    empty, single = notebook.names["y"]
    assert empty.shape == (2, 0) and single.tolist() is None


def test_more_dimensions_than_numpy_has(notebook, capsys):
    notebook.torch("x, y = torch.zeros((1,) * 65), torch.ones((1,) * 64)")
    assert notebook.names["y"].ndim == 64
    assert "`x` stays on the server: it has 65 dimensions" in capsys.readouterr().err
    with pytest.raises(
        TransferError, match="`x` .* has 65 dimensions, and arrays of NumPy have 64"
    ):
        notebook.torch("pass", "-o x")


def test_arrays_of_the_kernel_that_can_not_come(notebook):
    text = "['a'], numpy.dtypes.StringDType()"
    for made, dtype in (
        ("['a']", "<U1"),
        (text, "StringDType"),
        ("['2026'], 'M8[Y]'", r"datetime64\[Y\]"),
    ):
        with pytest.raises(TransferError, match=f"`x` .*: it is an array of dtype {dtype}"):
            notebook.torch(f"import numpy\nx = numpy.array({made})", "-o x")


def test_sparse_array_with_duplicates(notebook):
    ones = np.ones(3)
    csr = scipy.sparse.csr_array((ones, np.array([1, 0, 1]), np.array([0, 3])), shape=(1, 2))
    coo = scipy.sparse.coo_array((ones, (np.array([0, 0, 0]), np.array([1, 0, 1]))), shape=(1, 2))
    notebook.names["x"] = [csr, coo]
    notebook.torch("got = [t.to_dense() for t in x]")
    assert [each.tolist() for each in notebook.names["got"]] == [[[1, 2]], [[1, 2]]]


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_matrices_of_old(notebook):
    notebook.names["x"] = [np.matrix([[1.0, 2.0]]), scipy.sparse.csr_matrix([[1.0, 2.0]])]
    notebook.torch("got = [t.to_dense() + 1 for t in x]")
    assert [each.tolist() for each in notebook.names["got"]] == [[[2, 3]]] * 2


def test_what_torch_lacks_is_refused_with_advice(notebook):
    for value, advice in (
        (np.ma.MaskedArray(np.ones(2, "u1"), [True, False]), "MaskedTensor has no uint8: send"),
        (np.zeros(2, [("a", "f4"), ("b", "i4")]), r"\['a'\]"),
        (np.array([None]), "dtype object.*astype"),
        (np.array(["a"]), "dtype <U1.*astype"),
        (np.array(["a"], np.dtypes.StringDType()), r"dtype StringDType\(\).*astype"),
        (np.zeros(2, np.longdouble), "astype"),
    ):
        notebook.names["x"] = value
        with pytest.raises(TransferError, match=advice):
            notebook.torch("x")


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_sparse_without_scipy_is_dense(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    dense = torch.tensor([[0.0, 1, 0, 0], [2, 0, 0, 3]])
    coo = dense.to_sparse()
    csr, csc, bsr = dense.to_sparse_csr(), dense.to_sparse_csc(), dense.to_sparse_bsr((1, 2))
    for layout, parts in {
        "coo": (coo.indices(), coo.values()),
        "csr": (csr.crow_indices(), csr.col_indices(), csr.values()),
        "csc": (csc.ccol_indices(), csc.row_indices(), csc.values()),
        "bsr": (bsr.crow_indices(), bsr.col_indices(), bsr.values()),
    }.items():
        arrays = [part.numpy() for part in parts]
        same_bits(_arrays.compose("sparse", [layout, [2, 4], *arrays]), dense.numpy())
