"""Plain values and containers, both ways, against a real kernel."""

import dataclasses
import math
from collections import Counter, OrderedDict, defaultdict

import numpy as np
import pytest
from kinds import same_bits

from jupyterlite_torch import _kinds
from jupyterlite_torch._errors import TransferError

pytestmark = pytest.mark.one_kernel


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


def test_dates_paths_and_exact_numbers(notebook):
    notebook.local(
        "import datetime, pathlib\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
        "place, day = pathlib.Path('data') / 'x', datetime.date(2026, 1, 31)\n"
        "prices = {day: Decimal('1.10')}\nbegun = datetime.datetime(2026, 1, 31, 12)"
    )
    notebook.torch(
        "import datetime\nprices[day + datetime.timedelta(1)] = prices[day] * 2\n"
        "place = place / 'y'; took = begun + datetime.timedelta(hours=1) - begun\n"
        "name = place.name; third = __import__('fractions').Fraction(1, 3)"
    )
    notebook.local(
        "assert prices == {day: Decimal('1.10'), datetime.date(2026, 2, 1): Decimal('2.20')}\n"
        "assert place == pathlib.Path('data/x/y') and name == 'y' and third == Fraction(1, 3)\n"
        "assert took == datetime.timedelta(hours=1)"
    )
    notebook.local("place = datetime.datetime.now(__import__('zoneinfo').ZoneInfo('Etc/UTC'))")
    with pytest.raises(TransferError, match="`place` can not be sent.*a time zone or a fold"):
        notebook.torch("place")


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


@dataclasses.dataclass
class Config:
    rate: float
    layers: list


def test_containers_both_ways(notebook, capsys):
    value = [OrderedDict(b=1, a=2), defaultdict(list, k=[1]), Counter("aab"), (1, {2: {3}})]
    notebook.names["value"] = value
    notebook.torch(
        "from collections import OrderedDict, defaultdict, Counter\n"
        "there = [OrderedDict(b=1, a=2), defaultdict(list, k=[1]), Counter('aab'), (1, {2: {3}})]\n"
        "same = value == there\nsize = torch.ones(2, 3).shape"
    )
    names = notebook.names
    assert names["same"] and names["there"] == value and names["size"] == (2, 3)
    assert [type(each) for each in names["there"]] == [OrderedDict, defaultdict, Counter, tuple]
    assert capsys.readouterr().err == ""


def test_dicts_of_the_standard_library_stay_what_they_are(notebook, capsys):
    notebook.local(
        "from collections import Counter, OrderedDict, defaultdict\nimport numpy as np\n"
        "groups = alias = defaultdict(list, a=[np.ones(2)])\n"
        "count, order = Counter('aab'), OrderedDict(x=1, y=2)"
    )
    names = notebook.names
    notebook.torch(
        "groups['b'].append(groups['a'][0] * 2)\ncount.update('b'); order.move_to_end('x')"
    )
    assert names["groups"] is names["alias"] and names["groups"]["c"] == []
    same_bits(names["alias"]["b"][0], np.full(2, 2.0))
    assert names["count"] == Counter(a=2, b=2) and list(names["order"]) == ["y", "x"]
    notebook.torch("where = groups['a'][0].device.type, type(groups).__name__", "-i groups:meta")
    assert names["where"] == ("meta", "defaultdict")
    notebook.torch("big = Counter(a=torch.ones(2**20), b=torch.ones(2)); n = Counter(a=1)")
    notebook.local("total = big['a'].sum(); kept = n['a'], n['z']")
    assert type(names["big"]) is Counter and type(names["big"]["a"]) is np.ndarray
    assert names["total"] == 2**20 and names["kept"] == (1, 0)
    assert capsys.readouterr().err == ""
    notebook.torch("lost = defaultdict(lambda: 3, a=1)")
    assert type(names["lost"]) is dict
    assert capsys.readouterr().err == f"`lost` {_kinds.CONTAINERS['defaultdict'].note}.\n"


def test_dataclass_is_a_dict_of_its_fields(notebook, capsys):
    notebook.names["here"] = Config(0.5, [np.ones(2)])
    notebook.torch(
        "from dataclasses import dataclass\n@dataclass\nclass Config:\n    rate: float\n"
        "    inner: object = None\nthere = Config(here['rate'], Config(here['layers'][0]))"
    )
    assert notebook.names["there"]["rate"] == 0.5
    same_bits(notebook.names["there"]["inner"]["rate"], np.ones(2))
    said = capsys.readouterr().err
    note = _kinds.CONTAINERS["dataclass"].note
    assert said == f"`here` {note}.\n`there` {note}.\n"
    notebook.torch("there.rate = 2")
    assert notebook.names["there"]["rate"] == 2


def test_shared_tensors_are_one_object(notebook):
    notebook.torch(
        "t = torch.randn(4)\nmodel = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))\n"
        "model[1].weight = model[0].weight\nstate = model.state_dict()\nx = [t, {'a': t}, t.to_sparse()]\n"
        "pair = [torch.empty(0), torch.empty(0)]"
    )
    names = notebook.names
    assert names["x"][0] is names["x"][1]["a"] is names["t"]
    assert names["state"]["0.weight"] is names["state"]["1.weight"]
    assert names["pair"][0] is not names["pair"][1]
    a = np.ones(3)
    names["y"] = [a, (a,)]
    notebook.torch("one = y[0] is y[1][0]")
    assert names["one"]


def test_cycles_and_depth_are_clear_errors(notebook, capsys):
    cycle = []
    cycle.append({"again": cycle})
    deep = []
    for _ in range(1000):
        deep = [deep]
    for value, reason in ((cycle, "contains itself"), (deep, "nested more than 100 levels")):
        notebook.names["x"] = value
        with pytest.raises(TransferError, match=f"`x` can not be sent to the server: .*{reason}"):
            notebook.torch("x")
    notebook.torch(
        "c = []\nc.append(c)\nd = []\nfor _ in range(1000): d = [d]\ne = []\n"
        "for _ in range(98): e = [e]"
    )
    said = capsys.readouterr().err
    assert "`c` stays on the server: [0] contains itself" in said
    assert "`d` stays on the server: it is nested more than 100 levels deep" in said
    assert notebook.names["e"][0][0] and "c" not in notebook.names
    with pytest.raises(TransferError, match="`d` can not be brought back: it is nested"):
        notebook.torch("1", "-o d")


def test_tensors_as_keys_stay(notebook):
    notebook.torch("k = {torch.ones(1): 1}; m = {torch.ones(1)}; n = {(1, 'a'): 2}")
    assert notebook.names["n"] == {(1, "a"): 2} and not {"k", "m"} & set(notebook.names)


def test_module_is_asked_for(notebook):
    notebook.torch("model = torch.nn.Linear(2, 3)\nbias = model.bias", "-o model")
    assert set(notebook.names["model"]) == {"weight", "bias"}
    same_bits(notebook.names["model"]["bias"], notebook.names["bias"])
    notebook.torch("kind = type(model).__name__")
    assert notebook.names["kind"] == "Linear"
