"""Large tensors stay on the server until a local cell reads them."""

import copy
import gc
import inspect
import pickle

import numpy as np
import pytest

from jupyterlite_torch._errors import TransferError
from jupyterlite_torch._remote_array import REDUCTIONS, RemoteArray

pytestmark = pytest.mark.one_kernel

LARGE = "w = torch.arange(10**6, dtype=torch.float64).reshape(1000, 1000)"
HERE = np.arange(10**6, dtype="f8").reshape(1000, 1000)


def is_remote(notebook, name):
    return isinstance(notebook.names[name], RemoteArray)


@pytest.fixture
def w(notebook):
    notebook.torch(LARGE)
    assert is_remote(notebook, "w")
    return notebook


@pytest.fixture
def first_w(open_notebook):
    """With a kernel of its own, whose first handle it is."""
    notebook = open_notebook()
    notebook.torch(LARGE)
    return notebook


def test_it_says_what_it_is(w):
    remote = w.names["w"]
    assert remote.shape == (1000, 1000) and remote.dtype == np.float64 and remote.ndim == 2
    assert (remote.nbytes, remote.size, len(remote)) == (8 * 10**6, 10**6, 1000)
    assert (remote.device, remote.torch_dtype) == ("cpu", "torch.float64")
    assert repr(remote) == "<RemoteArray w: float64 (1000, 1000), 7.629 MiB on cpu>"
    w.local("facts = w.shape, w.dtype, len(w), w is None, w == None, w.name")
    w.local("w")
    w.local("w;")
    w.local("v = [1]\nw\nv")
    assert is_remote(w, "w") and w.names["w"]._array is None


def test_fetched_where_the_text_does_not_show_it(w):
    w.local("exec('total = (w + 1).sum()')")
    assert is_remote(w, "w") and w.names["w"].fetched is not None
    w.local("w")
    w.local("w[0, 0] = 7")
    assert type(w.names["w"]) is np.ndarray and w.torch("w[0, 0].item()") == 7


@pytest.mark.parametrize(
    "code", ["int(x)", "float(x)", "complex(x)", "'abcd'[x]", "3 in x", "4 in x", "f'{x:.2f}'"]
)
def test_it_is_what_an_array_is_to_python(notebook, code):
    notebook.torch("x = torch.tensor([[3]])[0, 0]", "--eager 0")
    assert eval(code, {"x": notebook.names["x"]}) == eval(code, {"x": np.array(3)})


def test_assigned_to_where_the_text_does_not_show_it(w):
    array = w.names["w"]
    array[0, 1] = -5
    assert w.torch("w[0, :2].tolist()") == [0, -5]


@pytest.mark.parametrize(
    "change",
    ["w[0][1] = 2", "w.T[1][0] -= 3", "w[0].fill(2)", "w[:, 1].sort()", "w.shape = 10, 10**5"],
)
def test_a_change_of_a_part_changes_the_whole(w, change):
    here = {"w": HERE[::-1].copy()}
    exec(change, here)
    w.torch("w = w.flip(0)")
    w.local(change)
    assert np.array_equal(w.names["w"], here["w"])
    assert w.torch("w.shape[0]") == len(here["w"])


def test_plotted_and_read_in_one_cell(w):
    w.local("w.plot()\nv = w + 1")
    assert np.array_equal(w.names["v"], HERE + 1) and is_remote(w, "w")
    w.local("w += 1")
    assert type(w.names["w"]) is np.ndarray and np.array_equal(w.names["w"], HERE + 1)


def test_a_large_view_is_summed_up(notebook):
    # 8 MiB that are copied to be summed up, from memory that the system takes back at once.
    notebook.torch("w = torch.arange(2**20, dtype=torch.float64).reshape(2**10, 2**10).t()")
    assert notebook.names["w"][1, 0] == 1


@pytest.mark.parametrize(
    "cell",
    [
        "v = w + 1",
        "v = w.sum(axis=0) if w.any() else 0; u = w",
        "import numpy as np; v = np.sin(w)",
        "def f(): return w.max() + w[0]\nv = f()",
        "v = [w]",
        "w[0, 0] = 5",
        "%time v = w * 2",
        "v = f'{w}'",
        "v = type(w)",
    ],
)
def test_a_local_cell_that_reads_it_has_it(w, cell):
    w.local(cell)
    assert type(w.names["w"]) is np.ndarray
    if "w[0, 0] =" not in cell:
        assert np.array_equal(w.names["w"], HERE)


def test_functions_of_earlier_cells_read_too(notebook):
    notebook.local("def total():\n    return type(w).__name__ + str(w.sum() + w.ravel()[0])")
    notebook.torch(LARGE)
    notebook.local("said = total()")
    assert notebook.names["said"].startswith("ndarray")


