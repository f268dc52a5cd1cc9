"""Nothing is left of arrays on their way when one of the three ends without a word."""

import contextlib
import os
import zlib
from pathlib import Path

import pytest
from native_notebook import NativeNotebook
from proxy import Proxy
from raw_channel import RawChannel

from jupyterlite_torch._errors import KernelDied

NAME = "memfd:jupyterlite-torch"
PULL = "y = torch.ones(2**20)"


@pytest.fixture
def proxy(tmp_path, tmp_path_factory):
    # Short enough for the paths of sockets.
    folder = tmp_path_factory.mktemp("tmp")
    started = Proxy("--state", str(tmp_path / "state"), env={"TMPDIR": str(folder)})
    yield started
    if started.process.poll() is not None:
        started.start()
    started.interrupt()
    assert list(folder.iterdir()) == []


def segments(*pids):
    """The shared memory that processes have open or mapped, by inode."""
    found = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                if NAME in line:
                    found.add(line.split()[4])
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                if NAME in os.readlink(link):
                    found.add(str(link.stat().st_ino))
    return found


def open_files(pid):
    return sorted(os.readlink(link) for link in Path(f"/proc/{pid}/fd").glob("*"))


def pid_of(notebook):
    notebook.torch("import os\npid = os.getpid()")
    return notebook.names["pid"]


def upload(channel, size, *parts):
    for start in parts:
        data = bytes(2**20)
        frame = {"id": "u" * 12, "start": start, "total": size, "crc32": zlib.crc32(data)}
        channel.send(data, type="upload", **frame)
        channel.wait(lambda frame: frame["type"] == "uploaded")


def test_kernel_is_killed(proxy, loop):
    notebook = NativeNotebook(proxy, loop)
    pid = pid_of(notebook)
    notebook.torch(PULL)
    notebook.local("id(y)")
    assert segments(pid)
    with pytest.raises(KernelDied):
        notebook.torch(f"{PULL}\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    again = pid_of(notebook)
    assert again != pid and segments(again, proxy.process.pid) == set()
    notebook.torch(PULL)
    notebook.local("id(y)")
    assert (notebook.names["y"] == 1).all()
    notebook.close()


def test_proxy_is_killed(proxy, loop):
    notebook = NativeNotebook(proxy, loop)
    pid = pid_of(notebook)
    page = RawChannel(proxy)
    page.greet()
    upload(page, 2**22, 0)
    notebook.torch(PULL)
    notebook.local("id(y)")
    assert segments(pid) and segments(proxy.process.pid)
    proxy.kill()
    page.close()
    proxy.start()
    notebook.torch("x = 1")
    assert segments(pid, proxy.process.pid) == set()
    notebook.torch(PULL)
    notebook.local("id(y)")
    assert (notebook.names["y"] == 1).all()
    notebook.close()


def test_page_is_killed(proxy):
    page = RawChannel(proxy)
    page.greet()
    upload(page, 2**22, 0)
    pull = {"assigned": ["y"], "eager": 0, "limit": 2**31}
    cell = page.request(
        "shell",
        "execute_request",
        {"code": PULL, "silent": False, "store_history": True, "user_expressions": {}},
        {"torch": {"push": None, "pull": pull}},
    )
    page.reply(cell)
    pid = proxy.process.pid
    assert len(segments(pid)) == 2
    page.close()
    again = RawChannel(proxy, page.session)
    again.greet()
    assert segments(pid) == set()
    again.close()


def test_page_that_only_lost_its_line_finds_its_arrays(proxy, loop):
    page = RawChannel(proxy)
    page.greet()
    upload(page, 2**21, 0)
    page.close()
    again = RawChannel(proxy, page.session, page.log, page.seq)
    again.greet()
    assert len(segments(proxy.process.pid)) == 1
    again.close()
