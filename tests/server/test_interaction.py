"""Questions, one line of code, errors and Stop: a remote cell is as a local one."""

import asyncio
import re

import numpy as np
import pytest

from jupyterlite_torch._errors import OptionError, RemoteError
from jupyterlite_torch._magic import TorchMagics
from jupyterlite_torch._upload import PART_BYTES, Upload


def test_input_and_getpass(notebook, capsys):
    notebook.page.answers = ["Grete ü", " secret "]
    notebook.torch(
        "from getpass import getpass\nname = input('Name: ')\nword = getpass('Word: ')\n"
        "size = len(word)\nprint(name, size)\ndel word"
    )
    assert notebook.page.asked == [("Name: ", False), ("Word: ", True)]
    assert capsys.readouterr().out == "Grete ü 8\n"


def test_a_question_that_is_closed_stops_the_cell(notebook):
    notebook.page.answers = [None]
    with pytest.raises(KeyboardInterrupt):
        notebook.torch("before = 1\ninput()\nafter = 1")
    assert notebook.names["before"] == 1 and "after" not in notebook.names


def shown(notebook, body, lead="%%torch\n"):
    """The traceback of a cell, without colours."""
    with pytest.raises(BaseException) as caught:
        notebook.wait(notebook.notebook.run_cell("", body, lead))
    text = "\n".join(caught.value._render_traceback_())
    return caught.value, re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_tracebacks_have_the_numbers_of_the_cell(notebook):
    for _ in range(3):
        notebook.torch("1")
    notebook.shell.execution_count = 41  # of the next cell
    notebook.wait(
        notebook.notebook.run_cell("", "def f():\n    raise ValueError('why')", "%%torch\n")
    )
    notebook.shell.execution_count = 42
    error, text = shown(
        notebook, "try:\n    f()\nexcept ValueError as e:\n    raise KeyError('k') from e"
    )
    assert isinstance(error, KeyError)
    assert "Cell In[40], line 3" in text and "Cell In[41], line 5" in text, text
    assert "----> 5     raise KeyError" in text
    assert "direct cause" in text
    error, text = shown(notebook, "x = 1\ny = (\n", "# first\n%%torch\n")
    assert isinstance(error, SyntaxError) and "line 4" in text and "^" in text


def test_errors_are_caught_as_their_kind(notebook):
    with pytest.raises(ValueError):
        notebook.torch("class Mine(ValueError): pass\nraise Mine('m')")
    with pytest.raises(RuntimeError):
        notebook.torch("torch.zeros(2) @ torch.zeros(3)")
    with pytest.raises(LookupError):
        notebook.torch("{}['x']")


def test_out_of_memory_says_what_holds_it(notebook):
    notebook.torch(
        "model = torch.nn.Linear(1000, 1000)\n_big = torch.zeros(2**20)\npart = _big[:2]"
    )
    error, text = shown(notebook, "raise torch.cuda.OutOfMemoryError('CUDA out of memory.')")
    assert isinstance(error, RuntimeError) and isinstance(error, RemoteError)
    assert re.search(r"4 MiB  `_big`\n +3\.8\d+ MiB  `model`", text), text
    assert "`part`" not in text


def test_one_line_of_code(notebook):
    notebook.names["x"] = np.arange(3.0)
    notebook.shell.register_magics(TorchMagics(notebook.shell, notebook.notebook))
    notebook.local(
        "total = %torch x.sum().item()\n"
        "for i in range(3):\n"
        "    %torch last = f'{i}'\n"
        "def double(a):\n"
        "    b = %torch a * 2\n"
        "    return b\n"
        "four = double(x + 1)\n"
        "%torch made = x + 1"
    )
    assert notebook.names["total"] == 3 and notebook.names["last"] == "2"
    assert notebook.names["four"].tolist() == [2, 4, 6]
    assert notebook.names["made"].tolist() == [1, 2, 3]
    # The function's `a` is nobody's global.
    assert "a" not in notebook.names
    notebook.names["a"] = 7
    assert notebook.torch("a") == 7
    with pytest.raises(OptionError, match="Did you mean `%torch status`"):
        notebook.line("statsu")


def test_payloads_are_handed_to_the_local_kernel(notebook):
    notebook.torch("len?\nget_ipython().set_next_input('x = 1')")
    payloads = {
        payload["source"]: payload for payload in notebook.shell.payload_manager.read_payload()
    }
    notebook.shell.payload_manager.clear_payload()
    assert "Return the number of items" in payloads["page"]["data"]["text/plain"]
    assert payloads["set_next_input"]["text"] == "x = 1"


def test_stop_of_a_cell_that_awaits(notebook, on_print):
    on_print("go", notebook.connection.interrupt)
    with pytest.raises(KeyboardInterrupt):
        notebook.torch("import asyncio\nkept = 1\nprint('go', flush=True)\nawait asyncio.sleep(60)")
    assert notebook.names["kept"] == 1


def test_stop_during_a_push_leaves_both_sides_as_they_were(notebook, monkeypatch):
    notebook.torch("x = torch.zeros(1)")
    notebook.names["x"] = np.ones(2**24)
    part = Upload.part

    def stop_at_the_third(upload, start):
        if 2 * PART_BYTES <= start < 3 * PART_BYTES:
            notebook.connection.interrupt()
        return part(upload, start)

    monkeypatch.setattr(Upload, "part", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt, match="did not run there"):
        notebook.torch("y = x")
    monkeypatch.undo()
    assert "y" not in notebook.names
    assert notebook.wait(notebook.notebook.run_line("peek len(x)", False)) == 1
    assert notebook.torch("y = x; len(x)") == 2**24
    assert np.array_equal(notebook.names["y"], notebook.names["x"])


def test_stop_while_a_local_cell_waits_for_its_array(notebook, monkeypatch):
    notebook.torch("w = torch.ones(10**6)")
    transport = notebook.connection.transport
    download = transport.download

    async def stopped(*arguments):
        monkeypatch.setattr(transport, "download", download)
        notebook.connection.interrupt()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(transport, "download", stopped)
    with pytest.raises(KeyboardInterrupt, match="still there"):
        notebook.local("v = w + 1")
    assert "v" not in notebook.names
    notebook.local("v = w + 1")
    assert notebook.names["v"].sum() == 2 * 10**6
