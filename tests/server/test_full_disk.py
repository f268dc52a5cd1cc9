"""A disk that is full: in the place of the event log, when a session begins, when a kernel starts."""

import json
import os
import shutil
import sys

import namespaces
import pytest
from native_notebook import NativeNotebook
from native_transport import NativeTransport
from proxy import ORIGIN, Proxy
from raw_channel import RawChannel

from jupyterlite_torch._errors import ConnectError

pytestmark = pytest.mark.mount
FILL = """\
with open({path!r}, "wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
"""


@pytest.fixture
def small(tmp_path_factory):
    """A folder that is a small file system to the proxies of this module, and their kernels.

    A short path: a kernel's sockets lie in it, and theirs have 107 bytes at most.
    """
    return tmp_path_factory.mktemp("small")


@pytest.fixture
def proxy(small, tmp_path):
    started = Proxy(
        "--state", f"{small}/state", log=tmp_path / "log", before=namespaces.small(small, "4m")
    )
    yield started
    started.interrupt()
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log and "never retrieved" not in log, log


def test_a_cell_goes_on_and_says_so(proxy, small):
    page = RawChannel(proxy)
    page.greet()
    print_much = "for i in range(500):\n    print('x' * 20_000, flush=True)\n"
    # 10 MB; nothing is acknowledged, so that all of it is to be kept.
    cell = page.cell(f"w = 5\n{print_much}print('end')", assigned=["w"])
    reply = page.reply(cell)["msg"]
    assert reply["metadata"]["torch"]["values"] == {"w": 5}
    text = page.event(cell, "notice")["msg"]["content"]["text"]
    assert "disk takes no more (No space left on device)" in text and "16 MiB" in text
    assert "Make room there" in text
    # All of it is there for a page that comes back, from the disk and out of memory.
    again = RawChannel(proxy, page.session, page.log, 0)
    again.greet()
    assert again.printed(cell, "end").count("x") == 500 * 20_000
    # When they have it, there is room, and it is used.
    for each in (page, again):
        each.send(type="ack", seq=max(page.seq, again.seq))
    again.send(type="seen", cell=cell)
    assert again.reply(again.cell("w"))["msg"]["metadata"]["torch"]["result"] == 5
    page.close()
    again.shut_down()


def test_a_session_that_can_not_begin_says_why(proxy, small, loop):
    notebook = NativeNotebook(proxy, loop)
    notebook.torch("w = 5")
    notebook.torch(FILL.format(path=f"{small}/rest"))
    with pytest.raises(ConnectError, match=r"can not begin a session.*No space left.*--state"):
        NativeNotebook(proxy, loop)
    # The others go on.
    assert notebook.torch("w + 1") == 6
    notebook.torch(f"import os\nos.remove('{small}/rest')")
    other = NativeNotebook(proxy, loop)
    assert other.torch("1 + 1") == 2
    other.close()
    notebook.close()


def test_a_kernel_that_has_no_place_for_its_sockets(start_proxy, small, tmp_path, loop):
    proxy = start_proxy(before=namespaces.small(small, "64k"), env={"TMPDIR": str(small)})
    inside = namespaces.seen_by(proxy.process.pid, small)
    with open(f"{inside}/rest", "wb", buffering=0) as file, pytest.raises(OSError):
        while file.write(bytes(4096)):
            pass
    with pytest.raises(ConnectError, match=r"can not begin a session|could not be started"):
        NativeNotebook(proxy, loop)
    (tmp_path / "empty").touch()
    shutil.copy(tmp_path / "empty", f"{inside}/rest")
    notebook = NativeNotebook(proxy, loop)
    assert notebook.torch("1 + 1") == 2
    notebook.close()


def test_64_mib_of_dev_shm_are_no_limit(start_proxy, loop):
    # As in a container.
    if sys.platform != "linux":
        pytest.skip("no /dev/shm here")
    # Mounted for this proxy alone.
    proxy = start_proxy(before=namespaces.small("/dev/shm", "64m"))  # noqa: S108
    notebook = NativeNotebook(proxy, loop)
    notebook.torch("import os\nshm = os.statvfs('/dev/shm')\nroom = shm.f_blocks * shm.f_frsize")
    assert notebook.names["room"] == 64 * 2**20
    notebook.torch("y = torch.ones(24 * 2**20)")
    notebook.local("y += 1")
    notebook.torch("total = y.sum()")
    assert notebook.names["total"] == 48 * 2**20
    notebook.close()


def test_pairing_waits_for_room(start_proxy, small, tmp_path):
    proxy = start_proxy(
        "--state",
        f"{small}/state",
        "--site",
        ORIGIN,
        log=tmp_path / "log",
        before=namespaces.small(small, "64k"),
    )
    code = json.dumps({"code": proxy.link.rpartition("code=")[2]}).encode()
    transport = NativeTransport(proxy.url, ORIGIN)
    headers = {"Content-Type": "application/json"}
    rest = f"{namespaces.seen_by(proxy.process.pid, small)}/rest"
    with open(rest, "wb", buffering=0) as file, pytest.raises(OSError):
        while file.write(bytes(4096)):
            pass
    status, _, body = transport._request("POST", "pair", headers, code)
    assert status == 503 and "No space left" in json.loads(body)["message"]
    os.truncate(rest, 0)
    status, _, body = transport._request("POST", "pair", headers, code)
    assert status == 200
    page = RawChannel(proxy, token=json.loads(body)["token"])
    assert page.greet()["type"] == "welcome"
    page.close()
    proxy.interrupt()
    assert "Traceback" not in (tmp_path / "log").read_text()
