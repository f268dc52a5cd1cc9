"""The rules of the magic, each against a real kernel: docs/guide.md, "Rules"."""

import math

import numpy as np
import pytest

from jupyterlite_torch._errors import OptionError, RemoteError, TransferError


def same(a, b):
    assert type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape
    assert a.tobytes() == b.tobytes()


def test_torch_and_device_are_there(notebook):
    notebook.torch("kind = str(device); version = torch.__version__")
    assert notebook.names["kind"] in ("cpu", "cuda:0", "cuda")
    assert notebook.names["version"].startswith("2.")


def test_arrays_go_and_come_back(notebook):
    notebook.names["x"] = np.linspace(0, 1, 7)
    notebook.torch("assert isinstance(x, torch.Tensor) and x.dtype == torch.float64\ny = x * 2")
    same(notebook.names["y"], np.linspace(0, 1, 7) * 2)


DTYPES = (
    "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool "
    "complex64 complex128"
).split()


def layouts(dtype, rng):
    """Arrays of random bits, NaN payloads among them, in every layout that NumPy has."""
    itemsize = np.dtype(dtype).itemsize
    raw = rng.integers(0, 2 if dtype == "bool" else 256, 24 * itemsize, dtype=np.uint8)
    a = raw.view(dtype).reshape(2, 3, 4)
    return {
        "plain": a,
        "scalar": np.array(a[0, 0, 0]),
        "empty": a[:0],
        "strided": a[:, ::2],
        "reversed": a[::-1],
        "fortran": np.asfortranarray(a),
        "swapped": a.astype(a.dtype.newbyteorder()) if itemsize > 1 else a,
        "readonly": np.broadcast_to(a, (2, 2, 3, 4)),
    }


def test_every_dtype_and_layout_is_exact_both_ways(notebook):
    rng = np.random.default_rng(0)
    arrays = {
        f"{layout}_{dtype}": array
        for dtype in DTYPES
        for layout, array in layouts(dtype, rng).items()
    }
    notebook.names.update(arrays)
    notebook.torch("\n".join(f"got_{name} = {name}.clone()" for name in arrays))
    for name, array in arrays.items():
        native = array.dtype.newbyteorder("=")
        expected = np.ascontiguousarray(array, dtype=native).reshape(array.shape)
        same(notebook.names[f"got_{name}"], expected)


def test_bfloat16_is_widened_exactly(notebook):
    notebook.torch("b = torch.arange(-50, 50, dtype=torch.bfloat16) / 7\nwide = b.float()")
    same(notebook.names["b"], notebook.names["wide"])


def test_views_and_gradients_come_back(notebook):
    notebook.torch(
        "w = torch.arange(12.).reshape(3, 4).requires_grad_()\nt = w.T\nc = torch.randn(3, "
        "dtype=torch.complex64).conj()\nplain = c.resolve_conj()\ne = torch.ones(2, 1).expand(2, 5)"
    )
    same(notebook.names["t"], np.ascontiguousarray(np.arange(12, dtype="f4").reshape(3, 4).T))
    same(notebook.names["c"], notebook.names["plain"])
    same(notebook.names["e"], np.ones((2, 5), "f4"))


def test_plain_values_keep_their_types(notebook):
    value = [
        None, True, 3, 2**80, -1.5, -0.0, 1 + 2j, "ü\n", b"\x00\xff", bytearray(b"x"),
        (1, (2,)), {1: "a", (2, 3): None, "k": [1]}, {1, 2}, frozenset({3}), range(2, 9, 3),
        slice(1, None, 2), ..., float("inf"),
    ]  # fmt: skip
    notebook.names["value"] = value
    notebook.torch("back = value; nan = float('nan')")
    back = notebook.names["back"]
    assert back == value
    assert [type(item) for item in back] == [type(item) for item in value]
    assert math.copysign(1, back[5]) == -1
    assert math.isnan(notebook.names["nan"])


def test_containers_keep_their_nesting_and_shared_tensors(notebook):
    notebook.torch("t = torch.ones(3)\ntree = {'a': [t, (t, 1)], 2: t}")
    tree = notebook.names["tree"]
    assert tree["a"][0] is tree[2] is tree["a"][1][0]
    assert isinstance(tree["a"][1], tuple)


