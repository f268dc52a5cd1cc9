"""What does not travel, or not by itself, and what is said of it, against a real kernel."""

import numpy as np
import pytest

from jupyterlite_torch._errors import TransferError

pytestmark = pytest.mark.one_kernel


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


def test_array_that_the_browser_can_not_hold(notebook):
    notebook.torch("small = 1\nbig = torch.empty(600_000_000)")
    with pytest.raises(
        TransferError, match=r"`big` can not be fetched: its 2.235 GiB .* `big\[:1000\]`"
    ):
        notebook.local("big + 1")
    notebook.local("part = len(big[:3])")
    assert notebook.names["part"] == 3 and notebook.torch("len(big)") == 600_000_000


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
