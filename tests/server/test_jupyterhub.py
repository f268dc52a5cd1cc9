"""Under a JupyterHub each person's server has the proxy, and the hub's tokens open it."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hub import Hub
from native_notebook import NativeNotebook
from pages import pair
from processes import wait_until
from proxy import ORIGIN
from raw_channel import RawChannel

from jupyterlite_torch._errors import ConnectError

#: Lets one user use the server of another, as a hub's administrator may.
ASSISTANT = {"name": "assistant", "users": ["ben"], "scopes": ["access:servers!user=ana"]}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    started = Hub(tmp_path_factory.mktemp("hub"), roles=[ASSISTANT])
    try:
        # The role has brought the other one.
        started.ask("POST", "users/ana")
        started.address = started.start_server("ana")
        yield started
    finally:
        started.stop()


def open_notebook(hub, token, loop):
    return NativeNotebook(SimpleNamespace(url=hub.address, token=token), loop)


def test_a_token_of_the_hub_opens_its_users_server(hub, loop):
    notebook = open_notebook(hub, hub.token("ana", "access:servers!user=ana"), loop)
    # Up and down through the hub's own proxy.
    notebook.local("import numpy as np\nx = np.arange(2**20, dtype=np.float32)")
    assert notebook.torch("y = x * 2; y[-1].item()") == 2 * (2**20 - 1)
    notebook.local("y[-1]")
    notebook.close()


@pytest.mark.parametrize(
    ("name", "scope", "said"),
    [
        ("ana", "read:users!user=ana", "does not know the token"),
        ("ben", "access:servers!user=ana", "runs as one account, that of ana, and ben"),
    ],
)
def test_others_are_not_let_in(hub, loop, name, scope, said):
    with pytest.raises(ConnectError, match=said):
        open_notebook(hub, hub.token(name, scope), loop)
    assert "Traceback" not in hub.log()


def test_a_page_is_paired_by_the_hubs_public_address(hub, loop):
    site = f"{ORIGIN}/course"
    printed = subprocess.run(
        [sys.executable, "-m", "kernel_proxy", "pair", "--site", site],
        env=os.environ | hub.env,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    address, code = re.search(r"#torch=(\S+)&code=(\S+)", printed).groups()
    assert address == hub.address
    token = pair(SimpleNamespace(url=address), code)
    notebook = open_notebook(hub, token, loop)
    assert notebook.torch("6 * 7") == 42
    notebook.close()


def test_the_hub_knows_that_a_cell_runs(hub, loop):
    """By which it stops servers that nobody uses."""
    server = SimpleNamespace(url=hub.address, token=hub.token("ana", "access:servers!user=ana"))
    page = RawChannel(server)
    page.greet()
    cell = page.cell("import time\nwhile True: time.sleep(0.1)")

    def last_activity():
        text = hub.ask("GET", "users/ana")["servers"][""]["last_activity"]
        return datetime.fromisoformat(text)

    begun = datetime.now(UTC)
    # The hub's own proxy counts the line's traffic, every five minutes.
    wait_until(lambda: last_activity() > begun + timedelta(seconds=1))
    page.ask("interrupt_request", cell=cell)
    page.reply(cell)
    page.shut_down()