def test_named_tuples_and_kinds_of_dict(notebook):
    notebook.local(
        "from collections import namedtuple, defaultdict\nP = namedtuple('P', 'x y')\n"
        "p = P(1, [2])\nd = defaultdict(list, a=[1])"
    )
    notebook.torch("q = p; z = p.x; e = d['a']\nm = torch.tensor([[1., 3.]]).max(1)")
    assert notebook.names["q"] == (1, [2]) and notebook.names["q"].y == [2]
    assert notebook.names["m"].values == 3 and notebook.names["m"].indices == 1


def test_state_dict_comes_back(notebook):
    notebook.torch("model = torch.nn.Linear(2, 3)\nstate = model.state_dict()")
    assert notebook.names["state"]["weight"].shape == (3, 2)
    assert "model" not in notebook.names


def test_device_of_what_is_sent(notebook):
    # The meta device is there without a GPU, and shows where a tensor went.
    notebook.local(
        "from collections import namedtuple\nimport numpy as np\nP = namedtuple('P', 'a b')"
    )
    notebook.local("x = np.ones(2); y = [x, 1]; p = P(x, 2); n = 3")
    notebook.torch("where = x.device.type", "-i x:meta")
    assert notebook.names["where"] == "meta"
    notebook.line("device meta")
    notebook.torch("where = [y[0].device.type, p.a.device.type, n]")
    assert notebook.names["where"] == ["meta", "meta", 3]
    notebook.names["x"] = np.zeros(2)
    notebook.torch("where = x.device.type", "-i x:cpu")
    assert notebook.names["where"] == "cpu"
    with pytest.raises(OptionError):
        notebook.line("device 'cuda'")


def test_floating_point_arrays_are_sent_as(notebook):
    notebook.local("import numpy as np\nx = np.array([0.1, 1e300]); y = x[:1].astype('f4')")
    notebook.local(
        "i = np.arange(3); z = x * 1j; both = {'x': x, 'again': x, 'n': 2.5, 'b': i > 1}"
    )
    kinds = "[str(v.dtype) for v in (x, y, i, z, both['x'], both['b'])]"
    notebook.torch(f"kinds = {kinds}; same = both['x'] is x, both['n']; h = x", "--as float16")
    half = ["torch.float16", "torch.float16", "torch.int64", "torch.complex128"]
    assert notebook.names["kinds"] == [*half, "torch.float16", "torch.bool"]
    assert notebook.names["same"] == (True, 2.5)
    assert notebook.names["h"].dtype == np.float16
    assert np.array_equal(notebook.names["h"], np.array([0.1, np.inf], "f2"))
    # What has not changed is not sent again, whatever that cell asks for.
    notebook.torch(f"kinds = {kinds}", "--as float64")
    assert notebook.names["kinds"][:2] == half[:2]
    notebook.torch(f"kinds = {kinds}; where = x.device.type", "--as bfloat16 -i x:meta")
    assert notebook.names["kinds"][:2] == ["torch.bfloat16", "torch.float16"]
    assert notebook.names["where"] == "meta"


def test_what_was_sent_as_another_dtype_comes_back_when_it_changes(notebook):
    notebook.local("import numpy as np\nx = np.array([0.1, 2, 3]); alias = x")
    notebook.torch("s = x.sum()", "--as bfloat16")
    assert notebook.names["x"][0] == 0.1
    notebook.torch("x += 1")
    x = notebook.names["x"]
    assert x is notebook.names["alias"] and x.tolist() == [1.1015625, 3, 4]
    notebook.torch("kind = str(x.dtype)")
    assert notebook.names["kind"] == "torch.bfloat16"
    notebook.local("x[0] = 0.25")
    notebook.torch("kind = str(x.dtype), x[0].item()")
    assert notebook.names["kind"] == ("torch.float64", 0.25)


