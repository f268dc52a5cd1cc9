"""Bounds on cells: how many wait, how long one runs, and what part of a GPU they may take."""

import subprocess
import sys

import pytest
from native_notebook import NativeNotebook
from raw_channel import RawChannel

from jupyterlite_torch._errors import KernelDied, ServerError

IGNORES_INTERRUPTS = """\
import time
print('begun', flush=True)
while True:
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        print('no', flush=True)
"""


def minutes(seconds):
    return str(seconds / 60)


def opened(proxy, *arguments):
    page = RawChannel(proxy, *arguments)
    page.greet()
    return page


def content_of(page, cell):
    return page.reply(cell)["msg"]["content"]


@pytest.fixture
def gate(tmp_path):
    """Code of a cell that waits for a file, and a function that makes it."""
    path = tmp_path / "gate"
    wait = f"import os, time\nprint('begun')\nwhile not os.path.exists({str(path)!r}):\n"
    return f"{wait}    time.sleep(0.01)", path.touch


def test_more_cells_than_may_wait_are_refused(start_proxy, gate, loop):
    code, open_gate = gate
    proxy = start_proxy("--max-queued", "2")
    notebook = NativeNotebook(proxy, loop)
    page = opened(proxy, notebook.page.session)
    running = page.cell(code)
    page.printed(running, "begun")
    waiting = [page.cell("1"), page.cell("2", torch=False)]
    refused = content_of(page, page.cell("3"))
    assert (refused["status"], refused["reason"]) == ("error", "too-many")
    assert "2 of this notebook wait there already" in refused["evalue"]
    with pytest.raises(ServerError, match="--max-queued"):
        notebook.torch("4")
    # Other sessions have places of their own.
    other = opened(proxy)
    assert content_of(other, other.cell("5"))["status"] == "ok"
    open_gate()
    assert [content_of(page, cell)["status"] for cell in (running, *waiting)] == ["ok"] * 3
    assert notebook.torch("6") == 6
    notebook.close()


def test_a_cell_that_runs_for_too_long_is_interrupted(start_proxy):
    page = opened(start_proxy("--max-cell-minutes", minutes(3)))
    code = "import time\nx = 1\ntime.sleep(600)"
    for torch in (True, False):
        cell = page.cell(code, torch, assigned=["x"])
        notice = page.event(cell, "notice")["msg"]["content"]["text"]
        assert "Interrupted by the server: a cell may run for 3 seconds" in notice
        reply = page.reply(cell)["msg"]
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert "--max-cell-minutes" in reply["content"]["evalue"]
        assert "--max-cell-minutes" in reply["content"]["traceback"][-1]
        if torch:
            assert reply["metadata"]["torch"]["values"] == {"x": 1}
    # Each cell has the whole time from when it begins.
    cells = [page.cell(f"time.sleep(2)\n{n}") for n in range(2)]
    results = [page.reply(cell)["msg"]["metadata"]["torch"]["result"] for cell in cells]
    assert results == [0, 1]


def test_a_cell_that_awaits_is_interrupted_alike(start_proxy):
    page = opened(start_proxy("--max-cell-minutes", minutes(1)))
    reply = content_of(page, page.cell("import asyncio\nawait asyncio.sleep(600)"))
    assert reply["ename"] == "KeyboardInterrupt" and "--max-cell-minutes" in reply["evalue"]


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while True: pass'])",
    ],
)
def test_a_cell_that_computes_for_too_long_is_interrupted(start_proxy, code):
    page = opened(start_proxy("--max-cell-cpu-minutes", minutes(2)))
    # Sleep is not counted.
    assert content_of(page, page.cell("import time\ntime.sleep(4)"))["status"] == "ok"
    reply = content_of(page, page.cell(code))
    assert reply["ename"] == "KeyboardInterrupt"
    assert "use the processors for 2 seconds" in reply["evalue"]
    assert content_of(page, page.cell("1"))["status"] == "ok"


def test_a_cell_that_ignores_the_interrupt_loses_its_kernel(start_proxy):
    page = opened(start_proxy("--max-cell-minutes", minutes(2)))
    cell, behind = page.cell(IGNORES_INTERRUPTS), page.cell("1")
    page.printed(cell, "no")
    for failed in (cell, behind):
        error = content_of(page, failed)
        assert error["ename"] == "KernelRestarted"
        assert "did not end when it was interrupted" in error["evalue"]
        assert "--max-cell-minutes" in error["evalue"]
    died = page.wait(
        lambda frame: (
            frame["type"] == "event" and frame["msg"]["header"]["msg_type"] == "kernel_died"
        )
    )
    assert died["msg"]["content"] == {"exitcode": None, "generation": 2}
    assert content_of(page, page.cell("2"))["status"] == "ok"


def test_a_notebook_says_which_limit_ended_its_cell(start_proxy, loop, capfd):
    notebook = NativeNotebook(start_proxy("--max-cell-minutes", minutes(2)), loop)
    with pytest.raises(KeyboardInterrupt):
        notebook.torch("import time\nx = 1\ntime.sleep(600)")
    assert "Interrupted by the server: a cell may run for 2 seconds" in capfd.readouterr().err
    assert notebook.torch("x") == 1
    with pytest.raises(KernelDied, match="--max-cell-minutes"):
        notebook.torch(IGNORES_INTERRUPTS)
    assert notebook.torch("'x' in globals()") is False
    notebook.close()


def test_a_cell_that_a_later_proxy_finds_is_interrupted(start_proxy, tmp_path):
    proxy = start_proxy("--max-cell-minutes", minutes(5), "--state", str(tmp_path / "state"))
    page = opened(proxy)
    cell = page.cell("import time\nprint('begun')\ntime.sleep(600)")
    page.printed(cell, "begun")
    proxy.kill()
    proxy.start()
    again = RawChannel(proxy, page.session, page.log, page.seq)
    again.greet()
    assert "--max-cell-minutes" in content_of(again, cell)["evalue"]


FAKE_GPUS = """\
import sys, torch
calls = []
saved = {name: getattr(torch.cuda, name) for name in ('is_available', 'device_count')}
torch.cuda.is_available = lambda: %r
torch.cuda.device_count = lambda: 2
torch.cuda.set_per_process_memory_fraction = lambda *arguments: calls.append(arguments)
sys.modules['_jupyterlite_torch_memory'].share_gpus(0.25)
vars(torch.cuda).update(saved)
calls
"""


@pytest.mark.parametrize("gpus", [False, True])
def test_each_gpu_is_shared_if_there_is_one(start_proxy, gpus):
    page = opened(start_proxy("--gpu-memory-share", "0.25"))
    reply = page.reply(page.cell(FAKE_GPUS % gpus))["msg"]["metadata"]["torch"]
    expected = [{"tuple": [0.25, index]} for index in range(2)] if gpus else []
    assert reply["result"] == expected


@pytest.mark.parametrize(
    "argument", ["--max-queued=0", "--gpu-memory-share=0", "--gpu-memory-share=1.5"]
)
def test_a_limit_that_is_none_is_refused(argument):
    command = [sys.executable, "-m", "kernel_proxy", "--port", "0", argument]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert outcome.returncode == 2 and argument.partition("=")[0] in outcome.stderr