@pytest.mark.parametrize(
    "index",
    [
        "0", "-1", "slice(3)", "slice(-3, None)", "(slice(None), 0)", "(5, 7)", "...", "None",
        "([1, 2, 900], [3, 4, 5])", "(slice(0, 10, 3), slice(None, None, 400))",
        "slice(None, None, -250)", "np.arange(0, 1000, 333)", "np.arange(1000) % 400 == 0",
        "(None, 3, ..., None)", "[[0, 1], [1, 2]]", "np.array([1, 0, 3], 'u1')", "[]", "(5, ...)",
        "np.array([3, -1], 'i2')", "(np.int64(2), np.uint8(3))", "(3, [5, 7])", "range(3)",
    ],
)  # fmt: skip
def test_only_a_part_comes(w, index):
    index = eval(index)
    got = w.names["w"][index]
    assert np.array_equal(got, HERE[index]) and type(got) is type(HERE[index])
    assert got.dtype == HERE.dtype
    stepped_back = isinstance(index, slice) and (index.step or 1) < 0
    assert is_remote(w, "w") and (stepped_back or w.names["w"]._array is None)


def test_numbers_beside_arrays_are_numpys(notebook):
    """torch takes a number for a dimension that is gone before the arrays are looked at."""
    notebook.torch("t = torch.arange(60 * 61 * 62).reshape(60, 61, 62)\nNone")
    t, here = notebook.names["t"], np.arange(60 * 61 * 62).reshape(60, 61, 62)
    rows = np.arange(61) % 2 == 0
    for index in (
        (0, slice(None), [0, 1]), ([0, 1], slice(None), 5), (0, ..., rows[:-1].repeat(2)[:62]),
        (..., [3, 4]), (1, rows, 2), (slice(2), [[0], [1]], [[4, 5, 6]]), (0, None, [1, 2]),
        ([0, 1], [2, 3], ..., [4, 5]), (np.array(1), slice(None), [7, 8]), (True, 0, slice(None)),
    ):  # fmt: skip
        got, wanted = t[index], here[index]
        assert got.shape == wanted.shape and (got == wanted).all(), index


def test_an_index_that_numpy_refuses_too_fetches_nothing(w):
    for index in (1000, (0, 0, 0), "x", np.ones(3, bool)):
        with pytest.raises(IndexError):
            w.names["w"][index]
    assert w.names["w"]._array is None


def test_a_part_of_what_is_gone_says_so(w, monkeypatch):
    old = w.names["w"]
    w.torch("w = torch.zeros(10**6)")

    async def never(self):
        raise AssertionError("the whole was asked for")

    monkeypatch.setattr(RemoteArray, "_fetch", never)
    with pytest.raises(TransferError, match="`w` had is not on the server any more"):
        old[0]


def test_its_methods_say_what_they_do():
    for name in REDUCTIONS:
        method = getattr(RemoteArray, name)
        assert method.__doc__ == f"As `ndarray.{name}`, computed on the server."
        assert "axis=None" in str(inspect.signature(method)) and method.__name__ == name


def test_sums_are_made_on_the_server(w):
    remote = w.names["w"]
    for name in ("mean", "sum", "min", "max", "std", "var", "argmax", "argmin", "any", "all"):
        for axis in (None, 0, 1, -1):
            got, wanted = getattr(remote, name)(axis=axis), getattr(HERE, name)(axis=axis)
            assert np.allclose(got, wanted) and np.shape(got) == np.shape(wanted), (name, axis)
            assert type(got) is type(wanted) and got.dtype == wanted.dtype, (name, axis)
    assert remote.max(axis=(0, 1)) == HERE.max() and remote.sum((0, 1)) == HERE.sum()
    with pytest.raises(np.exceptions.AxisError):
        remote.mean(axis=2)
    assert remote.mean(axis=0, keepdims=True).shape == (1, 1000)
    assert np.isclose(remote.std(ddof=1), HERE.std(ddof=1))
    small = remote.astype("float32")
    assert isinstance(small, RemoteArray) and small.dtype == np.float32
    assert np.array_equal(small, HERE.astype("f4")) and np.array_equal(remote.T, HERE.T)
    assert remote._array is None