def test_as_saves_bytes_on_the_wire(notebook, monkeypatch):
    sizes = []
    channel = type(notebook.connection.channel)
    upload = channel.upload

    async def count(self, identifier, pieces, size, *rest):
        sizes.append(size)
        await upload(self, identifier, pieces, size, *rest)

    monkeypatch.setattr(channel, "upload", count)
    notebook.local("import numpy as np\nx = np.linspace(0, 1, 10**6)")
    for dtype, itemsize in (("float64", 8), ("float32", 4), ("float16", 2), ("bfloat16", 4)):
        total = notebook.torch(
            f"(x.double().sum() - {notebook.names['x'].sum()}).item()", f"-i x --as {dtype}"
        )
        assert abs(total) < 500
        assert 0 <= sizes.pop() - itemsize * 10**6 < 1000


def test_eager(notebook, capsys):
    make = "a = torch.ones(2**20); b = torch.ones(3 * 2**20); c = torch.ones(5 * 2**18)"

    def here():
        return [type(notebook.names[n]) is np.ndarray for n in "abc"]

    notebook.torch(make)
    assert here() == [False, False, False]
    notebook.torch(make, "--eager 8MiB")
    assert here() == [True, False, True] and notebook.names["a"].sum() == 2**20
    notebook.torch(make, "--eager 100MiB")
    assert here() == [True, True, True] and notebook.names["b"].sum() == 3 * 2**20
    notebook.torch("s = torch.ones(3); t = [torch.ones(4), 1]", "--eager 0")
    assert type(notebook.names["s"]).__name__ == "RemoteArray"
    capsys.readouterr()
    notebook.line("eager 5120 KiB")
    notebook.line("device meta")
    notebook.line("status")
    said = capsys.readouterr().out
    assert "Arrays go to meta. Arrays of up to 5 MiB each are here right after their cell." in said
    notebook.torch(make)
    assert here() == [True, False, True]
    notebook.torch(make, "--eager 1M")
    assert here() == [False, False, False]
    notebook.line("eager default")
    assert "Arrays of 1 MiB together" in capsys.readouterr().out
    with pytest.raises(OptionError, match="`%torch eager` takes a size"):
        notebook.line("eager lots")


def test_module_alias_is_imported_there(notebook):
    notebook.local("import math as m, numpy as np\nfrom math import sqrt\nfrom os import path as p")
    notebook.torch("a = m.floor(2.5); b = sqrt(9); c = p.join('x', 'y'); d = np.float32(2)")
    assert [notebook.names[n] for n in "abc"] == [2, 3.0, "x/y"]
    assert notebook.names["d"] == np.float32(2) and type(notebook.names["d"]) is np.float32


def test_missing_module_says_where_to_install(notebook):
    notebook.local(
        "import sys, types\nsys.modules['nowhere_else'] = nowhere = types.ModuleType('nowhere_else')"
    )
    with pytest.raises(TransferError, match="%pip install nowhere_else"):
        notebook.torch("nowhere.x")
    notebook.local("del sys.modules['nowhere_else']")
    notebook.torch("ok = 1")


def test_local_function_is_refused_with_advice(notebook):
    notebook.local("def f(x): return x")
    with pytest.raises(TransferError, match="define it in a `%%torch` cell"):
        notebook.torch("f(1)")
    notebook.torch("def f(x): return x + 1")
    notebook.torch("y = f(1)")
    assert notebook.names["y"] == 2


def test_what_a_remote_function_reads_is_pushed(notebook):
    notebook.names["scale"] = 2
    notebook.torch("def times(x): return x * scale\na = times(3)")
    notebook.names["scale"] = 5
    notebook.torch("b = times(3)")
    assert (notebook.names["a"], notebook.names["b"]) == (6, 15)


def test_what_a_held_function_reads_is_pushed(notebook):
    notebook.names["k"] = 2
    notebook.torch("double = lambda x: x * k\nsteps = [double]")
    notebook.names["k"] = 5
    assert notebook.torch("double(3)") == 15
    notebook.names["k"] = 7
    assert notebook.torch("steps[0](3)") == 21


def test_global_assigned_by_a_called_function_comes_back(notebook):
    notebook.names["count"] = 1
    notebook.torch("def up():\n    global count\n    count += 1")
    notebook.torch("up(); up()")
    assert notebook.names["count"] == 3


def test_under_time_and_friends(notebook):
    notebook.names["x"] = 4
    notebook.torch("%time y = x * 2")
    notebook.torch("%%time\nz = y + x")
    assert (notebook.names["y"], notebook.names["z"]) == (8, 12)


