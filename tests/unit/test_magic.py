"""The magic over a channel that is a fake: what it sends, and what it makes of what comes back."""

import asyncio
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell

from jupyterlite_torch import _local_errors
from jupyterlite_torch._errors import KernelDied, OptionError, ServerError, TransferError
from jupyterlite_torch._magic import Notebook, TorchMagics
from jupyterlite_torch._request import Reply


class FakeChannel:
    """Keeps each request; answers with what the test put into `answers`."""

    session_headers = {}
    welcome = {"session": {"generation": 1}}

    def __init__(self):
        self.requests, self.answers, self.released = [], [], []

    def execute(self, code, metadata, buffers=(), identifier=None):
        self.requests.append((code, metadata["torch"], buffers))
        return SimpleNamespace(id=str(len(self.requests)))

    async def finish(self, request, on_event):
        events, content, torch, parts = self.answers.pop(0)
        for kind, body in events:
            on_event({"header": {"msg_type": kind}, "content": body}, ())
        metadata = {} if torch is None else {"torch": {**EMPTY, **torch}}
        return Reply({"content": content, "metadata": metadata}, parts)

    def seen(self, identifier):
        pass

    def release(self, handles):
        self.released += handles


EMPTY = {
    "values": {}, "kept": [], "deleted": [], "in_place": [], "conflict": [], "errors": {},
    "notes": {}, "tensors": [],
}  # fmt: skip
OK = {"status": "ok"}


class FakeConnection:
    generation = 1
    is_open = True
    transport = None

    def __init__(self):
        self.channel = FakeChannel()
        self.page = SimpleNamespace(tell=lambda **message: None)

    async def ready(self):
        return self.channel


class Magic:
    def __init__(self):
        self.connection = FakeConnection()
        self.channel = self.connection.channel
        self.shell = InteractiveShell()
        self.names = self.shell.user_ns
        self.notebook = Notebook(self.shell, self.connection, self.load, asyncio.run)

    async def load(self, package):
        assert package == "numpy"

    def run(self, body, line="", events=(), content=OK, buffers=(), **torch):
        self.channel.answers.append((events, content, torch, buffers))
        return asyncio.run(self.notebook.run_cell(line, body))

    @property
    def sent(self):
        return self.channel.requests[-1][1]


@pytest.fixture
def magic():
    return Magic()


def test_only_what_is_read_goes(magic):
    magic.names.update(x=1, y=[2], z=3)
    magic.run("z = x + y[0]", values={"z": 3})
    assert magic.sent["push"]["values"] == {"x": 1, "y": [2]}
    assert magic.sent["pull"]["assigned"] == ["z"]


def test_what_the_server_has_does_not_go_again(magic):
    magic.names.update(x=1, a=np.zeros(3))
    magic.run("x, a")
    magic.run("x, a")
    assert magic.sent["push"] is None
    magic.names["a"][1] = 5
    magic.run("x, a")
    assert list(magic.sent["push"]["values"]) == ["a"]


def test_a_failed_push_is_made_again(magic):
    magic.names["x"] = 1
    magic.channel.answers.append(
        ((), {"status": "error", "ename": "AgentFailure", "evalue": "no"}, None, ())
    )
    with pytest.raises(TransferError, match="no"):
        asyncio.run(magic.notebook.run_cell("", "x"))
    magic.run("x")
    assert magic.sent["push"]["values"] == {"x": 1}


def test_a_new_kernel_gets_everything_again(magic):
    magic.names["x"] = 1
    magic.run("x")
    magic.connection.generation = 2
    magic.run("x")
    assert magic.sent["push"]["values"] == {"x": 1}


def test_a_dead_kernel_is_forgotten(magic):
    magic.names["x"] = 1
    magic.run("x")
    magic.channel.answers.append(
        ((), {"status": "error", "ename": "KernelDied", "evalue": "gone"}, None, ())
    )
    with pytest.raises(KernelDied, match="gone"):
        asyncio.run(magic.notebook.run_cell("", "x"))
    magic.run("x")
    assert magic.sent["push"]["values"] == {"x": 1}


def test_other_refusals_are_errors_of_the_server(magic):
    magic.channel.answers.append(
        ((), {"status": "error", "ename": "Refused", "evalue": "too much"}, None, ())
    )
    with pytest.raises(ServerError, match="too much"):
        asyncio.run(magic.notebook.run_cell("", "1"))


def test_values_come_back_before_the_error(magic):
    error = {"status": "error", "ename": "ValueError", "evalue": "bad", "traceback": ["TB"]}
    with pytest.raises(ValueError, match="bad") as caught:
        magic.run("x = 1; raise ValueError('bad')", content=error, values={"x": 1})
    assert caught.value._render_traceback_() == ["TB"]
    assert magic.names["x"] == 1


@pytest.mark.parametrize(
    "name",
    ["KeyboardInterrupt", "SystemExit", "UnicodeDecodeError", "OSError", "StopIteration", "a.B"],
)
def test_errors_of_every_kind_keep_their_name(magic, name):
    error = {"status": "error", "ename": name, "evalue": "e", "traceback": []}
    with pytest.raises(BaseException, match="e") as caught:
        magic.run("1", content=error)
    assert str(type(caught.value)) == name.rpartition(".")[2]


def test_output_is_shown_where_it_belongs(magic, capsys):
    magic.run(
        "1",
        events=[
            ("stream", {"name": "stdout", "text": "out\n"}),
            ("stream", {"name": "stderr", "text": "err\n"}),
        ],
    )
    said = capsys.readouterr()
    assert (said.out, said.err) == ("out\n", "err\n")


def test_result_is_kept_as_last_value(magic):
    result = ("execute_result", {"data": {"text/plain": "7"}, "metadata": {}})
    assert magic.run("7", events=[result], result=7) == 7
    assert magic.names["_"] == 7


def test_notes_and_conflicts_are_said(magic, capsys):
    magic.run("s = 1", kept=["s"], notes={"s": "it is sparse"}, conflict=["c"])
    said = capsys.readouterr().err
    assert "`s` stays on the server: it is sparse" in said and "`c` was changed here" in said


def test_line_commands_that_do_not_exist(magic):
    for line in ("", "conect x", "conect", "status now"):
        with pytest.raises(OptionError, match="`%torch .*connect URL"):
            asyncio.run(magic.notebook.run_line(line))


def test_help_is_there(magic):
    magic.shell.register_magics(TorchMagics(magic.shell, magic.notebook))
    assert "--no-auto" in magic.shell.magics_manager.magics["cell"]["torch"].__doc__
    assert "torch" in magic.shell.magics_manager.magics["line"]


def test_nested_use_waits(magic):
    magic.shell.register_magics(TorchMagics(magic.shell, magic.notebook))
    magic.channel.answers.append(((), OK, {"result": 3}, ()))
    assert magic.shell.run_cell_magic("torch", "", "1 + 2") == 3


def test_import_torch_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [_local_errors.NoTorchHere])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with pytest.raises(ModuleNotFoundError, match="%%torch") as caught:
        import torch  # noqa: F401
    assert caught.value.name == "torch"


def test_question_for_torch_is_answered_as_ever(monkeypatch):
    import importlib.util

    monkeypatch.setattr(sys, "meta_path", [_local_errors.NoTorchHere])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert importlib.util.find_spec("torch") is None
