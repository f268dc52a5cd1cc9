"""Cells and lines as the local kernel gets to see them."""

import ast
import asyncio

import pytest
from IPython.core.inputtransformer2 import make_tokens_by_line

from jupyterlite_torch._transform import LineTransform, cell_call


def arguments(call):
    tree = ast.parse(f"async def f():\n {call}")
    return [ast.literal_eval(a) for a in tree.body[0].body[0].value.value.args]


@pytest.mark.parametrize(
    ("cell", "line", "body"),
    [
        ("%%torch\nx = 1\n", "", "x = 1\n"),
        ("%%torch", "", ""),
        ("%%torch   -i x  \nx\n", "-i x  ", "x\n"),
        ("\n# why\n   # and\n%%torch\n%pip list\n", "", "%pip list\n"),
        ("%%torch\n'''\n%%torch\n'''", "", "'''\n%%torch\n'''"),
        ("%%torch\nprint('ü\\n')", "", "print('ü\\n')"),
    ],
)
def test_cells(cell, line, body):
    assert arguments(cell_call(cell)) == [line, body, cell.removesuffix(body) if body else cell]


@pytest.mark.parametrize(
    "cell",
    [
        "%%torch?",
        "x\n%%torch\n",
        "%%torchy\n",
        "%%time\n%%torch\n",
        " %%torch",
        "",
        "%torch status",
    ],
)
def test_other_cells_are_left_alone(cell):
    assert cell_call(cell) is None


def lines_of(cell):
    lines = cell.splitlines(keepends=True)
    found = LineTransform.find(make_tokens_by_line(lines))
    return None if found is None else "".join(asyncio.run(found.transform(lines)))


@pytest.mark.parametrize("name", ["y", "a, b", "f(x)[1]", "d['=']"])
def test_lines_with_a_value(name):
    code = lines_of(f"{name} = %torch x + 1\n")
    assert code == f"{name} = await __import__('jupyterlite_torch').value_of('x + 1')\n"


def test_lines():
    assert arguments(lines_of("%torch connect http://x:1\n")) == ["connect http://x:1"]
    assert lines_of("x = 1\n%torch status\ny = 2\n").splitlines()[::2] == ["x = 1", "y = 2"]


@pytest.mark.parametrize(
    "cell",
    [
        "'''\n%torch status\n'''\n",
        "for i in x:\n    %torch status\n",
        "%%time\n%torch status\n",
        "x %torch\n",
        "f(x=%torch)\n",
        "x = y %torch\n",
        "if x:\n    y = %torch z\n",
    ],
)
def test_other_lines_are_left_alone(cell):
    assert lines_of(cell) is None