def test_augmented_assignment_reads(notebook):
    notebook.names["x"] = np.ones(2)
    notebook.torch("x += 1")
    same(notebook.names["x"], np.full(2, 2.0))


def test_in_place_change_there_reaches_aliases_here(notebook):
    notebook.local("import numpy as np\na = np.zeros(3); alias = a; losses = []; keep = losses")
    notebook.torch("a.add_(1)\nlosses.append(0.5)")
    same(notebook.names["alias"], np.ones(3))
    assert notebook.names["keep"] == [0.5]


def test_change_through_numpy_there_comes_back(notebook):
    notebook.names["a"] = np.zeros(4)
    notebook.torch("a.numpy()[:] = 7")
    same(notebook.names["a"], np.full(4, 7.0))


def test_in_place_change_here_is_pushed(notebook):
    notebook.names["a"] = np.arange(4.0)
    notebook.torch("first = a.clone()")
    notebook.names["a"][:] = notebook.names["a"][::-1].copy()  # A sum would not see it.
    notebook.torch("second = a.clone()")
    same(notebook.names["second"], np.arange(4.0)[::-1].copy())


def test_unchanged_array_is_not_sent_again(notebook):
    notebook.names["a"] = np.arange(1e6)
    notebook.torch("there = id(a)")
    there = notebook.names["there"]
    notebook.torch("there = id(a)")
    assert notebook.names["there"] == there


def test_assigned_name_comes_back_even_if_the_server_thinks_it_known(notebook):
    notebook.torch("x = 5")
    notebook.names["x"] = 7
    notebook.torch("x = 5")
    assert notebook.names["x"] == 5


def test_deleted_on_either_side(notebook):
    notebook.torch("x = 1; y = 2")
    notebook.torch("del x")
    assert "x" not in notebook.names
    notebook.local("del y")
    with pytest.raises(NameError, match="'y' is not defined"):
        notebook.torch("y")


def test_underscore_names_stay(notebook):
    notebook.torch("_hidden = 1; shown = 2")
    assert "_hidden" not in notebook.names and notebook.names["shown"] == 2


def test_other_objects_stay_without_a_word(notebook, capsys):
    notebook.names["model"] = "a local string"
    notebook.torch("model = torch.nn.Linear(1, 1)")
    notebook.torch("kind = type(model).__name__")
    assert notebook.names["kind"] == "Linear"
    assert capsys.readouterr().err == ""


def test_an_object_that_can_not_be_looked_at_takes_nothing_along(notebook, capsys):
    odd = "class Odd:\n    __class__ = property(lambda self: 1 / 0)\n"
    notebook.torch(f"{odd}x = torch.arange(3)\nodd = Odd()\nodds = [x, odd]")
    assert notebook.names["x"].tolist() == [0, 1, 2] and "odd" not in notebook.names
    said = capsys.readouterr().err
    assert "`odd` stays on the server: looking at it raises ZeroDivisionError." in said
    assert "`odds` stays on the server: looking at it raises ZeroDivisionError." in said
    text = "`odd` can not be brought back: looking at it raises ZeroDivisionError"
    with pytest.raises(TransferError, match=text):
        notebook.torch("x += 1", "-o odd")
    assert notebook.names["x"].tolist() == [1, 2, 3]


def test_conflict_is_said_once_and_local_wins(notebook, capsys):
    notebook.torch("x = torch.zeros(2)")
    notebook.torch("import __main__; __main__.__dict__['x'].fill_(3)", "--no-auto")
    notebook.names["x"] = np.ones(2, "f4")
    notebook.torch("y = x + 0")
    same(notebook.names["y"], np.ones(2, "f4"))
    assert "`x` was changed here and on the server" in capsys.readouterr().err
    notebook.torch("y = x + 0")
    assert capsys.readouterr().err == ""


def test_error_midway_brings_back_what_was_assigned(notebook):
    with pytest.raises(ZeroDivisionError):
        notebook.torch("x = 1\n1/0\ny = 2")
    assert notebook.names["x"] == 1 and "y" not in notebook.names


