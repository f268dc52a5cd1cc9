"""Two pages that run cells in one session at once."""

import asyncio

import numpy as np
import pytest

from jupyterlite_torch._errors import KernelDied

ROUNDS = 8
N = 2**19


def test_each_gets_its_own(open_notebook, loop):
    """Arrays of 4 MiB both ways, larger ones than come with a reply: fetched while the other runs."""
    first = open_notebook()
    second = open_notebook(first.page.session)
    first.torch("shared = 0")

    async def work(notebook, letter):
        names = notebook.names
        for n in range(ROUNDS):
            names[f"x{letter}"] = np.full(N, float(n + ord(letter)))
            code = f"shared += 1\ny{letter} = x{letter} * 2\nprint('{letter}', {n})"
            await notebook.notebook.run_cell(f"--no-auto -i x{letter} -o y{letter}", code)
            await notebook.notebook.bring(f"id(y{letter})")
            assert (names[f"y{letter}"] == 2 * (n + ord(letter))).all()

    async def both():
        await asyncio.gather(work(first, "a"), work(second, "b"))

    loop.run_until_complete(both())
    assert first.torch("shared") == 2 * ROUNDS


def test_one_restarts_what_the_other_uses(open_notebook):
    first = open_notebook()
    second = open_notebook(first.page.session)
    first.torch("w = 1")
    second.torch("v = w + 1")
    first.line("restart")
    with pytest.raises(KernelDied, match="variables are gone.*run the cells that define"):
        second.torch("u = v + 1", "--no-auto")
    second.torch("v = 3")
    assert first.torch("v") == 3