def test_what_torch_does_not_compute_is_numpys(notebook):
    make = "w = torch.arange(10**6).to(torch.{}).reshape(1000, 1000)"
    here = np.arange(10**6).reshape(1000, 1000)
    for dtype, compute in (
        ("float64", lambda a: a.sum(dtype="f4")),
        ("float64", lambda a: a.min(initial=-5)),
        ("float64", lambda a: a.std(0, None, None, 1)),
        ("float64", lambda a: a.prod(axis=(0, 1))),
        ("uint16", lambda a: a.sum(axis=0)),
        ("float64", lambda a: a.astype(">f4")[0]),
        ("float64", lambda a: a.astype(str)[0]),
    ):
        notebook.torch(make.format(dtype))
        with np.errstate(over="ignore", invalid="ignore"):
            got, wanted = compute(notebook.names["w"]), compute(here.astype(dtype))
        assert np.array_equal(got, wanted) and got.dtype == wanted.dtype


def test_sums_have_the_dtype_and_the_precision_of_the_page(notebook):
    notebook.torch(
        "b = torch.full((10**6,), 1.0078125, dtype=torch.bfloat16); b[0] = 3\n"
        "u = torch.full((2 * 10**6,), 200, dtype=torch.uint8)"
    )
    b, u = notebook.names["b"], notebook.names["u"]
    here = np.full(10**6, 1.0078125, "f4")
    here[0] = 3
    for name in ("sum", "mean", "std"):
        got, wanted = getattr(b, name)(), getattr(here, name)()
        assert np.isclose(got, wanted, rtol=1e-5) and got.dtype == np.float32, name
    assert u.sum() == 4 * 10**8 and u.sum().dtype == np.uint64
    assert u.any().dtype == bool and u.all() and b.fetched is None and u.fetched is None


def test_await_and_asarray(w):
    remote = w.names["w"]
    first = w.wait(remote.fetch())
    assert np.array_equal(first, HERE) and w.wait(remote.fetch()) is first
    assert np.asarray(remote) is first
    w.torch(LARGE)
    assert np.array_equal(np.asarray(w.names["w"]), HERE)
    w.torch(LARGE)
    assert (np.add(w.names["w"], 1) == HERE + 1).all() and (w.names["w"] - HERE == 0).all()
    w.torch(LARGE)
    assert sum(row[1] for row in w.names["w"]) == HERE[:, 1].sum()


def test_await_of_what_was_fetched(w):
    w.local("total = w.sum() + (w * 1).sum()")
    assert type(w.names["w"]) is np.ndarray
    w.local("again = await w\nnumber = await w[3, 4]")
    assert w.names["again"] is w.names["w"] and w.names["number"] == 3004
    w.torch(LARGE + "\nparts = {'w': w}")
    w.local("async def sum_of(name):\n    return (await parts[name]).sum() + (await w).sum()")
    w.local("total = [await sum_of(name) for name in parts]")
    assert w.names["total"] == [2 * HERE.sum()]
    with pytest.raises(TypeError, match="int"):
        w.local("await 5")


def test_it_goes_back_without_being_sent(w, monkeypatch):
    def never(*_):
        raise AssertionError("an upload")

    monkeypatch.setattr(type(w.connection.channel), "upload", never)
    assert w.torch("w.sum().item()") == HERE.sum()
    w.names["other"] = w.names["w"]
    w.names["both"] = {"a": [w.names["w"], 1]}
    assert w.torch("other is w and both['a'][0] is w")
    # Fetched, it is still what the server has.
    w.local("total = (w * 1).sum()")
    assert w.torch("w.sum().item()") == HERE.sum()
    monkeypatch.undo()
    w.local("w[0, 0] = 7")
    assert w.torch("w[0, 0].item()") == 7


def test_read_here_it_is_the_same_tensor_there(notebook):
    """A cell that reads what was fetched and not changed has its own tensors, not copies of them."""
    notebook.torch(
        "class Model: w, v = torch.zeros(2**18, dtype=torch.float64), torch.ones(2**19)\n"
        "w, parts = Model.w, {'v': Model.v}"
    )
    notebook.local("exec('w + 1; parts[\"v\"] + 1')")
    assert notebook.names["w"].fetched is not None
    assert (
        notebook.torch("w += 1\nw is Model.w and parts['v'] is Model.v and Model.w[0].item()") == 1
    )


def test_a_copy_is_an_ndarray(w):
    for copied in (copy.copy, copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))):  # noqa: S301
        array = copied(w.names["w"])
        assert type(array) is np.ndarray and np.array_equal(array, HERE)


def test_of_an_expression_it_goes_back_without_being_sent(w, monkeypatch):
    monkeypatch.setattr(type(w.connection.channel), "upload", None)
    w.torch("1", "-o twice=w*2")
    assert is_remote(w, "twice")
    assert w.torch("twice[0, 1].item()") == 2


def test_in_containers(notebook):
    notebook.torch("state = {'w': torch.ones(10**6), 'n': [torch.zeros(3), torch.zeros(10**6)]}")
    state = notebook.names["state"]
    assert isinstance(state["w"], RemoteArray) and isinstance(state["n"][0], np.ndarray)
    notebook.local("total = sum(v.sum() for v in (state['w'], *state['n']))")
    assert notebook.names["total"] == 10**6 and type(state["n"][1]) is np.ndarray