def test_remote_error_is_also_its_own_type(notebook):
    with pytest.raises(RuntimeError, match="shape") as caught:
        notebook.torch("torch.ones(2, 3) @ torch.ones(2, 3)")
    assert isinstance(caught.value, RemoteError)
    with pytest.raises(KeyError):
        notebook.torch("{}['x']")
    with pytest.raises(SyntaxError):
        notebook.torch("def (")
    with pytest.raises(RemoteError, match="mine") as caught:
        notebook.torch("class Mine(Exception): pass\nraise Mine('mine')")
    assert str(type(caught.value)) == "Mine"
    assert "line 2" in "".join(caught.value._render_traceback_()).replace("\x1b[32m", "")


def test_secrets_do_not_go_by_themselves(notebook):
    notebook.names.update(api_key="s3cret", config={"password": "x"}, tokens=["a"], key=3)
    for name in ("api_key", "config"):
        with pytest.raises(TransferError, match="looks like a secret"):
            notebook.torch(f"print({name})")
    notebook.torch("n = len(tokens) + key")
    assert notebook.names["n"] == 4
    notebook.torch("n = len(api_key)", "-i api_key")
    assert notebook.names["n"] == 6


def test_large_by_accident(notebook):
    notebook.names["big"] = np.zeros(2**28 + 1, np.uint8)
    with pytest.raises(TransferError, match="%%torch -i big"):
        notebook.torch("n = big.numel()")
    notebook.torch("n = big.numel()", "-i big")
    assert notebook.names["n"] == 2**28 + 1


def test_untransferable_value_is_named(notebook):
    notebook.names.update(
        thing=object(), objects=np.array([object()]), text=np.array(["2026-01-01"])
    )
    with pytest.raises(TransferError, match="`thing` can not be sent"):
        notebook.torch("thing")
    with pytest.raises(TransferError, match="`objects` can not be sent.*dtype object"):
        notebook.torch("objects")
    with pytest.raises(TransferError, match="`text` can not be sent"):
        notebook.torch("text")
    cycle = []
    cycle.append(cycle)
    notebook.names["cycle"] = cycle
    with pytest.raises(TransferError, match="contains itself"):
        notebook.torch("cycle")
    notebook.torch("fine = 1")


def test_name_that_does_not_exist(notebook):
    with pytest.raises(TransferError, match="`nothing` does not exist on the server"):
        notebook.torch("1", "-o nothing")
    with pytest.raises(TransferError, match="`nothing` of -i does not exist here"):
        notebook.torch("1", "-i nothing")
    with pytest.raises(NameError, match="nothing"):
        notebook.torch("nothing")


def test_array_that_the_browser_can_not_hold(notebook):
    notebook.torch("small = 1\nbig = torch.empty(600_000_000)")
    with pytest.raises(
        TransferError, match=r"`big` can not be fetched: its 2.235 GiB .* `big\[:1000\]`"
    ):
        notebook.local("big + 1")
    notebook.local("part = len(big[:3])")
    assert notebook.names["part"] == 3 and notebook.torch("len(big)") == 600_000_000


def test_tensors_without_values_stay_with_a_word(notebook, capsys):
    notebook.torch("m = torch.empty(2, device='meta')")
    assert "`m` stays on the server: it is on the meta device" in capsys.readouterr().err
    assert "m" not in notebook.names
    with pytest.raises(TransferError, match="`m` can not be brought back.*no values"):
        notebook.torch("1", "-o m")


def test_optimizer_step_changes_what_it_does_not_name(notebook):
    notebook.torch(
        "w = torch.ones(2, requires_grad=True)\nstep = torch.optim.SGD([w], lr=1.0).step\n"
        "w.sum().backward()"
    )
    notebook.torch("step()")
    same(notebook.names["w"], np.zeros(2, "f4"))


def test_inference_tensors_come_back(notebook):
    notebook.torch("with torch.inference_mode():\n    p = torch.ones(2) * 2")
    same(notebook.names["p"], np.full(2, 2, "f4"))
    notebook.torch("q = p + 1")
    same(notebook.names["q"], np.full(2, 3, "f4"))


def test_output_expressions(notebook):
    notebook.torch("w = torch.arange(10.)", "-o part=w[:3],total=w.sum()")
    same(notebook.names["part"], np.arange(3, dtype="f4"))
    assert notebook.names["total"] == 45 and notebook.names["total"].shape == ()
    with pytest.raises(TransferError, match="IndexError"):
        notebook.torch("1", "-o part=w[99]")
    notebook.names.update(x=np.arange(5.0), k=2)
    notebook.torch("", "-o head=x[:k]")
    same(notebook.names["head"], np.arange(2.0))


