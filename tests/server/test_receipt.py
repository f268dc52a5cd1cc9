"""What a page is told that its cells took: with their replies, and for those that it lists."""

import json

import numpy as np
import pytest
from pages import ask
from raw_channel import RawChannel

from jupyterlite_torch import _safetensors
from jupyterlite_torch._errors import RemoteError

SECRET = "nobody_is_told_of_this_name"


def status_of(proxy, session):
    """Return what `GET status` says of a session."""
    status, _, body = ask(proxy, "status", token=proxy.token, Torch_Session=session)
    assert status == 200 and SECRET.encode() not in body
    return json.loads(body)["session"]


def cells_of(proxy, notebook):
    return status_of(proxy, notebook.page.session)["cells"]


def file_bytes(array):
    """Return the size of the safetensors file of one array."""
    entry = _safetensors.Entry("0", "F32", array.shape)
    header, _ = _safetensors.layout([entry])
    return len(header) + array.nbytes


def receipt_of(notebook):
    """Return what the page was told of the cell that ended last."""
    told = [message for message in notebook.page.told if message["type"] == "cell"]
    began, ended = told[-2:]
    assert (began["state"], ended["state"]) == ("running", "ended")
    assert began["id"] == ended["id"]
    return ended["receipt"]


def test_seconds_are_those_of_the_code(notebook):
    notebook.torch(f"{SECRET} = 1\nimport time\ntime.sleep(0.4)\nbig = torch.zeros(2**24)")
    receipt = receipt_of(notebook)
    assert 0.4 <= receipt["seconds"] < 2
    assert receipt["device"] == "cpu" and receipt["peak"] is None
    # `%%capture` runs the rest of the cell as a cell of its own.
    notebook.torch("%%capture\nimport time\ntime.sleep(0.3)")
    assert 0.3 <= receipt_of(notebook)["seconds"] < 2
    notebook.torch("1")
    assert receipt_of(notebook)["seconds"] < 0.3


@pytest.mark.parametrize("size", [10, 2**20])
def test_bytes_are_those_of_the_arrays(proxy, notebook, size):
    x = notebook.names["x"] = np.arange(size, dtype="f4")
    notebook.torch("y = x[::2] + 1", "--eager 64MiB")
    assert (notebook.names["y"] == x[::2] + 1).all()
    receipt = receipt_of(notebook)
    assert receipt["bytes_up"] == file_bytes(x)
    assert receipt["bytes_down"] == x.nbytes // 2
    (cell,) = cells_of(proxy, notebook)
    assert (cell["bytes_up"], cell["bytes_down"]) == (file_bytes(x), x.nbytes // 2)
    # Nothing goes twice, and what stays there is fetched later.
    notebook.torch("z = x * 2", "--eager 0")
    receipt = receipt_of(notebook)
    assert (receipt["bytes_up"], receipt["bytes_down"]) == (0, 0)


def test_cells_that_fail_have_a_receipt(proxy, notebook, on_print):
    with pytest.raises(RemoteError):
        notebook.torch("import time\ntime.sleep(0.2)\n1 / 0")
    assert 0.2 <= receipt_of(notebook)["seconds"] < 2
    with pytest.raises(RemoteError):
        notebook.torch("x = (")
    assert receipt_of(notebook)["seconds"] < 2
    on_print("go", notebook.connection.interrupt)
    with pytest.raises(KeyboardInterrupt):
        notebook.torch("import time\nprint('go', flush=True)\ntime.sleep(60)")
    assert 0 < receipt_of(notebook)["seconds"] < 30
    assert [cell["status"] for cell in cells_of(proxy, notebook)] == ["error"] * 3


def test_a_job_has_a_receipt(notebook):
    notebook.torch("import time\ntime.sleep(0.2)\n6 * 7", "--bg train")
    assert notebook.result(notebook.names["train"]) == 42
    receipt = receipt_of(notebook)
    assert 0.2 <= receipt["seconds"] < 2
    assert notebook.page.told[-1]["background"] is True


def test_status_lists_the_latest_cells(proxy):
    channel = RawChannel(proxy)
    channel.greet()
    for number in range(22):
        last = channel.cell(f"{SECRET} = {number}", identifier=f"cell-{number}")
    channel.reply(last)
    running = channel.cell(f"{SECRET}\nprint('runs')\nimport time\ntime.sleep(60)")
    channel.printed(running, "runs")
    waiting = channel.cell("pass")
    channel.ask("cells_request")
    session = status_of(proxy, channel.session)
    *ended, runs, waits = session["cells"]
    assert [cell["id"] for cell in ended] == [f"cell-{number}" for number in range(4, 22)]
    for cell in ended:
        assert (cell["state"], cell["status"], cell["peak"]) == ("ended", "ok", None)
        assert 0 <= cell["seconds"] < 60 and cell["started"].startswith("20")
    assert (runs["id"], runs["state"]) == (running, "running") and runs["seconds"] >= 0
    assert (waits["id"], waits["state"], waits["seconds"]) == (waiting, "queued", None)
    # Without a GPU there is nothing to know of its memory.
    assert session["memory"] is None
    assert not {key for cell in session["cells"] for key in cell} & {"code", "header", "reply"}
    channel.ask("interrupt_request", cell=waiting)
    channel.ask("interrupt_request", cell=running)
    channel.reply(running)
    channel.shut_down()


def test_status_lists_them_after_a_restart_of_the_proxy(start_proxy, tmp_path):
    proxy = start_proxy("--state", str(tmp_path / "state"))
    channel = RawChannel(proxy)
    channel.greet()
    channel.reply(channel.cell("1", identifier="before"))
    channel.close()
    proxy.kill()
    proxy.start()
    (cell,) = status_of(proxy, channel.session)["cells"]
    assert (cell["id"], cell["state"], cell["status"]) == ("before", "ended", "ok")
