"""`%%torch` cells in a notebook on Pyodide, through `jupyter lite-run`.

Each test is one notebook with many cells, since it is the page's start that takes time. A cell with
a bare `assert` checks values where they are; what a person sees is checked in the outputs.
"""

import base64
import re

VALUES = """\
import numpy as np
dtypes = "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool complex64 complex128"
rng = np.random.default_rng(0)
sent = {}
for name in dtypes.split():
    itemsize = np.dtype(name).itemsize
    raw = rng.integers(0, 2 if name == "bool" else 256, 24 * itemsize, dtype=np.uint8)
    sent[name] = raw.view(name).reshape(2, 3, 4)
sent |= {
    "scalar": np.array(1.5), "empty": np.zeros((0, 3), "f4"), "reversed": np.arange(6)[::-1],
    "strided": np.arange(12.0).reshape(3, 4)[:, ::2], "fortran": np.asfortranarray(np.ones((2, 3)))
}"""

VALUES_THERE = """\
%%torch
assert all(type(value) is torch.Tensor and value.device.type == "cpu" for value in sent.values())
assert str(sent["float64"].dtype) == "torch.float64"
back = {name: value.clone() for name, value in sent.items()}
made = {
    "bfloat16": torch.arange(-50, 50, dtype=torch.bfloat16) / 7,
    "gradient": torch.ones(2, 3, requires_grad=True) * 2,
    "transposed": torch.arange(6).reshape(2, 3).T,
    "conjugate": torch.complex(torch.ones(2), torch.ones(2)).conj(),
    "expanded": torch.ones(2, 1).expand(2, 5),
    "scalar": torch.tensor(2.5),
    "empty": torch.zeros(3, 0, dtype=torch.int16),
}
wide = made["bfloat16"].float()"""

VALUES_HERE = """\
for name, value in sent.items():
    got = back[name]
    assert type(got) is np.ndarray and (got.dtype, got.shape) == (value.dtype, value.shape), name
    assert got.tobytes() == value.tobytes(), name
assert made["bfloat16"].dtype == np.float32 and np.array_equal(made["bfloat16"], wide)
assert np.array_equal(made["gradient"], np.full((2, 3), 2, "f4"))
assert np.array_equal(made["transposed"], np.arange(6).reshape(2, 3).T)
assert np.array_equal(made["conjugate"], np.full(2, 1 - 1j))
assert made["expanded"].shape == (2, 5) and made["scalar"].shape == () and made["scalar"] == 2.5
assert made["empty"].shape == (3, 0) and made["empty"].dtype == np.int16
print(len(sent), "arrays are the same")"""

PLAIN = """\
plain = [None, True, 3, 2**80, -1.5, 1 + 2j, "\\u00fc\\n", b"\\x00\\xff", (1, (2,)), {1: "a", (2, 3): None},
         {1, 2}, frozenset({3}), range(2, 9, 3), slice(1, None, 2), ..., float("inf")]
losses = keep = [1]"""

PLAIN_THERE = """\
%%torch
echo, nan = plain, float("nan")
losses.append(2)
counter = 1
counter += 1"""

PLAIN_HERE = """\
assert echo == plain and [type(item) for item in echo] == [type(item) for item in plain]
assert nan != nan and keep == [1, 2] and keep is losses and counter == 2
print("plain")"""

RICH = """\
%%torch
import sys
from IPython.display import HTML, clear_output, display
import matplotlib.pyplot as plt
plt.plot([1, 3, 2])
plt.show()
display(HTML("<b>bold</b>"))
handle = display("before", display_id=True)
handle.update("after")
print("to stdout")
print("to stderr", file=sys.stderr)"""

CLEARED = """\
%%torch
print("first")
clear_output(wait=True)
print("second")"""

RAISES = """\
%%torch
assigned_before = 5
def fails(x):
    return 1 / x

fails(0)"""


def source_of(cells):
    """The sources of a dict of cells, whose keys are for the assertions."""
    return list(cells.values())


def outcome(run, cells):
    """The executed cells by the keys of `cells`."""
    assert len(run.cells) == len(cells), run
    return dict(zip(cells, run.cells, strict=True))