def test_output_expressions_are_read_by_the_next_cell(notebook):
    notebook.torch(
        "w = torch.arange(10.)", "-o part=w[:3],facts=dict(w=w[1:],n=2),number=w.sum().item()"
    )
    assert notebook.torch("part.sum().item(), facts['w'].sum().item(), number") == (3, 45, 45)
    notebook.torch("k = 1", "-o k=k+1")
    assert notebook.torch("k") == notebook.names["k"] == 2
    # Unlike what a name stands for, a value does not follow what it was computed from.
    notebook.torch("w.zero_()")
    same(notebook.names["part"], np.arange(3, dtype="f4"))


def test_a_second_name_of_what_is_here_is_the_same_object(notebook):
    x = notebook.names["x"] = np.ones(3)
    notebook.torch("y = x; pair = {'x': x, 'z': x + 1}; on_cpu = x.to('cpu'); keyed = {x: 1}")
    assert notebook.names["y"] is notebook.names["on_cpu"] is notebook.names["pair"]["x"] is x
    same(notebook.names["pair"]["z"], np.full(3, 2.0))
    assert "keyed" not in notebook.names
    notebook.torch("y += 1; other = x; x = torch.zeros(2)")
    assert notebook.names["other"] is notebook.names["y"] is x
    same(x, np.full(3, 2.0))
    same(notebook.names["x"], np.zeros(2, "f4"))


def test_a_second_name_of_what_stays_there_is_not_what_is_here(notebook, open_notebook):
    x = notebook.names["x"] = np.ones(3)
    notebook.torch("x")
    notebook.torch("x = torch.empty(2, device='meta')")
    assert notebook.names["x"] is x
    notebook.torch("y = x")
    assert "y" not in notebook.names
    # Another page has it since.
    notebook.torch("x = torch.zeros(3)")
    other = open_notebook(notebook.page.session)
    other.torch("x = torch.full((3,), 2.)")
    notebook.torch("z = x")
    same(notebook.names["z"], np.full(3, 2, "f4"))


def test_what_was_changed_here_is_not_lost_to_a_change_aside(notebook, capsys):
    notebook.torch("x = torch.zeros(3); _step = x.add_; gone = x")
    notebook.local("x = x + 5; del gone")
    notebook.torch("_step(1)")
    same(notebook.names["x"], np.full(3, 5, "f4"))
    assert "gone" not in notebook.names
    assert "`x` was changed here and on the server" in capsys.readouterr().err
    assert notebook.torch("x.sum().item()") == 15
    with pytest.raises(NameError):
        notebook.torch("gone")


LARGE_VALUES = {
    "records": "[{'id': n, 'text': str(n)} for n in range(100_000)]",
    "numbers": "list(range(200_001))",
    "text": "'a' * (8 * 2**20 + 1)",
    "texts": "['a' * 2**20, {'b': (b'b' * 2**23,)}]",
}


@pytest.mark.parametrize("name", LARGE_VALUES)
def test_large_plain_values_stay_with_a_word(notebook, capsys, name):
    notebook.torch(f"{name} = {LARGE_VALUES[name]}")
    assert name not in notebook.names
    word = f"`{name}` stays on the server: it has more than the 200,000 items, or 8 MiB of text"
    assert capsys.readouterr().err.count(word) == 1
    # It is said once, and looked at no more.
    notebook.torch(f"size = len({name})")
    assert not capsys.readouterr().err
    notebook.torch("1", f"-o {name}")
    assert notebook.names[name] == eval(LARGE_VALUES[name])


def test_a_list_that_grows_large_stays_from_then_on(notebook, capsys):
    notebook.torch("seen = [0] * 200_000")
    here = notebook.names["seen"]
    notebook.torch("seen.append(1)")
    assert len(here) == 200_000 and notebook.torch("len(seen)") == 200_001
    assert capsys.readouterr().err.count("`seen` stays on the server") == 1
    notebook.torch("del seen[5:]")
    assert notebook.names["seen"] is here and here == [0] * 5