def test_bound_anew_it_expires(w):
    old = w.names["w"]
    w.torch("w = torch.zeros(10**6)")
    assert w.names["w"] is not old
    with pytest.raises(TransferError, match="`w` had is not on the server any more"):
        np.asarray(old)


def test_asked_for_it_is_kept_until_nobody_has_it(notebook):
    notebook.torch(LARGE + "\nimport gc, weakref\n_alive = weakref.ref(w)", "-o w")
    kept = notebook.names["w"]
    notebook.torch("w = 1")
    assert notebook.torch("gc.collect(); _alive() is not None")
    assert np.array_equal(np.asarray(kept), HERE)
    notebook.torch(LARGE + "\n_alive = weakref.ref(w)", "-o w")
    notebook.torch("w = 1")
    gc.collect()
    # The next cell tells the server.
    notebook.torch("")
    assert not notebook.torch("gc.collect(); _alive() is not None")


def test_changed_in_place_it_is_fetched_as_it_is_now(w, capsys):
    w.torch("_alias = w.view(-1)", "--no-auto")
    w.torch("_alias += 1", "--no-auto")
    assert np.array_equal(np.asarray(w.names["w"]), HERE + 1)
    assert "`w` was changed in place" in capsys.readouterr().err


def test_other_names_follow_a_change_in_place(w):
    w.local("v = w")
    assert type(w.names["v"]) is np.ndarray and w.names["v"] is w.names["w"]
    w.torch("w += 1")
    assert np.array_equal(w.names["v"], HERE + 1)


def test_a_new_kernel_has_nothing_of_it(first_w):
    w = first_w
    w.line("restart")
    with pytest.raises(TransferError, match="not on the server any more|is gone"):
        np.asarray(w.names["w"])
    with pytest.raises(TransferError, match="is gone"):
        w.torch("w")
    # Whose handles have the same IDs.
    old = w.names.pop("w")
    w.torch(LARGE)
    assert w.names["w"].handle[1] == old.handle[1]
    with pytest.raises(TransferError, match="is gone"):
        np.asarray(old)


def test_as_an_index_of_another_one(open_notebook):
    notebook = open_notebook()
    make = "w = torch.arange(1e6).flip(0)\n{} = torch.arange(200_000) + 1"
    notebook.torch(make.format("rows"))
    w, rows = notebook.names["w"], notebook.names["rows"]
    here = np.arange(1e6)[::-1]
    assert np.array_equal(w[rows], here[1:200_001]) and rows.fetched is None
    notebook.line("restart")
    notebook.torch(make.format("same_id"))
    assert notebook.names["same_id"].handle[1] == rows.handle[1]
    with pytest.raises(TransferError, match="`rows` was in a kernel of the server that is gone"):
        notebook.names["w"][rows]


def test_an_index_that_torch_refuses_is_fetched_for_numpy(w):
    w.torch("rows = torch.arange(200_000) % 1000")
    rows = w.names["rows"]
    assert np.array_equal(w.names["w"][::-250, rows], HERE[::-250, np.arange(200_000) % 1000])
    assert rows.fetched is not None


def test_an_index_that_can_not_go_is_numpys(w):
    with pytest.raises(IndexError):
        w.names["w"][object()]
    assert w.names["w"].fetched is None
    # Above the 32 MiB that the server takes in a message.
    index = np.zeros(5 * 10**6, np.int64)
    assert w.names["w"].reshape(-1)[index].shape == index.shape


def test_what_was_fetched_goes_to_a_new_kernel(first_w):
    w = first_w
    old = w.names["w"]
    assert np.asarray(old)[1, 0] == 1000
    w.line("restart")
    w.torch("w = torch.zeros(1000, 1000)")
    assert w.names["w"].handle[1] == old.handle[1]
    w.names["w"] = old
    assert w.torch("w[1, 0].item()") == 1000


def test_bfloat16_is_widened(notebook):
    notebook.torch("b = torch.arange(10**6).bfloat16()\nf = b.float()")
    b = notebook.names["b"]
    assert (b.dtype, b.nbytes, b.torch_dtype) == (np.float32, 2 * 10**6, "torch.bfloat16")
    assert np.array_equal(np.asarray(b), np.asarray(notebook.names["f"]))


def test_a_part_larger_than_an_array_can_be(w):
    with pytest.raises(TransferError, match=r"`w\[\.\.\.\]` can not be fetched: its 7.451 GiB are"):
        w.names["w"][np.arange(10**6) % 1000]