def test_rules(run_notebook):
    cells = {
        "values": VALUES,
        "values there": VALUES_THERE,
        "values here": VALUES_HERE,
        "plain": PLAIN,
        "plain there": PLAIN_THERE,
        "plain here": PLAIN_HERE,
        "rich": RICH,
        "cleared": CLEARED,
        "tensor": "%%torch\ntorch.arange(3)",
        "tensor here": "import numpy as np\nassert type(_) is np.ndarray and _.tolist() == [0, 1, 2]"
        "\nassert Out[max(Out)] is _\nprint(_.sum())",
        "silent": "%%torch\ntorch.arange(3);",
        "alias": "from math import sqrt\nimport os.path as p",
        "alias there": "%%torch\nroot = sqrt(9); joined = p.join('a', 'b')\nroot, joined",
        "comment": "# why\n\n# more\n%%torch\nfrom_comment = 1\nfrom_comment",
        "time line": "%%torch\n%time timed = sum(range(10))",
        "shell": "%%torch\n!echo from the shell of $PPID",
        "pip": "%%torch\n%pip --version",
        "where": "%%torch\nimport sys\nplatform = sys.platform, sys.prefix\nplatform",
        "await": "%%torch\nimport asyncio\nawait asyncio.sleep(0.01)\nwaited = 'yes'\nwaited",
        "options": "x = np.arange(4.0)",
        "options there": "%%torch --no-auto -i x -o half=x/2\nnever = x * 3",
        "options here": "assert half.tolist() == [0, 0.5, 1, 1.5] and 'never' not in dir()",
        "status": "%torch status",
        "time": "%%time\n%%torch\nunder_time = 1",
        "capture": "%%capture taken\n%%torch\nprint('captured')\nunder_capture = 2",
        "captured": "assert taken.stdout == 'captured\\n' and (under_time, under_capture) == (1, 2)",
        "loop": "for n in range(2):\n    %torch status",
        "help": "%%torch?",
        "restart": "%torch restart",
        "restarted": "%%torch\n('half' in globals(), 'under_time' in globals())",
        "pushed again": "%%torch\nagain = half * 2\nagain",
    }
    run = run_notebook(source_of(cells))
    run.ended(0)
    got = outcome(run, cells)
    assert got["values here"].stdout == "19 arrays are the same\n"
    assert got["plain here"].stdout == "plain\n"

    rich = got["rich"]
    picture, html, updated = rich.displays
    assert base64.b64decode(picture["image/png"]).startswith(b"\x89PNG")
    assert html["text/html"] == "<b>bold</b>"
    assert updated["text/plain"] == "'after'"
    assert rich.stdout == "to stdout\n" and rich.stderr == "to stderr\n"
    assert got["cleared"].stdout == "second\n"

    assert got["tensor"].result["text/plain"] == "tensor([0, 1, 2])"
    assert got["tensor here"].stdout == "3\n"
    assert got["silent"].outputs == []
    assert got["alias there"].result["text/plain"] == "(3.0, 'a/b')"
    assert got["comment"].result["text/plain"] == "1"
    assert "Wall time" in got["time line"].stdout
    assert re.fullmatch(r"from the shell of \d+\n", got["shell"].stdout)
    # Pyodide has neither a shell nor this pip.
    assert re.search(r"pip \d.* from .*site-packages", got["pip"].stdout)
    assert "emscripten" not in got["where"].result["text/plain"]
    assert got["await"].result["text/plain"] == "'yes'"
    assert re.match(r"Connected to http://127\.0\.0\.1:\d+: torch 2\.", got["status"].stdout)
    assert "Wall time" in got["time"].stdout
    assert got["capture"].outputs == []
    assert got["loop"].stdout.count("Connected to") == 2
    assert "--no-auto" in str(got["help"].outputs)
    assert got["restart"].stdout.startswith("The remote kernel was restarted")
    assert got["restarted"].result["text/plain"] == "(False, False)"
    assert "tensor([0., 1., 2., 3.]" in got["pushed again"].result["text/plain"]