def test_what_a_cell_only_names_stays_as_it_is_here(notebook):
    notebook.torch("x = {'n': 2}; y = 1")
    notebook.local("del x['n']; y = 7")
    notebook.torch("if not True: x = {'n': 3}")
    with pytest.raises(ZeroDivisionError):
        notebook.torch("1 / 0\ny = 1")
    assert notebook.names["x"] == {} and notebook.names["y"] == 7
    assert notebook.torch("x, y") == ({}, 7)
    notebook.names["y"] = 8
    notebook.torch("y = 7")
    assert notebook.names["y"] == 7


def test_what_a_fresh_page_only_names_stays_on_the_server(notebook, open_notebook):
    notebook.torch("model = torch.nn.Linear(2, 3); x = 5")
    fresh = open_notebook(notebook.page.session)
    fresh.names["x"] = 6
    fresh.torch("if not True: model = x = None")
    assert fresh.torch("model.out_features") == 3


def test_what_changes_aside_comes_to_a_fresh_page(notebook, open_notebook):
    notebook.torch("x = torch.zeros(3); y = torch.zeros(3); _steps = [x.add_, y.add_]")
    fresh = open_notebook(notebook.page.session)
    fresh.names["y"] = 5
    fresh.torch("for _step in _steps: _step(1)")
    same(fresh.names["x"], np.ones(3, "f4"))
    assert fresh.names["y"] == 5
    assert fresh.torch("x.sum().item(), y") == (3, 5)


def test_no_auto_exchanges_nothing(notebook):
    notebook.names["x"] = 1
    with pytest.raises(NameError):
        notebook.torch("x", "--no-auto")
    notebook.torch("y = 2", "--no-auto")
    assert "y" not in notebook.names


def test_value_of_the_last_expression(notebook):
    assert notebook.torch("x = torch.ones(2)\nx + 1").tolist() == [2, 2]
    assert notebook.names["_"].tolist() == [2, 2]
    assert notebook.torch("x") is notebook.names["x"]
    assert notebook.torch("None") is None
    assert notebook.torch("x;") is None
    assert notebook.torch("{'a': 1}") == {"a": 1}


def test_empty_and_comment_cells(notebook):
    assert notebook.torch("") is None
    assert notebook.torch("# nothing\n") is None


def test_top_level_await_and_pip_and_shell(notebook, capsys):
    notebook.names["who"] = "you"
    notebook.torch("import asyncio\nawait asyncio.sleep(0)\nx = 1\n!echo hello {who}")
    assert notebook.names["x"] == 1
    assert "hello you" in capsys.readouterr().out
    notebook.torch("lines = !echo {who}; echo me")
    assert notebook.names["lines"] == ["you", "me"]


def test_restart_forgets_and_pushes_again(notebook):
    notebook.names["x"] = np.ones(3)
    notebook.torch("y = x + 1; z = 3")
    notebook.line("restart")
    notebook.torch("y = x + 2")
    same(notebook.names["y"], np.full(3, 3.0))


def test_kernel_that_dies_is_said_and_replaced(notebook):
    from jupyterlite_torch._errors import KernelDied

    notebook.names["x"] = np.ones(3)
    with pytest.raises(KernelDied, match="variables are gone"):
        notebook.torch("import os; os.kill(os.getpid(), 9)")
    notebook.torch("y = x + 2")
    same(notebook.names["y"], np.full(3, 3.0))


def test_session_is_found_again(open_notebook, capsys):
    first = open_notebook()
    first.torch("w = torch.ones(3)")
    first.connection.disconnect()
    second = open_notebook(first.page.session)
    said = capsys.readouterr().err
    assert "Found this notebook's session again" in said and "holds w" in said
    second.torch("v = w * 2")
    assert second.names["v"].tolist() == [2, 2, 2]


def test_two_notebooks_have_their_own(open_notebook):
    first, second = open_notebook(), open_notebook()
    first.torch("x = 1")
    with pytest.raises(NameError):
        second.torch("x")


def test_large_arrays_both_ways(notebook):
    notebook.names["x"] = np.random.default_rng(1).standard_normal(2**22)
    notebook.torch("y = x.flip(0)")
    notebook.local("y.ravel()")
    same(notebook.names["y"], notebook.names["x"][::-1].copy())
