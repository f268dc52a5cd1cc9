"""The list of kinds: complete for the torch that is here, and what the guide's tables say.

`python tests/unit/test_kinds.py` prints the tables.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from jupyterlite_torch import _kinds, _safetensors, _values
from jupyterlite_torch._widen import WIDEN

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide.md"


def test_every_dtype_of_torch_has_a_rule():
    dtypes = {str(kind)[6:] for kind in vars(torch).values() if isinstance(kind, torch.dtype)}
    assert dtypes == set(_kinds.TRAVELS)


def test_what_travels_has_a_code_and_a_dtype_here():
    for name, travel in _kinds.TRAVELS.items():
        size = _safetensors.ITEM_SIZES[_safetensors.CODES[travel.wire]]
        if travel.note is None:
            assert size == getattr(torch, name).itemsize
        assert np.dtype(travel.here).itemsize >= size
        assert (travel.wire in WIDEN) == (travel.wire != travel.here)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_no_float_is_widened_otherwise_than_by_torch():
    for name, (kind, widen) in WIDEN.items():
        codes = np.arange(2 ** (8 * np.dtype(kind).itemsize), dtype=kind)
        wide = torch.from_numpy(codes).view(getattr(torch, name))
        wide = wide.to(torch.complex64) if wide.is_complex() else wide.float()
        expected, got = wide.numpy().view(np.float32), np.empty(codes.shape, np.float32)
        widen(codes, got)
        number = ~np.isnan(expected)
        assert np.isnan(got[~number]).all()
        assert got[number].tobytes() == expected[number].tobytes()


def test_what_is_said_of_dicts_is_in_the_list():
    assert _values.DATACLASS_NOTE == _kinds.CONTAINERS["dataclass"].note
    assert _values.DEFAULTDICT_NOTE == _kinds.CONTAINERS["defaultdict"].note


def test_the_guide_has_the_tables():
    guide = GUIDE.read_text(encoding="utf-8")
    for table in tables():
        assert table in guide, f"docs/guide.md lacks this table of _kinds.py:\n\n{table}"


def tables():
    """The tables of "Dtypes" in the guide."""
    dtypes = [
        (_list(row.names), _list([row.here]) if row.here else "the same", row.rule)
        for row in _kinds.TORCH_DTYPES
    ]
    yield _table(("dtype there", "here", ""), dtypes)
    yield _table(("there", "here"), _rows(_kinds.TORCH_KINDS))
    yield _table(("here", "there"), [row[::-1] for row in _rows(_kinds.PAGE_KINDS)])
    yield _table(("on one side", "on the other"), _rows(_kinds.CONTAINERS))


def _rows(rules):
    return [(rule.there, rule.here) for rule in rules.values()]


def _list(names):
    return ", ".join(f"`{name}`" for name in names)


def _table(head, rows):
    head, *lines = (f"| {' | '.join(line)} |\n" for line in (head, *rows))
    return "".join([head.replace("|  |", "| |"), f"|{'---|' * len(rows[0])}\n", *lines])


if __name__ == "__main__":
    print("\n".join(tables()))
