"""Random programs of local and `%%torch` cells, beside the same statements run by NumPy in one place."""

import types

import numpy as np

PROGRAMS = 40
STEPS = 25
#: Elements: here at once; and on the server until they are read, and sent by the blocks that changed.
SMALL, LARGE = 4, 600_000
NAMES = ("a", "b", "c")
#: What a cell does to X, with another array Y and a number K; and, of that, what it needs.
STATEMENTS = (
    ("X = Y + K", "Y"),
    ("X = Y * Y", "Y"),
    ("X = Y", "Y"),
    ("X += K", "X"),
    ("X[K % 4] = K", "X"),
    ("X[1:3] = K", "X"),
    ("X[:] = Y[0]", "XY"),
    ("del X", "X"),
    ("if K > 4: X = Y + K", "XY"),
    ("X = Y * K if K > 4 else X", "XY"),
    ("try:\n    Y[99999999]\n    X = Y + K\nexcept IndexError:\n    pass", "XY"),
    ("def add(): return Y + K\nX = add()", "Y"),
    ("add = lambda each: each + K\nX = add(Y)", "Y"),
    ("pair = [Y, Y]\npair[0] += K\nX = pair[1]", "Y"),
)
LINES = ("", "", "", "--eager 0", "--eager 1GiB")


def test_programs(notebook, rng):
    notebook.torch("torch.set_default_dtype(torch.float64)")
    for number in range(PROGRAMS):
        _run(notebook, rng, [f"{name}{number}" for name in NAMES])


def _run(notebook, rng, names):
    # Of torch a program uses nothing that NumPy does not have as well.
    alone = {"np": np, "torch": types.SimpleNamespace(full=np.full)}
    notebook.local("import numpy as np")
    program = []
    for _ in range(STEPS):
        x, y, k = rng.choice(names), rng.choice(names), rng.randrange(1, 9)
        here = rng.random() < 0.5
        exists = {"X": x in alone, "Y": y in alone}
        fitting = [each for each, needs in STATEMENTS if all(exists[name] for name in needs)]
        library, size = "np" if here else "torch", SMALL if rng.random() < 0.7 else LARGE
        made = f"X = {library}.full(({size},), K + 0.5)"
        statement = rng.choice([*fitting, made, made])
        code = statement.replace("X", x).replace("Y", y).replace("K", str(k))
        line = "" if here else rng.choice(LINES)
        program.append(("local" if here else f"%%torch {line}", code))
        exec(code, alone)
        if here:
            notebook.local(code)
        else:
            notebook.torch(code, line)
        if rng.random() < 0.3:
            program.append(("compared", ""))
            _compare(notebook, alone, names, program)
    _compare(notebook, alone, names, program)


def _compare(notebook, alone, names, program):
    there = [name for name in names if name in alone]
    assert [name for name in names if name in notebook.names] == there, program
    for name in there:
        notebook.local(f"looked_at = np.array({name})")
        assert np.array_equal(notebook.names["looked_at"], alone[name]), (name, program)
    for one in there:
        for other in there:
            is_one = notebook.names[one] is notebook.names[other]
            assert is_one == (alone[one] is alone[other]), (one, other, program)
