"""The channel itself: nothing lost over a cut, nothing run twice, kernels that can not start."""

import asyncio
import json
import os
import sys

import numpy as np
import pytest
from native_notebook import NativeNotebook
from raw_channel import RawChannel
from relay import UP

from jupyterlite_torch import _channel
from jupyterlite_torch._errors import ConnectError, KernelDied, TransferError


def test_cut_line_loses_and_doubles_nothing(start_relay, open_notebook, capsys, on_print):
    relay = start_relay()
    notebook = open_notebook(url=relay.url)
    for line in ("line 100;", "line 500;", "line 900;"):
        on_print(line, relay.cut)
    notebook.torch(
        "import time\nfor i in range(1000):\n    print(f'line {i};')\n    time.sleep(0.001)\n"
        "_runs = globals().get('_runs', 0) + 1\nruns = _runs"
    )
    assert capsys.readouterr().out.splitlines() == [f"line {i};" for i in range(1000)]
    assert notebook.names["runs"] == 1 and relay.cuts == 3


@pytest.mark.parametrize("cut_at", [10, 2**20, 20 * 2**20 + 17])
def test_cut_push_goes_on_where_it_was(start_relay, open_notebook, cut_at):
    relay = start_relay()
    notebook = open_notebook(url=relay.url)
    x = np.random.default_rng(0).integers(0, 2**60, 2**22)
    notebook.names["x"] = x
    relay.cut_after(cut_at, UP)
    notebook.torch("total = x.sum(); last = x[-1]")
    assert relay.cuts == 1
    assert notebook.names["total"] == x.sum() and notebook.names["last"] == x[-1]


def test_push_above_the_budget_is_refused_in_a_sentence(start_proxy, loop):
    notebook = NativeNotebook(start_proxy("--shared-memory", "8"), loop)
    notebook.names["x"] = np.zeros(2**20 + 1)
    with pytest.raises(TransferError, match="--shared-memory"):
        notebook.torch("x")
    notebook.torch("y = torch.zeros(2**20 + 1, dtype=torch.float64)")
    with pytest.raises(TransferError, match="--shared-memory"):
        notebook.local("y + 1")
    notebook.names["x"] = np.zeros(2**18)
    notebook.torch("n = len(x)")
    assert notebook.names["n"] == 2**18
    notebook.close()


def test_events_that_are_there_come_in_one_message(proxy):
    channel = RawChannel(proxy)
    channel.greet()
    log, seq = channel.log, channel.seq
    channel.reply(channel.cell("for n in range(3): print(n, flush=True)"))
    again = RawChannel(proxy, channel.session, log=log, seq=seq)
    again.greet()
    first = again.receive()
    kinds = [frame["msg"]["header"]["msg_type"] for frame in (first, *again.unread)]
    assert {"execute_input", "stream", "execute_reply"} < set(kinds)
    again.close()
    channel.shut_down()


def test_stream_order_and_names(notebook, capsys):
    notebook.torch(
        "import sys\nfor i in range(500):\n    print('o', i)\n    print('e', i, file=sys.stderr)"
    )
    said = capsys.readouterr()
    assert said.out.split() == [w for i in range(500) for w in ("o", str(i))]
    assert said.err.split() == [w for i in range(500) for w in ("e", str(i))]


def test_restarted_server_is_another_one(start_proxy, loop):
    proxy = start_proxy()
    notebook = NativeNotebook(proxy, loop)
    notebook.names["x"] = np.ones(2)
    notebook.torch("y = x + 1")
    proxy.stop()
    # The page would notice between two cells.
    notebook.wait(asyncio.wait([notebook.connection.channel._pump]))
    with pytest.raises(ConnectError, match="Nothing answers"):
        notebook.torch("y = x + 2")


def test_dead_server_during_a_cell(start_proxy, loop, monkeypatch, on_print):
    monkeypatch.setattr(_channel, "RETRY_FOR_S", 1)
    proxy = start_proxy()
    notebook = NativeNotebook(proxy, loop)
    on_print("go", proxy.process.kill)
    with pytest.raises(ConnectError, match="broke and did not come back"):
        notebook.torch("import time\nprint('go')\ntime.sleep(60)")


def test_stop_while_the_line_is_broken(start_proxy, loop, on_print):
    proxy = start_proxy()
    notebook = NativeNotebook(proxy, loop)

    def stop_soon():
        proxy.process.kill()
        loop.call_later(0.5, notebook.connection.interrupt)

    on_print("go", stop_soon)
    with pytest.raises(ConnectError, match="Stopped waiting"):
        notebook.torch("import time\nprint('go')\ntime.sleep(60)")


def test_interrupt(notebook, on_print):
    on_print("go", notebook.connection.interrupt)
    with pytest.raises(KeyboardInterrupt):
        notebook.torch("import time\nkept = 1\nprint('go')\ntime.sleep(60)")
    assert notebook.names["kept"] == 1
    notebook.torch("after = kept + 1")
    assert notebook.names["after"] == 2


def test_kernel_without_torch_says_what_to_install(start_proxy, loop, tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "bare"
    spec.mkdir(parents=True)
    code = (
        "import sys; sys.modules['torch'] = None; "
        "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
    )
    argv = [sys.executable, "-c", code, "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "bare", "language": "python"})
    )
    monkeypatch.setitem(os.environ, "JUPYTER_PATH", str(tmp_path))
    proxy = start_proxy("--kernel", "bare")
    with pytest.raises(ConnectError, match="has no PyTorch.*pip install torch"):
        NativeNotebook(proxy, loop)


def test_kernelspec_that_does_not_exist(start_proxy, loop):
    proxy = start_proxy("--kernel", "nowhere")
    with pytest.raises(ConnectError, match="'nowhere' could not be started"):
        NativeNotebook(proxy, loop)


def test_died_kernel_is_told_with_its_cause(notebook):
    with pytest.raises(KernelDied, match="exit code 3"):
        notebook.torch("import os; os._exit(3)")


def test_wrong_token_and_wrong_address(proxy, loop, start_proxy):
    other = start_proxy()
    other.token, right = "x" * 20, other.token
    with pytest.raises(ConnectError, match="does not know the token") as caught:
        NativeNotebook(other, loop)
    assert caught.value.reason == "token"
    other.token = right
    other.url = "http://127.0.0.1:9"
    with pytest.raises(ConnectError, match="Nothing answers at http://127.0.0.1:9"):
        NativeNotebook(other, loop)
