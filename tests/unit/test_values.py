"""Trees: values as JSON and back, with their types."""

import json
import math
import struct
from collections import Counter, OrderedDict, defaultdict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jupyterlite_torch._values import (
    DEFAULTDICT_NOTE,
    MOST_ITEMS,
    MOST_TEXT,
    Untransferable,
    decode,
    encode,
    is_large,
    notes,
)

Point = namedtuple("Point", "x y")


def there_and_back(value):
    text = json.dumps(encode(value, lambda _: None), allow_nan=False)
    return decode(json.loads(text), lambda kind, content: pytest.fail(kind))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1, 2**53, -(2**200), 0.1, -0.0, 5e-324, math.inf, 1j, "", "ü\0",
        b"", bytes(range(256)), bytearray(b"x"), [], [1, [2]], (), (1,), {}, {"a": 1},
        {1: 2, None: (), (1, 2): [3]}, set(), {1, "a"}, frozenset({2}), range(3), range(9, 1, -2),
        slice(None), slice(1, "b", None), ..., {"int": "ff"}, [{"tensor": "0"}], {"dict": []},
        OrderedDict(b=1, a=[2]), Counter("aab"), Counter(a=-1), defaultdict(None, a=1),
    ],
)  # fmt: skip
def test_round_trip(value):
    back = there_and_back(value)
    assert back == value and type(back) is type(value)


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "value",
    [
        date.min, date.max, time(1, 2, 3, 4), time(5, tzinfo=timezone(-HOUR)), datetime.max,
        datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, tzinfo=timezone(HOUR / 7)),
        timedelta.min, timedelta.max, timedelta(days=-1, microseconds=1), Decimal("-0E-20"),
        Decimal("sNaN12"), Decimal("1E+999999"), Fraction(-1, 3), UUID(int=5), Path("a b/ü"),
        Path("/"), {date.min: [Path("x")]}, {Fraction(1, 2)},
    ],
)  # fmt: skip
def test_what_is_a_text(value):
    back = there_and_back(value)
    assert repr(back) == repr(value) and type(back) is type(value)


def test_what_is_not_in_the_text():
    named, autumn = timezone(HOUR, "CET"), datetime(2026, 10, 25, 2, fold=1)
    for value in (datetime(2026, 1, 1, tzinfo=ZoneInfo("Etc/UTC")), time(1, tzinfo=named), autumn):
        with pytest.raises(
            Untransferable, match=r"\[0\] is a (date)?time with a time zone or a fold"
        ):
            there_and_back([value])
    for value in (PurePosixPath("x"), UTC, type("Decimal", (), {})()):
        with pytest.raises(Untransferable, match="is of type"):
            there_and_back(value)


@pytest.mark.parametrize(
    "tree",
    [
        {"date": "x"}, {"datetime": 5}, {"timedelta": "9999999999 0 0"},
        {"Decimal": "x"}, {"Fraction": "1/0"}, {"UUID": None}, {"UUID": "1"}, {"Path": 1},
    ],
)  # fmt: skip
def test_texts_that_say_nothing(tree):
    with pytest.raises(ValueError):
        decode(tree, None)


def test_a_fraction_of_any_length():
    assert there_and_back(Fraction(2**20_000 + 1, 3)) * 3 - 2**20_000 == 1


def test_integer_of_any_length():
    assert there_and_back(2**20_000 + 1) - 2**20_000 == 1


def test_bits_of_nan_and_zero():
    nan = struct.unpack(">d", bytes.fromhex("7ff8000000000123"))[0]
    assert struct.pack(">d", there_and_back(nan)) == struct.pack(">d", nan)
    assert math.copysign(1, there_and_back(-0.0)) == -1
    assert math.copysign(1, there_and_back(complex(-0.0, 1)).real) == -1


@pytest.mark.parametrize("made", [list, int, dict, set, str])
def test_defaults_are_made_there_too(made):
    back = there_and_back(defaultdict(made, a=1))
    assert type(back) is defaultdict and back == {"a": 1} and back["b"] == made()


def test_default_of_a_function_is_said_to_stay():
    tree = encode(defaultdict(lambda: 3, a=1), lambda _: None)
    assert notes(tree) == [DEFAULTDICT_NOTE] and decode(tree, None) == {"a": 1}
    assert type(decode(tree, None)) is dict
    with pytest.raises(ValueError, match="exit"):
        decode({"defaultdict": ["exit", []]}, None)


def test_named_tuple():
    back = there_and_back(Point(1, [2]))
    assert back == Point(1, [2]) and back.y == [2] and type(back).__name__ == "Point"


def test_text_with_methods_is_text():
    class Version(str):
        pass

    assert type(there_and_back(Version("2.1"))) is str


def test_what_has_no_place_is_named():
    with pytest.raises(Untransferable, match=r"\['a'\]\[1\] is of type object"):
        there_and_back({"a": [1, object()]})
    with pytest.raises(Untransferable, match="it is of type function"):
        there_and_back(lambda: 1)


def test_cycles_and_depth_end():
    cycle = []
    cycle.append({"again": cycle})
    with pytest.raises(Untransferable, match="contains itself"):
        there_and_back(cycle)
    deep = []
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(Untransferable, match="nested"):
        there_and_back(deep)


def test_same_list_twice_is_no_cycle():
    part = [1]
    assert there_and_back([part, part]) == [[1], [1]]


@pytest.mark.parametrize("tree", [{"a": 1, "b": 2}, {}])
def test_what_is_no_tree_is_refused(tree):
    with pytest.raises(ValueError, match="a tree is"):
        decode(tree, lambda kind, content: None)


class Odd(tuple):
    """One whose own methods are of no use."""

    def __len__(self):
        raise ValueError

    __iter__ = __len__


def test_large_values():
    most, text = MOST_ITEMS, "a" * MOST_TEXT
    for value in ([0] * most, text, [text], Odd((1, 2)), {1: {2: [3]}}, None):
        assert not is_large(value)
    pair = namedtuple("Pair", "left right")
    doubled = [0]
    for _ in range(40):
        doubled = [doubled, doubled]
    for value in (
        [0] * (most + 1),
        [[0] * most],
        dict.fromkeys(range(most + 1)),
        frozenset(range(most + 1)),
        pair([0] * most, 1),
        text + "a",
        [text, b"a"],
        {text: "a"},
        Odd(([0] * most,)),
        doubled,
    ):
        assert is_large(value)


def test_of_what_contains_itself_something_else_is_said():
    circle, ring = [], {}
    circle.append(circle)
    ring["a"] = [ring] * 3
    assert not is_large(circle) and not is_large(ring)