def test_errors_of_cells(run_notebook):
    """Run All stops at the first error; with --allow-errors each is told and the next cell works."""
    cells = {
        "raises": RAISES,
        "after": "assigned_before",
        "caught": "try:\n    await __import__('jupyterlite_torch').run_cell('', '[][1]')\n"
        "except IndexError as error:\n    print('caught', error)",
        "syntax": "%%torch\nx = (",
        "own type": "%%torch\nclass Mine(Exception): pass\nraise Mine('text of it')",
        "import": "import torch",
        "import caught": "import importlib.util\nassert importlib.util.find_spec('torch') is None\n"
        "try:\n    import torch.nn\nexcept ImportError as error:\n    print(error)",
        "unknown option": "%%torch --nonsense\n1",
        "not transferable": "thing = object()\ndef local_function(): return 1",
        "push": "%%torch -i thing\n1",
        "function": "%%torch\nlocal_function()",
        "push nothing": "%%torch -i nowhere\n1",
        "pull nothing": "%%torch -o nowhere\n1",
        "pull nothing of it": "%%torch -o thing\nthing = object()",
        "large": "%%torch\nhuge = torch.zeros(600_000_000)",
        "too large": "huge + 1",
        "too large asked": "%%torch -o huge\n1",
        "part": "%%torch -o part=huge[:3]\nNone",
        "parted": "assert part.tolist() == [0, 0, 0]",
        "before death": "%%torch\ndel huge\nlost = object()",
        "death": "%%torch\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "alive": "%%torch\n'lost' in globals(), 'assigned_before' in globals()",
        "exit": "%%torch\nimport os\nos._exit(3)",
        "last": "%%torch\nlast = torch.ones(2)\nlast",
    }
    run = run_notebook(source_of(cells), "--allow-errors")
    run.ended(0)
    got = outcome(run, cells)
    raised = got["raises"]
    assert raised.failure == "ZeroDivisionError: division by zero"
    traceback = "\n".join(raised.error.traceback)
    assert "\x1b[" in traceback
    # The lines are those of the cell here.
    assert re.search(r"-+> ?2 ", re.sub(r"\x1b\[[0-9;]*m", "", traceback)) is None
    assert re.search(r"-+> ?4 .*return 1 / x", re.sub(r"\x1b\[[0-9;]*m", "", traceback))
    assert "jupyterlite_torch" not in traceback
    assert got["after"].result["text/plain"] == "5"
    assert "caught list index out of range" in got["caught"].stdout
    assert "SyntaxError" in got["syntax"].failure
    assert got["own type"].failure == "Mine: text of it"
    assert (
        "%%torch" in got["import"].failure
        and "does not run in the browser" in got["import"].failure
    )
    assert "%%torch" in got["import caught"].stdout
    assert "--nonsense" in got["unknown option"].failure
    assert "`thing`" in got["push"].failure and "object" in got["push"].failure
    assert "`local_function`" in got["function"].failure
    assert "define it in a `%%torch` cell" in got["function"].failure
    assert "`nowhere`" in got["push nothing"].failure
    assert "`nowhere` does not exist on the server" in got["pull nothing"].failure
    assert "`thing` can not be brought back" in got["pull nothing of it"].failure
    # 2.4 GB are refused before anything is copied for a 32-bit browser.
    assert "`huge` can not be fetched" in got["too large"].failure
    assert "than the browser can hold" in got["too large"].failure
    assert got["large"].error is None and got["too large asked"].error is None
    assert got["parted"].error is None
    assert got["death"].failure.startswith("KernelDied: The remote kernel died (exit code -9")
    assert got["alive"].result["text/plain"] == "(False, False)"
    assert "KernelDied" in got["exit"].failure and "3" in got["exit"].failure
    assert got["last"].result["text/plain"] == "tensor([1., 1.])"
    expected = {
        "raises", "syntax", "own type", "import", "unknown option", "push", "function",
        "push nothing", "pull nothing", "pull nothing of it", "too large", "death", "exit",
    }  # fmt: skip
    assert {key for key, cell in got.items() if cell.error} == expected


def test_run_stops_at_an_error_and_works_without_jspi(run_notebook):
    cells = {
        "values": VALUES,
        "values there": VALUES_THERE,
        "values here": VALUES_HERE,
        "rich": RICH,
        "line": "%torch status",
        "result": "%%torch\ntorch.arange(3)",
        "no jspi": "import pyodide.ffi\nassert not pyodide.ffi.can_run_sync()",
        "import": "try:\n    import torch\nexcept ImportError as error:\n    print(error)",
        "nested": "%%time\n%%torch\n1",
        "never": "print('never')",
    }
    run = run_notebook(source_of(cells), "--no-jspi")
    run.ended(1)
    got = outcome(run, cells)
    assert got["values here"].stdout == "19 arrays are the same\n"
    assert len(got["rich"].displays) == 3
    assert got["line"].stdout.startswith("Connected to")
    assert got["result"].result["text/plain"] == "tensor([0, 1, 2])"
    assert "%%torch" in got["import"].stdout
    assert "lacks JSPI" in got["nested"].failure
    assert "top of a cell of its own" in got["nested"].failure
    assert got["never"].outputs == [] and got["never"].count is None
